"""Batches of waveforms and masks for self-supervised pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from fairseq.data import FairseqDataset

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.segments import crop_ends
from fairseq_budget.data.batches import Batches, Limits, count_kept
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import (
    FRAME_SHIFT,
    RECEPTIVE_FIELD,
    SAMPLE_RATE,
    label_indices,
    num_frames,
)
from fairseq_budget.nn.masking import Masking, seed_from

# fairseq's Dictionary puts <s>, <pad>, </s> and <unk> before the clusters; so do its checkpoints.
NUM_SPECIAL_CLASSES = 4

# Streams of random numbers: one key each, so that drawing one never shifts another.
CROP, MASK, NOISE, REPLACEMENT = range(4)

NUM_REPLACEMENTS = 20  # utterances tried in place of a bad one: the nearest by length, in any order


class FrameSegments(Protocol):
    """The ends of every utterance's segments, in frames."""

    def is_known(self, index: int) -> bool: ...

    def ends(self, index: int) -> np.ndarray: ...


class FrameLabels(Protocol):
    """Cluster ids of every utterance, ``rate`` of them per second."""

    @property
    def rate(self) -> float: ...

    def is_known(self, index: int) -> bool: ...

    def ids(self, index: int) -> np.ndarray: ...


class BudgetAudioDataset(FairseqDataset):
    """Utterances of a corpus, cropped, masked and collated, with labels if there are any.

    Crops begin on a frame, so that labels made for whole utterances fall on frames of the crop.
    Crops and masks are functions of (seed, epoch, utterance) alone: the number of loader workers,
    the batch mates and an interruption never change them; but with ``masking.equal`` mates decide
    how many frames are masked. Batches are cropped to their shortest utterance, or padded with
    ``pad_audio``.
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
        labels: Sequence[FrameLabels] = (),
        segments: FrameSegments | None = None,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.seed = seed
        self.max_size = max_sample_size
        self.min_size = max(min_sample_size, RECEPTIVE_FIELD)
        self.num_kept = count_kept(corpus.sizes, corpus.by_size, self.min_size)
        self.pad_audio = pad_audio
        self.masking = masking if masking is not None and masking.prob else None
        self.labels = labels
        self.segments = segments
        # Shared memory: persistent loader workers see a new epoch without being restarted.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()
        if not self.num_kept:
            raise BudgetError(
                f"all {len(corpus)} utterances of {corpus.path} are shorter than {self.min_size} "
                "samples: lower task.min_sample_size, or join them with `budget-manifest cut`"
            )

    def __len__(self) -> int:
        return len(self.corpus)

    @property
    def num_samples(self) -> int:
        """Samples of all utterances that are long enough, uncropped."""
        too_short = self.corpus.by_size[self.num_kept :]
        return self.corpus.num_samples - int(self.corpus.sizes[too_short].sum())

    @property
    def num_cropped(self) -> int:
        """Samples beyond ``max_sample_size``, in all utterances: an epoch does not hear them."""
        if self.max_size is None:
            return 0
        sizes, by_size = self.corpus.sizes, self.corpus.by_size
        longer = sizes[by_size[: count_kept(sizes, by_size, self.max_size + 1)]]
        return int(longer.sum()) - len(longer) * self.max_size

    def set_epoch(self, epoch: int) -> None:
        self._epoch[0] = epoch

    def num_tokens(self, index: int) -> int:
        size = int(self.corpus.sizes[index])
        return size if self.max_size is None else min(size, self.max_size)

    size = num_tokens

    def batches(self, limits: Limits) -> Batches:
        """All utterances that are long enough, in batches within the limits."""
        return Batches(
            self.corpus.sizes,
            self.corpus.by_size,
            limits,
            seed=self.seed,
            max_size=self.max_size,
            min_size=self.min_size,
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        """An utterance; another one with the reason as ``bad_audio`` where it cannot be read."""
        length = self.num_tokens(index)
        try:
            return self._read(index, length)
        except BudgetError as error:
            return {**self._replacement(index, length), "bad_audio": str(error)}

    def _read(self, index: int, length: int) -> dict[str, Any]:
        start = self._crop(index, int(self.corpus.sizes[index]) - length)
        source = self.corpus.read(index, start, length)
        known = [labels.is_known(index) for labels in self.labels]
        if not all(known) or (self.segments is not None and not self.segments.is_known(index)):
            raise BudgetError(
                f"{self.corpus.name(index)}: could not be read when its labels or segments were "
                "made; if it can now, make them again"
            )
        return {"id": int(index), "start": start, "source": source}

    def _replacement(self, index: int, length: int) -> dict[str, Any]:
        """One of about the same length, a function of (seed, epoch, utterance); never longer."""
        same_or_shorter = count_kept(self.corpus.sizes, self.corpus.by_size, length + 1)
        first = max(0, min(same_or_shorter, self.num_kept) - NUM_REPLACEMENTS // 2)
        near = self.corpus.by_size[first : min(first + NUM_REPLACEMENTS, self.num_kept)]
        for other in self._rng(REPLACEMENT, index).permutation(near):
            try:
                return self._read(int(other), min(length, self.num_tokens(other)))
            except BudgetError as error:
                last = error
        raise BudgetError(f"{len(near)} utterances in a row are bad audio, the last one: {last}")

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
            rngs = [self._rng(MASK, index) for index in ids]
            mask = self.masking.batch(num_frames(lengths), rngs)
            net_input["mask_indices"] = torch.from_numpy(mask)
            net_input["masked"] = torch.from_numpy(np.flatnonzero(mask))
        if self.labels:
            net_input["labels"] = [
                torch.from_numpy(self._labels(ids, starts, num_frames(lengths), own))
                for own in self.labels
            ]
        if self.segments is not None:
            ends = self._segment_ends(ids, starts, num_frames(lengths), self.segments)
            net_input["segment_ends"] = torch.from_numpy(ends)
        return {
            "id": torch.tensor(ids),
            "epoch": int(self._epoch),
            "net_input": net_input,
            "nsentences": len(samples),
            "utterances": [self.corpus.name(index) for index in ids],
            "starts": starts,
            "num_samples": lengths,  # stays on the host, for the meter
            "bad_audio": [sample["bad_audio"] for sample in samples if "bad_audio" in sample],
            "audio_seconds": float(lengths.sum()) / SAMPLE_RATE,
        }

    def filler(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch once more, marked as counting for nothing: for a GPU that has none left."""
        return {**batch, "bad_audio": [], "is_filler": True}

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

    def _segment_ends(
        self, ids: list[int], starts: list[int], lengths: np.ndarray, segments: FrameSegments
    ) -> np.ndarray:
        """Ends (B, K) int64 in frames of the crops, padded by repeating an utterance's last."""
        rows = [
            crop_ends(segments.ends(index), start // FRAME_SHIFT, int(length))
            for index, start, length in zip(ids, starts, lengths, strict=True)
        ]
        out = np.repeat(lengths[:, None], max(map(len, rows)), axis=1)
        for row, ends in enumerate(rows):
            out[row, : len(ends)] = ends
        return out

    def _crop(self, index: int, excess: int) -> int:
        """First sample, on a frame, of a crop that leaves ``excess`` samples out."""
        return int(self._rng(CROP, index).integers(excess // FRAME_SHIFT + 1)) * FRAME_SHIFT

    def _rng(self, *keys: int) -> np.random.Generator:
        return np.random.default_rng(seed_from(self.seed, int(self._epoch), *keys))


def wave_from_bits(source: torch.Tensor) -> torch.Tensor:
    """Undo the collater's disguise: int32 bits -> the float32 waveform, without a copy."""
    return source.view(torch.float32) if source.dtype is torch.int32 else source
