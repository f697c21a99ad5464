"""The log-mel front-end: as many frames as of the convolutions, whatever the padding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_budget.audio.kaldi import num_mfcc_frames
from fairseq_budget.audio.targets import AcousticTarget
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.logmel_frontend import LogMelFrontend


def frontend(dim: int = 6) -> LogMelFrontend:
    torch.manual_seed(0)
    return LogMelFrontend(dim)


def noise(*shape: int) -> torch.Tensor:
    """Noise that swells, so that no frame is like another."""
    swell = torch.linspace(0.01, 0.1, shape[-1])
    return swell * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_every_length_has_as_many_frames_as_of_the_convolutions():
    module, wave = frontend(dim=1), noise(1, 5000)
    found = [module(wave[:, :length]).shape[1] for length in range(400, 1201)]
    assert found == [num_frames(length) for length in range(400, 1201)]
    lengths = torch.arange(400, 500_000)
    assert torch.equal((num_mfcc_frames(lengths) + 1) // 2, num_frames(lengths))


def test_frames_are_pairs_of_teras_log_mel_through_one_layer():
    module, wave = frontend(), noise(2, 16_000)  # an even number of them
    pairs = AcousticTarget("logmel", normalize=True)(wave)
    expected = F.gelu(F.linear(pairs, module.proj.weight, module.proj.bias))
    torch.testing.assert_close(module(wave), expected)


def test_a_last_frame_without_another_stands_beside_zeros():
    module, wave = frontend(), noise(1, 720)
    first, second, third = module.log_mel(wave)[0]
    mean = (first + second + third) / 3
    std = torch.stack([first, second, third]).std(0, correction=0)
    last = torch.cat([(third - mean) / std, torch.zeros(80)])
    torch.testing.assert_close(module(wave)[0, 1], F.gelu(module.proj(last)), atol=1e-4, rtol=1e-4)


def test_padding_is_never_heard_however_loud():
    module = frontend()
    lengths = [9000, 400, 719, 720, 8999, 5521]
    batch = torch.full((len(lengths), 9000), 0.7)
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = noise(length)
    together = module(batch, torch.tensor(lengths))
    for row, wave, length in zip(together, batch, lengths, strict=True):
        alone = module(wave[None, :length])[0]
        torch.testing.assert_close(row[: num_frames(length)], alone, atol=1e-4, rtol=1e-4)


def test_loudness_changes_no_frame():
    module, wave = frontend(), noise(1, 8000)
    torch.testing.assert_close(module(5 * wave), module(wave), atol=1e-3, rtol=1e-3)


def test_silence_is_as_finite_as_sound():
    wave = torch.cat([torch.zeros(1, 4000), noise(1, 4000)], dim=1)
    for each in (wave, torch.zeros(1, 4000)):
        assert torch.isfinite(frontend()(each)).all()


def test_the_layer_learns_and_the_wave_has_no_gradient():
    module, wave = frontend(), noise(1, 4000).requires_grad_()
    module(wave).sum().backward()
    assert wave.grad is None
    assert set(module.state_dict()) == {"proj.weight", "proj.bias"}
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_energies_are_computed_in_float32_whatever_surrounds_them(dtype):
    wave = noise(2, 8000)
    exact = frontend()(wave)
    with torch.autocast("cpu", dtype):
        cast = frontend()(wave)
    for out in (cast, frontend().to(dtype)(wave)):
        assert out.dtype is dtype
        assert (out.float() - exact).norm() < 0.01 * exact.norm()
