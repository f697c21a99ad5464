"""Layers as probes see them: the mean of each layer's frames over a stretch of an utterance.

An utterance is heard alone and once, and only the means are kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_budget.audio.mfcc import LogMel
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, frame_centres
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import UNTRAINED, untrained
from fairseq_budget.pretrained.fairseq_checkpoint import read_teacher
from fairseq_budget.report.probe_items import MAX_SAMPLES, Item

LOG_MEL = "log-mel"
LOG_MEL_RATE_HZ = 100


@dataclass(frozen=True)
class Layers:
    """What is heard of a wave (S,): `states` gives layers of (T, D), `rate` frames a second."""

    states: Callable[[Tensor], list[Tensor]]
    rate: int


def open_layers(name: str, *, device: str = "cpu", seed: int = 0) -> Layers:
    """The layers of a checkpoint of ours or fairseq's, of ``PATH:untrained``, or log-mel.

    `seed` is that of fresh weights. BudgetError as `read_teacher` raises it.
    """
    if name == LOG_MEL:
        return Layers(lambda wave: [LogMel()(wave[None])[0]], LOG_MEL_RATE_HZ)
    checkpoint = read_teacher(name.removesuffix(UNTRAINED))
    if name.endswith(UNTRAINED):
        checkpoint = untrained(checkpoint, seed)
    return encoder_layers(checkpoint.build_encoder(), device)


def encoder_layers(encoder: SpeechEncoder, device: str = "cpu") -> Layers:
    """Layer 0 is what the first one hears; segments are repeated over their frames."""
    encoder = encoder.to(device).eval()
    return Layers(lambda wave: [x[0] for x in encoder(wave[None]).at_frame_rate()], FRAME_RATE_HZ)


@torch.no_grad()
def layer_means(layers: Layers, corpus: Corpus, items: Sequence[Item], what: str) -> list[Tensor]:
    """The mean of each layer over each item, layers of (N, D) float32; `what` heads the bar.

    A frame belongs to the item that its middle lies in. BudgetError for what is not finite.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for row, item in enumerate(items):
        rows[item.utterance].append(row)
    means: list[Tensor] = []
    for index in Progress(sorted(rows), what, unit="utterance"):
        own = rows[index]
        wave = corpus.read(index, 0, min(int(corpus.sizes[index]), MAX_SAMPLES))
        states = [state.float().cpu() for state in layers.states(torch.from_numpy(wave))]
        weights = _weights([items[row] for row in own], len(states[0]), layers.rate)
        means = means or [torch.empty(len(items), state.shape[1]) for state in states]
        for layer, state in zip(means, states, strict=True):
            layer[own] = weights @ state
    for number, layer in enumerate(means):
        if not layer.isfinite().all():
            raise BudgetError(
                f"{what}: layer {number} is not finite: expected a checkpoint from before its "
                "training went wrong; take an earlier one"
            )
    return means


def _weights(items: Sequence[Item], num_frames: int, rate: int) -> Tensor:
    """(N, T): the share of each frame in the mean over each item."""
    centres = torch.from_numpy(frame_centres(num_frames, rate))
    starts, stops = torch.tensor([(item.start, item.stop) for item in items]).T[..., None]
    inside = ((starts <= centres) & (centres < stops)).float()
    return inside / inside.sum(1, keepdim=True)
