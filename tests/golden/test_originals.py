"""Zipformer, ScaledAdam and CIF give the numbers of the published implementations."""

import json
from pathlib import Path

import pytest
import torch

from fairseq_budget.nn.cif import integrate_and_fire
from fairseq_budget.nn.lengths import padding_mask
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.optim.scaled_adam import ScaledAdam
from fairseq_budget.sizes import ZIPFORMER_SIZES


def golden(name: str) -> dict:
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text())


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def zipformer() -> tuple[ZipformerEncoder, list]:
    """And inputs with cotangents. Initial weights are icefall's, draw by draw; then disturbed."""
    torch.manual_seed(0)
    encoder, generator = ZipformerEncoder(ZIPFORMER_SIZES["zipformer_tiny"]).eval(), seeded(1)
    for name, weight in encoder.state_dict().items():
        if "bypass" not in name:
            noise = torch.randn(weight.shape, generator=generator)
            weight += (0.005 + 0.05 * weight.abs().mean()) * noise
    cases = [
        [torch.randn(frames, 2, dim, generator=generator).transpose(0, 1) for dim in (48, 96)]
        for frames in (1, 17, 50)
    ]
    return encoder, cases


def test_zipformers_outputs_are_icefalls(zipformer):
    (encoder, cases), expected = zipformer, golden("zipformer")
    for x, _ in cases:
        with torch.no_grad():
            output = encoder(x, None)[-1]
        theirs = torch.tensor(expected[f"T{x.shape[1]}/output"])
        torch.testing.assert_close(output, theirs, atol=1e-5, rtol=1e-5)


def test_zipformers_gradients_are_icefalls_but_for_what_its_regularizers_add(zipformer):
    """Those act in eval there, at random. Ours is exact: finite differences along it agree."""
    (encoder, cases), expected = zipformer, golden("zipformer")
    for x, cotangent in cases:
        leaf = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad((encoder(leaf, None)[-1] * cotangent).sum(), leaf)
        theirs = torch.tensor(expected[f"T{x.shape[1]}/input_grad"])
        assert (grad - theirs).norm() < 0.15 * theirs.norm()
        step = 0.01 * grad / grad.norm()
        with torch.no_grad():
            change = encoder(x + step, None)[-1] - encoder(x - step, None)[-1]
        slope = (change * cotangent).sum() / 0.02
        torch.testing.assert_close(slope, grad.norm(), rtol=2e-3, atol=0)


@pytest.mark.parametrize(("kind", "clipping_scale"), [("noclip", None), ("clip2", 2.0)])
def test_scaled_adams_updates_are_icefalls(kind, clipping_scale):
    """Two bursts, which clipping feels; tensor 3 is a scalar, corrected up to update 227."""
    shapes = [(6, 5), (6, 5), (6,), (1,), (2, 3, 4), (16, 8)]
    starts, gradients, expected = seeded(1), seeded(2), golden("scaled_adam")
    params = [torch.nn.Parameter(0.3 * torch.randn(s, generator=starts)) for s in shapes]
    optimizer = ScaledAdam(params, lr=0.045, clipping_scale=clipping_scale)
    for update in range(1, 241):
        for p in params:
            burst = 5 if update in (51, 148) else 1
            p.grad = 0.1 * burst * torch.randn(p.shape, generator=gradients)
        optimizer.step()
        for i, p in enumerate(params):
            after = expected.get(f"{kind}/after{update}/{i}")
            if after is not None:
                torch.testing.assert_close(p.data, torch.tensor(after), atol=1e-5, rtol=1e-5)


def test_cifs_segments_and_gradients_are_torch_cifs():
    expected, generator = golden("cif"), seeded(3)
    for batch, (rows, frames) in enumerate([(3, 40), (2, 7), (1, 1)]):
        values = {
            name: torch.tensor(expected[f"{batch}/{name}"])
            for name in ("num_frames", "output", "lengths", "complete", "alpha_grad", "input_grad")
        }
        x = torch.randn(rows, frames, 5, generator=generator, dtype=torch.float64)
        alphas = torch.rand(rows, frames, generator=generator, dtype=torch.float64)
        alphas = alphas.masked_fill(padding_mask(values["num_frames"], frames), 0)
        x, alphas = x.requires_grad_(), alphas.requires_grad_()
        weights, lengths = integrate_and_fire(alphas)
        output = weights.double() @ x
        cotangent = torch.randn(output.shape, generator=generator, dtype=torch.float64)
        complete = ~padding_mask(values["complete"], output.shape[1]).unsqueeze(2)
        gradients = torch.autograd.grad(output, [alphas, x], cotangent * complete)
        assert torch.equal(lengths, values["lengths"])
        for ours, theirs in [
            (output * complete, values["output"].double() * complete),
            (gradients[0], values["alpha_grad"].double()),
            (gradients[1], values["input_grad"].double()),
        ]:
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
