"""Features of frames: the output of a checkpoint's transformer layer at 50 Hz.

Layers count from 1, as in simple_kmeans' ``dump_hubert_feature.py``. Of pre-norm models it is the
residual stream, without the final norm, for the last layer as for all others; that too is what
fairseq gives when asked for a layer.

Long utterances pass through an encoder in chunks of 100 s, which bounds the memory. Differs: where
fairseq cuts the wave, each chunk's last frame is lost and all later ones shift; here neighbouring
chunks share 80 samples, so every frame is there. Below 100 s there is no difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import RECEPTIVE_FIELD, num_frames
from fairseq_budget.labels.features import Frames, Wave
from fairseq_budget.labels.windows import cut_windows
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.lengths import normalize_wave

CHUNK_FRAMES = 5000  # 1.6 million samples, dump_hubert_feature.py's max_chunk


class LayersExtractor:
    """Waves -> (T, K * D) float32 each, the outputs of K layers side by side; 0: the first's input.

    Waves of like lengths pass together, up to `batch_samples` with padding; where padding would be
    heard (``mask_padding=False``) each passes alone. A layer of a shortened sequence has every
    frame, too: segments are repeated over theirs.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        layers: Sequence[int],
        device: str = "cpu",
        batch_samples: int = 1,
    ) -> None:
        self.teacher_sha256: str | None = hash_encoder(encoder)
        if encoder.subsampler is None:
            encoder.keep_layers(max(1, *layers))  # what lies above them need not be computed
        self.dim = len(layers) * encoder.config.output_dim
        self._layers, self._device = layers, device
        self._batch_samples = batch_samples if encoder.config.mask_padding else 1
        self._encoder = encoder.to(device).eval()

    @torch.inference_mode()
    def __call__(self, waves: Sequence[Wave]) -> list[Frames]:
        found = [np.zeros((0, self.dim), np.float32) for _ in waves]
        heard = [index for index, wave in enumerate(waves) if len(wave) >= RECEPTIVE_FIELD]
        for batch in _similar_lengths([len(waves[i]) for i in heard], self._batch_samples):
            own = [heard[place] for place in batch]
            rows = self._rows([torch.from_numpy(waves[index]) for index in own])
            for index, row in zip(own, rows, strict=True):
                found[index] = row.cpu().numpy()
        return found

    def _rows(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """(T, K * D) of each wave of a batch, however long they are."""
        lengths = torch.tensor([len(wave) for wave in waves])
        source = nn.utils.rnn.pad_sequence(list(waves), batch_first=True).to(self._device)
        is_padded = bool((lengths < source.shape[1]).any())
        states = self._states(source, lengths.to(self._device) if is_padded else None)
        return [row[:n] for row, n in zip(states, num_frames(lengths).tolist(), strict=True)]

    def _states(self, source: Tensor, num_samples: Tensor | None) -> Tensor:
        layers = self._encoder(source, num_samples).at_frame_rate()
        return torch.cat([layers[number].float() for number in self._layers], dim=2)


class LayerExtractor(LayersExtractor):
    """Waves -> (T, D) float32 each, the output of one transformer layer, 1 to L."""

    def __init__(self, encoder: SpeechEncoder, layer: int, device: str = "cpu") -> None:
        num_layers = encoder.encoder.num_layers
        if not 1 <= layer <= num_layers:
            raise BudgetError(
                f"--layer {layer}: the checkpoint has {num_layers} layers; give one "
                f"from 1 (the first layer's output) to {num_layers}"
            )
        if encoder.subsampler is not None:
            raise BudgetError(
                f"the checkpoint has model.subsample={encoder.config.subsample}, so its layers "
                "have no frame every 20 ms; features need one without subsampling, as its teacher"
            )
        super().__init__(encoder, (layer,), device)
        self._normalize = encoder.config.normalize
        encoder.config = replace(encoder.config, normalize=False)  # long waves, as a whole: here

    def _rows(self, waves: Sequence[Tensor]) -> list[Tensor]:
        return [self._chunked(wave.to(self._device)[None]) for wave in waves]

    def _chunked(self, source: Tensor) -> Tensor:
        if self._normalize:
            source = normalize_wave(source, None)
        chunks = cut_windows(np.array([source.shape[1]]), CHUNK_FRAMES)
        bounds = zip(chunks.start, chunks.stop, strict=True)
        return torch.cat([self._states(source[:, a:b], None)[0] for a, b in bounds])


def hash_encoder(encoder: SpeechEncoder) -> str:
    """SHA-256 of an encoder's dimensions and weights: a checkpoint and its export have the same."""
    config = json.dumps(asdict(encoder.config.resolved()), sort_keys=True)
    digest = hashlib.sha256(config.encode())
    for name, weight in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _similar_lengths(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Indices in batches of similar lengths, up to `limit` with padding; ever the same."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if batch and (len(batch) + 1) * lengths[index] > limit:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
