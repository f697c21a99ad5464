"""Batches of waveforms and masks for self-supervised pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from fairseq.data import FairseqDataset

from fairseq_budget.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import (
    FRAME_SHIFT,
    RECEPTIVE_FIELD,
    SAMPLE_RATE,
    label_indices,
    num_frames,
)
from fairseq_budget.nn.masking import seed_from, span_mask

# fairseq's Dictionary puts <s>, <pad>, </s> and <unk> before the clusters; so do its checkpoints.
NUM_SPECIAL_CLASSES = 4

# Streams of random numbers: one key each, so that drawing one never shifts another.
CROP, MASK, NOISE, ORDER = range(4)


@dataclass(frozen=True)
class Masking:
    """Span masks in time: share of frames that start a span, its length in frames."""

    prob: float
    length: int
    min_masks: int = 2


class FrameLabels(Protocol):
    """Cluster ids of every utterance, ``rate`` of them per second."""

    @property
    def rate(self) -> float: ...

    def ids(self, index: int) -> np.ndarray: ...


class BudgetAudioDataset(FairseqDataset):
    """Utterances of a corpus, cropped, masked and collated, with labels if there are any.

    Crops begin on a frame, so that labels made for whole utterances fall on frames of the crop.
    Crops and masks are functions of (seed, epoch, utterance) alone: the number of loader workers,
    the batch mates and an interruption never change them. Batches are cropped to their shortest
    utterance, or padded with ``pad_audio``.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        seed: int,
        max_sample_size: int | None,
        min_sample_size: int = 0,
        pad_audio: bool = False,
        masking: Masking | None = None,
        labels: FrameLabels | None = None,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.seed = seed
        self.sizes = np.minimum(corpus.sizes, max_sample_size or np.iinfo(np.int64).max)
        self.kept = np.flatnonzero(corpus.sizes >= max(min_sample_size, RECEPTIVE_FIELD))
        self.pad_audio = pad_audio
        self.masking = masking
        self.labels = labels
        # Shared memory: persistent loader workers see a new epoch without being restarted.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()
        if not len(self.kept):
            raise BudgetError(
                f"all {len(corpus)} utterances of {corpus.path} are shorter than "
                f"{max(min_sample_size, RECEPTIVE_FIELD)} samples: lower task.min_sample_size, or "
                "join them with `budget-manifest cut`"
            )

    def __len__(self) -> int:
        return len(self.sizes)

    def set_epoch(self, epoch: int) -> None:
        self._epoch[0] = epoch

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index])

    size = num_tokens

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        return self.sizes[indices]

    def ordered_indices(self) -> np.ndarray:
        """Longest first, ties in random order: batches then hold utterances of like length."""
        order = self._rng(ORDER).permutation(self.kept)
        return order[np.argsort(-self.sizes[order], kind="stable")]

    def batch_samples(self, batches: Sequence[Sequence[int]]) -> tuple[float, float]:
        """Mean number of samples in a batch, and in an utterance of one, as they are collated."""
        sizes = [self.sizes[np.asarray(batch)] for batch in batches]
        if not self.pad_audio:
            sizes = [np.full_like(size, size.min()) for size in sizes]
        total = sum(int(size.sum()) for size in sizes)
        return total / len(sizes), total / sum(len(size) for size in sizes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        length = int(self.sizes[index])
        start = self._crop(index, int(self.corpus.sizes[index]) - length)
        source = self.corpus.read(index, start, length)
        return {"id": int(index), "start": start, "source": source}

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of equal lengths (cropped), or padded with ``num_samples`` (B,) beside it.

        ``source`` (B, S) holds float32 samples in int32 clothes: fairseq halves every float32
        tensor of a batch in fp16, and targets need the full wave (see ``wave_from_bits``).
        ``masked`` lists the masked frames as indices into the flattened (B * T) frames, made
        here because finding them on a GPU would stall it.
        """
        if not samples:
            return {}
        ids = [sample["id"] for sample in samples]
        lengths = np.array([len(sample["source"]) for sample in samples])
        if not self.pad_audio:
            lengths[:] = lengths.min()
        source = np.zeros((len(samples), lengths.max()), dtype=np.float32)
        starts = []  # of the crops, in the whole utterances
        for row, (sample, length) in enumerate(zip(samples, lengths, strict=True)):
            start = self._crop(sample["id"], len(sample["source"]) - length)
            source[row, :length] = sample["source"][start : start + length]
            starts.append(sample["start"] + start)
        net_input: dict[str, Any] = {
            "source": torch.from_numpy(source.view(np.int32)),
            "num_samples": None,
            "noise_seed": seed_from(self.seed, NOISE, int(self._epoch), *ids),
        }
        if lengths.min() < lengths.max():
            net_input["num_samples"] = torch.from_numpy(lengths)
        if self.masking is not None:
            mask = self._masks(ids, num_frames(lengths), self.masking)
            net_input["mask_indices"] = torch.from_numpy(mask)
            net_input["masked"] = torch.from_numpy(np.flatnonzero(mask))
        if self.labels is not None:
            labels = self._labels(ids, starts, num_frames(lengths), self.labels)
            net_input["labels"] = torch.from_numpy(labels)
        return {
            "id": torch.tensor(ids),
            "net_input": net_input,
            "nsentences": len(samples),
            "num_samples": lengths,  # stays on the host, for the meter
            "audio_seconds": float(lengths.sum()) / SAMPLE_RATE,
        }

    def _masks(self, ids: list[int], lengths: np.ndarray, masking: Masking) -> np.ndarray:
        mask = np.zeros((len(ids), lengths.max()), dtype=bool)
        for row, (index, length) in enumerate(zip(ids, lengths, strict=True)):
            mask[row, :length] = span_mask(
                int(length),
                prob=masking.prob,
                length=masking.length,
                min_masks=masking.min_masks,
                rng=self._rng(MASK, index),
            )
        return mask

    def _labels(
        self, ids: list[int], starts: list[int], lengths: np.ndarray, labels: FrameLabels
    ) -> np.ndarray:
        """Classes (B, T) int64; 1, the class of padding, past an utterance's end."""
        out = np.ones((len(ids), lengths.max()), dtype=np.int64)
        for row, (index, start, length) in enumerate(zip(ids, starts, lengths, strict=True)):
            own = labels.ids(index)
            found = label_indices(start, int(length), labels.rate)
            out[row, :length] = own[found.clip(max=len(own) - 1)] + NUM_SPECIAL_CLASSES
        return out

    def _crop(self, index: int, excess: int) -> int:
        """First sample, on a frame, of a crop that leaves ``excess`` samples out."""
        return int(self._rng(CROP, index).integers(excess // FRAME_SHIFT + 1)) * FRAME_SHIFT

    def _rng(self, *keys: int) -> np.random.Generator:
        return np.random.default_rng(seed_from(self.seed, int(self._epoch), *keys))


def wave_from_bits(source: torch.Tensor) -> torch.Tensor:
    """Undo the collater's disguise: int32 bits -> the float32 waveform, without a copy."""
    return source.view(torch.float32) if source.dtype is torch.int32 else source
