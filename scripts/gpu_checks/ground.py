"""Encoder, optimizer and features on the device beside the CPU: what needs torch alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_budget.budget.timing import DTYPES
from fairseq_budget.nn.encoder import SpeechEncoder
from gpu_checks.registry import ALLOWED, Options, Row, check, compared, noise, sizes, still

LOG_MEL = "tiny,frontend=logmel"


@check("encoder", limit_s=90)
def encoders(options: Options) -> Iterator[Row]:
    seconds = 1 if options.small else 3
    wave = noise(3, seconds * 16000)
    for size in (*sizes(options), LOG_MEL):
        torch.manual_seed(0)
        encoder = SpeechEncoder(still(size)).eval()  # in training a Zipformer draws on the device
        for lengths in (None, torch.tensor([wave.shape[1], 13000, 9000])):
            expected = _states(encoder, wave, lengths, "cpu")
            for precision, autocast in _forms(options):
                states = _states(encoder, wave, lengths, options.device, precision, autocast)
                pairs = zip(("states", "gradient"), states, expected, strict=True)
                form = f"{precision} by autocast" if autocast else precision
                case = f"{size}, {'whole' if lengths is None else 'padded'}, {form}"
                for name, found, wanted in pairs:
                    yield compared(f"{case}: {name}", found, wanted, ALLOWED[precision])


def _forms(options: Options) -> list[tuple[str, bool]]:
    """Precisions, each by casting the model and by autocast."""
    half = [precision for precision in options.precisions if precision != "fp32"]
    return [*((p, False) for p in options.precisions), *((p, True) for p in half)]


def _states(
    encoder: SpeechEncoder,
    wave: Tensor,
    lengths: Tensor | None,
    device: str,
    precision: str = "fp32",
    autocast: bool = False,
) -> tuple[Tensor, Tensor]:
    """The last state's valid frames, and the gradient of the front-end's first layer."""
    dtype = DTYPES[precision]
    model = copy.deepcopy(encoder).to(device, torch.float32 if autocast else dtype)
    lengths = lengths if lengths is None else lengths.to(device)
    with torch.autocast(device, dtype, enabled=autocast):
        out = model(wave.to(device), lengths)
    state = out.last_hidden_state.float()
    if out.padding_mask is not None:
        state = state.masked_fill(out.padding_mask.unsqueeze(2), 0)
    (state * noise(*state.shape, seed=1).to(device)).sum().backward()
    gradient = next(model.feature_extractor.parameters()).grad
    assert gradient is not None
    return state, gradient.float()


@check("ScaledAdam")
def scaled_adam(options: Options) -> Iterator[Row]:
    from fairseq_budget.optim.scaled_adam import ScaledAdam

    runs = []
    for device in ("cpu", options.device):
        torch.manual_seed(0)
        params = list(SpeechEncoder(still("tiny")).to(device).parameters())
        runs.append((params, ScaledAdam(params)))
        _advance(*runs[-1], range(24))
    copies = [nn.Parameter(p.detach().clone()) for p in params]
    restored = ScaledAdam(copies)
    restored.load_state_dict(copy.deepcopy(runs[-1][1].state_dict()))
    ends = []
    for params, optimizer in (*runs, (copies, restored)):
        _advance(params, optimizer, range(24, 28))
        ends.append(torch.cat([p.detach().flatten().cpu() for p in params]))
    yield compared("parameters", ends[1], ends[0], 1e-3)
    yield compared("after its state was loaded", ends[2], ends[1], 1e-6)


def _advance(params: list[Any], optimizer: Any, updates: range) -> None:
    for update in updates:
        for place, p in enumerate(params):
            p.grad = noise(*p.shape, seed=1000 * update + place).to(p.device)
        optimizer.step()


@check("features by a layer")
def layer_features(options: Options) -> Iterator[Row]:
    from fairseq_budget.labels.encoder_layers import LayerExtractor

    waves = [noise(samples, seed=samples).numpy() for samples in (16000, 400, 300)]
    if not options.small:
        waves.append(noise(16000 * 110).numpy())
    for size in sizes(options)[:2]:
        torch.manual_seed(0)
        encoder = SpeechEncoder(still(size)).eval()
        found, expected = (
            LayerExtractor(copy.deepcopy(encoder), 2, device)(waves)
            for device in (options.device, "cpu")
        )
        for wave, ours, theirs in zip(waves, found, expected, strict=True):
            case = f"{size}, {len(wave) / 16000:g} s"
            yield compared(case, torch.from_numpy(ours), torch.from_numpy(theirs), ALLOWED["fp32"])
