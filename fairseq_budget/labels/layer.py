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

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_SHIFT, RECEPTIVE_FIELD, num_frames
from fairseq_budget.labels.features import Frames, Wave
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.lengths import normalize_wave

CHUNK_FRAMES = 5000  # 1.6 million samples, dump_hubert_feature.py's max_chunk


class LayerExtractor:
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
        self.teacher_sha256: str | None = hash_encoder(encoder)
        self._normalize = encoder.config.normalize
        encoder.keep_layers(layer)  # what lies above it need not be computed
        self.dim = encoder.config.output_dim
        encoder.config = replace(encoder.config, normalize=False)  # long waves, as a whole: here
        self._encoder, self._device = encoder.to(device).eval(), device

    @torch.inference_mode()
    def __call__(self, waves: Sequence[Wave]) -> list[Frames]:
        return [self._frames(torch.from_numpy(wave)).cpu().numpy() for wave in waves]

    def _frames(self, wave: Tensor) -> Tensor:
        if len(wave) < RECEPTIVE_FIELD:
            return torch.zeros(0, self.dim)
        source = wave.to(self._device)[None]
        if self._normalize:
            source = normalize_wave(source, None)
        windows = chunk_windows(len(wave))
        states = [self._encoder(source[:, a:b]).last_hidden_state[0] for a, b in windows]
        return torch.cat(states)


def chunk_windows(num_samples: int, chunk_frames: int = CHUNK_FRAMES) -> Iterator[tuple[int, int]]:
    """First and last sample of each chunk; their frames, joined, are those of the whole wave."""
    total = num_frames(num_samples)
    for first in range(0, total, chunk_frames):
        last = first + chunk_frames
        stop = last * FRAME_SHIFT + RECEPTIVE_FIELD - FRAME_SHIFT
        yield first * FRAME_SHIFT, stop if last < total else num_samples


def hash_encoder(encoder: SpeechEncoder) -> str:
    """SHA-256 of an encoder's dimensions and weights: a checkpoint and its export have the same."""
    config = json.dumps(asdict(encoder.config.resolved()), sort_keys=True)
    digest = hashlib.sha256(config.encode())
    for name, weight in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
