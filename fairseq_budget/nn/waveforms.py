"""Waveforms as people have them: tensors, arrays and lists of them, made a batch or refused."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE

Waveform: TypeAlias = Tensor | NDArray[Any]
Waveforms: TypeAlias = Waveform | list[Waveform] | tuple[Waveform, ...]


def as_batch(
    source: Waveforms,
    num_samples: Tensor | None = None,
    sample_rate: float | None = None,
    *,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor | None]:
    """source (S,), (B, S) or a list of (S,) of any lengths -> (B, S) and lengths (B,), or None.

    A list is padded, and its lengths are always given; of anything else they are ``num_samples``.
    Raises BudgetError for what is no 16 kHz mono waveform in floats, as far as that can be told,
    and for less than one frame.
    """
    if sample_rate not in (None, SAMPLE_RATE):
        raise BudgetError(
            f"sample_rate={sample_rate}: expected {SAMPLE_RATE}; resample first, for example by "
            f"soxr.resample(wave, {sample_rate}, {SAMPLE_RATE})"
        )
    if isinstance(source, list | tuple):
        if num_samples is not None:
            raise BudgetError("num_samples of a list: leave them out, its waveforms have lengths")
        waves = [_one_wave(wave, f"waveform {i} of the list") for i, wave in enumerate(source)]
        source = pad_sequence(waves, batch_first=True) if waves else torch.empty(0, 0)
        num_samples = torch.tensor([len(wave) for wave in waves])
    batch = _floats(source, "the waveform")
    batch = batch.unsqueeze(0) if batch.dim() == 1 else batch
    _check_shape(batch)
    return batch.to(device), None if num_samples is None else num_samples.to(device)


def _one_wave(wave: Any, what: str) -> Tensor:
    wave = _floats(wave, what)
    if wave.numel() != max(wave.shape, default=0):  # a single channel may have an axis
        raise BudgetError(
            f"{what} is {list(wave.shape)}: expected one channel, (samples,); take the mean over "
            "channels"
        )
    if wave.numel() < RECEPTIVE_FIELD:
        raise BudgetError(
            f"{what} has {wave.numel()} samples, fewer than one frame ({RECEPTIVE_FIELD} samples = "
            "25 ms): pad it or leave it out"
        )
    return wave.flatten().float()


def _floats(wave: Any, what: str) -> Tensor:
    if not isinstance(wave, Tensor | np.ndarray):
        raise BudgetError(
            f"{what} is a {type(wave).__name__}: expected a tensor or an array of samples; the "
            "rate, if you have it, goes into sample_rate="
        )
    kind = str(wave.dtype).removeprefix("torch.")
    if "float" not in kind:
        cure = f"; divide it by {-np.iinfo(kind).min}" if kind.startswith("int") else ""
        raise BudgetError(f"{what} is of {kind}: expected floats between -1 and 1{cure}")
    return wave if isinstance(wave, Tensor) else torch.from_numpy(wave.astype(np.float32))


def _check_shape(batch: Tensor) -> None:
    if batch.dim() != 2 or not batch.shape[0]:  # len() would fix it in a traced graph
        raise BudgetError(
            f"waveforms of shape {list(batch.shape)}: expected (samples,), (utterances, samples) "
            "or a list of (samples,), of one channel each: take the mean over channels"
        )
    rows, samples = batch.shape
    if samples < RECEPTIVE_FIELD <= rows:
        raise BudgetError(
            f"waveforms of shape {[rows, samples]}, which look like (samples, channels): expected "
            "(utterances, samples); take the mean over the last axis, for one channel"
        )
    if samples < RECEPTIVE_FIELD:
        raise BudgetError(
            f"a batch of {samples} samples is shorter than one frame "
            f"({RECEPTIVE_FIELD} samples = 25 ms): pad it or leave it out"
        )
