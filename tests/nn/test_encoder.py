"""The encoder: shapes, padding, gradients, determinism, precision."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

FRONTENDS = {
    "default": {},
    "layer_norm": {"extractor_mode": "layer_norm"},
    "logmel": {"frontend": "logmel"},
}


def tiny_encoder(seed: int = 0, **overrides) -> SpeechEncoder:
    torch.manual_seed(seed)
    return SpeechEncoder(EncoderConfig(size="tiny", **overrides))


def waves(*num_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of the given lengths as a padded batch (B, S) and its lengths (B,)."""
    generator = torch.Generator().manual_seed(1)
    batch = torch.zeros(len(num_samples), max(num_samples))
    for row, length in zip(batch, num_samples, strict=True):
        row[:length] = 0.1 * torch.randn(length, generator=generator) + 0.02
    return batch, torch.tensor(num_samples)


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_padding_does_not_change_valid_frames(frontend, norm_first, normalize):
    fields = {"layer_norm_first": norm_first, "normalize": normalize, **FRONTENDS[frontend]}
    encoder = tiny_encoder(**fields).eval()
    batch, lengths = waves(16000, 9000, 800, 400)
    together = encoder(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(batch[row : row + 1, :length])
        frames = num_frames(length)
        for padded, single in zip(together.hidden_states, alone.hidden_states, strict=True):
            torch.testing.assert_close(padded[row, :frames], single[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_what_lies_in_the_padding_is_never_heard(frontend):
    encoder = tiny_encoder(normalize=True, **FRONTENDS[frontend]).eval()
    batch, lengths = waves(8000, 4000)
    clean = encoder(batch, lengths).last_hidden_state
    batch[1, 4000:] = 100.0
    loud = encoder(batch, lengths).last_hidden_state
    frames = num_frames(4000)
    torch.testing.assert_close(loud[1, :frames], clean[1, :frames], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_feature_penalty_counts_valid_frames_only(frontend):
    encoder = tiny_encoder(**FRONTENDS[frontend]).eval()
    batch, lengths = waves(8000, 4000)
    total, count = encoder(batch, lengths).feature_penalty
    parts = [encoder(batch[i : i + 1, :n]).feature_penalty for i, n in enumerate([8000, 4000])]
    torch.testing.assert_close(total, parts[0][0] + parts[1][0], rtol=1e-4, atol=1e-4)
    assert int(count) == parts[0][1] + parts[1][1]


def test_hidden_states_are_input_and_output_of_every_layer():
    encoder = tiny_encoder(encoder_layers=5)
    batch, _ = waves(8000, 8000)
    for training in (True, False):
        states = encoder.train(training)(batch).hidden_states
        assert len(states) == 6
        assert all(s.shape == (2, num_frames(8000), 128) for s in states)


def test_masked_frames_are_replaced_by_the_mask_embedding():
    encoder = tiny_encoder().eval()
    batch, _ = waves(8000)
    everything = torch.ones(1, num_frames(8000), dtype=torch.bool)
    other, _ = waves(8000, 8000)
    hidden = encoder(batch, mask_indices=everything).last_hidden_state
    same = encoder(other[1:], mask_indices=everything).last_hidden_state
    torch.testing.assert_close(hidden, same)  # nothing of the wave is left
    assert not torch.allclose(hidden, encoder(batch).last_hidden_state)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_gradient_reaches_every_parameter(frontend):
    encoder = tiny_encoder(encoder_layerdrop=0.0, **FRONTENDS[frontend])
    batch, lengths = waves(8000, 6000)
    mask = torch.zeros(2, num_frames(8000), dtype=torch.bool)
    mask[:, 3:9] = True
    encoder(batch, lengths, mask_indices=mask).last_hidden_state.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize("name", ["conv_layers.0.0.weight", "proj.weight"])
def test_feature_grad_mult_scales_the_front_end_only(name):
    frontend = "logmel" if name == "proj.weight" else "conv"
    grads = {}
    for scale in (1.0, 0.1, 0.0):
        encoder = tiny_encoder(feature_grad_mult=scale, frontend=frontend).eval()
        encoder(waves(8000)[0]).last_hidden_state.pow(3).sum().backward()
        grads[scale] = (
            encoder.feature_extractor.get_parameter(name).grad,
            encoder.encoder.layers[0].fc1.weight.grad,
        )
    assert grads[0.0][0] is None
    for scale, scaled, full in zip((0.1, 1.0), grads[0.1], grads[1.0], strict=True):
        # sums of terms that cancel: rounding goes by the terms' size, not by each sum's
        atol = 1e-4 * scale * full.abs().max().item()
        torch.testing.assert_close(scaled, full * scale, rtol=1e-3, atol=atol)


def test_eval_is_deterministic_and_ignores_generators():
    encoder = tiny_encoder(encoder_layerdrop=0.9, channel_mask_width=0.5, noise_prob=1.0).eval()
    batch, _ = waves(8000)
    noise = torch.Generator().manual_seed(3)
    first = encoder(batch).last_hidden_state
    assert torch.equal(first, encoder(batch, noise_generator=noise).last_hidden_state)


def test_the_same_generators_alter_and_skip_alike():
    encoder = tiny_encoder(
        encoder_layers=8, encoder_layerdrop=0.5, channel_mask_width=0.5, noise_prob=0.5,
        dropout=0.0, attention_dropout=0.0, dropout_input=0.0,
    )  # fmt: skip
    batch, _ = waves(8000, 8000)

    def run(seed: int) -> torch.Tensor:
        return encoder(
            batch,
            layer_generator=torch.Generator().manual_seed(seed),
            noise_generator=torch.Generator().manual_seed(seed),
        ).last_hidden_state

    assert torch.equal(run(1), run(1))
    assert not torch.allclose(run(1), run(2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_half_precision_is_finite_and_close(dtype, frontend):
    full = tiny_encoder(normalize=True, **FRONTENDS[frontend]).eval()
    half = tiny_encoder(normalize=True, **FRONTENDS[frontend]).eval().to(dtype)
    batch, lengths = waves(8000, 6000)
    out = half(batch, lengths).last_hidden_state
    assert out.dtype is dtype
    reference = full(batch, lengths).last_hidden_state
    assert (out.float() - reference).abs()[~full(batch, lengths).padding_mask].mean() < 0.05


def test_less_than_one_frame_is_an_error_that_says_so():
    with pytest.raises(BudgetError, match="399 samples is shorter than one frame"):
        tiny_encoder()(torch.zeros(1, 399))


def test_single_dimensions_override_the_size():
    config = EncoderConfig(size="slim", encoder_layers=2).resolved()
    assert (config.encoder_layers, config.encoder_embed_dim) == (2, 384)


def test_unknown_size_names_the_known_ones():
    with pytest.raises(BudgetError, match=r"size='huge': expected one of .*slim_30"):
        EncoderConfig(size="huge").resolved()


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(BudgetError, match="128 does not divide into encoder_attention_heads 5"):
        tiny_encoder(encoder_attention_heads=5)
