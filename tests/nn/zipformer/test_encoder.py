"""The whole Zipformer: counts, rates, padding, randomness, precision."""

import contextlib

import pytest
import torch

from fairseq_budget.nn.heads import ClusterHead
from fairseq_budget.nn.zipformer.encoder import DownsampledStack, ZipformerEncoder, ZipformerStack
from fairseq_budget.nn.zipformer.regularizers import Balancer, Whiten
from fairseq_budget.sizes import ZIPFORMER_SIZES, ZipformerSize
from tests.nn.zipformer.drawn import noise

pytestmark = pytest.mark.slow

TINY = ZipformerSize(
    encoder_layers=(1, 2, 1, 1),
    encoder_embed_dim=(12, 16, 24, 16),
    encoder_ffn_embed_dim=(16, 16, 24, 16),
    unmasked_dim=(8, 8, 12, 8),
    encoder_attention_heads=(2, 2, 2, 2),
    conv_kernel=(5, 5, 3, 5),
    downsampling=(1, 2, 8, 2),
    pos_dim=8,
)
LENGTHS = (21, 13, 8, 3, 1)


def tiny(**options) -> ZipformerEncoder:
    """An encoder whose modules all matter: initial weights are too small to notice errors."""
    torch.manual_seed(0)
    encoder = ZipformerEncoder(TINY, **options)
    encoder.set_adjusted_batch_count(0)
    for name, parameter in encoder.named_parameters():
        if name.endswith(("out_proj.weight", "linear_pos.weight", "downsample.bias")):
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder


def padded_batch() -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(LENGTHS[0]) >= torch.tensor(LENGTHS)[:, None]
    return noise(len(LENGTHS), LENGTHS[0], 12), mask


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("zipformer_small", 20_106_394),
        ("zipformer_base", 94_561_917),
        ("zipformer_large", 305_938_464),
    ],
)
def test_parameters_of_a_hubert_model_are_k2ssls(name, parameters):
    size = ZIPFORMER_SIZES[name]
    with torch.device("meta"):
        encoder = ZipformerEncoder(size)
        head = ClusterHead(encoder.output_dim, 256, [504], kind="linear", temperature=0.1)
    front_end = 4_200_448 + 2 * 512 + 512 * encoder.input_dim + encoder.input_dim
    modules = sum(p.numel() for module in (encoder, head) for p in module.parameters())
    assert front_end + encoder.input_dim + modules == parameters  # one more: mask embedding


@pytest.mark.parametrize(("name", "tensors"), [("zipformer_base", 731), ("zipformer_large", 863)])
def test_tensors_and_regularizers_are_as_many_as_the_recipes(name, tensors):
    with torch.device("meta"):
        encoder = ZipformerEncoder(ZIPFORMER_SIZES[name])
    num_layers = sum(ZIPFORMER_SIZES[name].encoder_layers)
    assert len(list(encoder.parameters())) + 16 == tensors  # 16 in front-end, mask and head
    assert sum(isinstance(m, Balancer) for m in encoder.modules()) == 14 * num_layers
    assert sum(isinstance(m, Whiten) for m in encoder.modules()) == 11 * num_layers


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 9, 40])
def test_states_are_the_input_and_every_stacks_output_at_one_rate_and_width(frames):
    encoder = tiny()
    for training in (False, True):
        states = encoder.train(training)(noise(2, frames, encoder.input_dim), None, seeded(0))
        assert len(states) == 5
        assert all(state.shape == (2, frames, encoder.output_dim) for state in states)
        assert all(state.isfinite().all() for state in states)


def test_each_channel_of_the_output_is_that_of_the_latest_stack_that_has_it():
    encoder, x = tiny().eval(), noise(1, 9, 12)
    outputs: list[torch.Tensor] = []
    for stack in encoder.encoders:
        stack.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    states = encoder(x, None)
    expected = torch.cat([outputs[3], outputs[2][..., 16:]], dim=2)
    assert torch.equal(states[-1], expected)
    assert torch.equal(states[0][..., :12], x)
    assert torch.equal(states[1][..., :12], outputs[0])
    assert not states[1][..., 12:].any()


def test_padding_and_batch_mates_do_not_change_valid_frames():
    encoder = tiny().eval()
    x, mask = padded_batch()
    together = encoder(x, mask)
    for row, length in enumerate(LENGTHS):
        alone = encoder(x[row : row + 1, :length], None)
        for padded, single in zip(together, alone, strict=True):
            torch.testing.assert_close(padded[row, :length], single[0], atol=1e-5, rtol=1e-4)


def test_what_lies_in_the_padding_is_never_heard_unless_asked_for():
    x, mask = padded_batch()
    loud = torch.where(mask[..., None], torch.tensor(50.0), x)
    for mask_padding in (True, False):
        encoder = tiny(mask_padding=mask_padding).eval()
        quiet, noisy = (encoder(wave, mask)[-1][~mask] for wave in (x, loud))
        assert torch.allclose(quiet, noisy, atol=1e-5) is mask_padding


def test_no_gradient_flows_into_padding():
    encoder = tiny().eval()
    x, mask = padded_batch()
    x.requires_grad_()
    encoder(x, mask)[-1][~mask].square().sum().backward()
    assert not x.grad[mask].any()
    assert x.grad[~mask].any(1).all()


def test_eval_is_deterministic_and_ignores_generator_and_schedule():
    encoder, x = tiny().eval(), noise(2, 9, 12)
    first = encoder(x, None, seeded(1))[-1]
    encoder.set_adjusted_batch_count(1e5)
    before = torch.random.get_rng_state()
    assert torch.equal(first, encoder(x, None)[-1])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_is_a_function_of_its_generator_alone():
    encoder, x = tiny().train(), noise(3, 9, 12)

    def run(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        encoder.zero_grad()
        output = encoder(x, None, seeded(seed))[-1]
        output.pow(3).sum().backward()
        return output, encoder.encoders[0].layers[0].feed_forward1.in_proj.weight.grad.clone()

    first = run(1)
    before = torch.random.get_rng_state()
    torch.rand(5)
    second = run(1)
    torch.random.set_rng_state(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.allclose(first[0], run(2)[0])


def test_gradient_reaches_every_trained_parameter_whatever_is_skipped():
    encoder = tiny().train()
    x, mask = padded_batch()
    for seed in range(5):
        encoder.zero_grad()
        encoder(x, mask, seeded(seed))[-1][~mask].square().sum().backward()
        without = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []
        grads = [p.grad for p in encoder.parameters() if p.requires_grad]
        assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_finite_gradients_near_the_exact_ones(dtype):
    gradients = []
    for context in (contextlib.nullcontext(), torch.autocast("cpu", dtype)):
        encoder = tiny().train()
        x, mask = padded_batch()
        with context:
            output = encoder(x, mask, seeded(0))[-1]
        (output.float()[~mask] * noise(*output[~mask].shape)).sum().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in encoder.parameters() if p.requires_grad])
        )
    assert gradients[1].isfinite().all()
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_trains_finitely(dtype):
    encoder = tiny().train().to(dtype)
    x, mask = padded_batch()
    output = encoder(x.to(dtype), mask, seeded(0))[-1]
    assert output.dtype is dtype
    output[~mask].float().mean().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.requires_grad)


def test_balancers_and_whitening_change_gradients_only_and_can_be_switched_off():
    def run(**options) -> tuple[torch.Tensor, torch.Tensor]:
        encoder = tiny(**options).train()
        output = encoder(noise(3, 30, 12), None, seeded(3))[-1]
        output.pow(3).sum().backward()
        return output, encoder.encoders[0].layers[0].feed_forward1.in_proj.weight.grad

    plain = run(balancers=False, whiten=False)
    for options in ({}, {"whiten": False}, {"balancers": False}):
        output, gradient = run(**options)
        assert torch.equal(output, plain[0])
        assert not torch.allclose(gradient, plain[1], rtol=1e-6, atol=0)


def test_layers_come_in_one_window_after_the_other():
    with torch.device("meta"):
        encoder = ZipformerEncoder(ZIPFORMER_SIZES["zipformer_base"])
    first, second = encoder.encoders[0].layers[0], encoder.encoders[1].encoder.layers[1]
    window = 4000 / 7
    assert first.bypass.skip_prob.at(window) == 0.5
    assert first.bypass.skip_prob.at(1.5 * window) == pytest.approx(0.035)
    assert second.bypass.skip_prob.at(2.5 * window) == 0.5
    assert second.bypass.skip_prob.at(3 * window) == pytest.approx(0.035 * 2**0.5)


def test_the_schedule_follows_the_adjusted_batch_count():
    x = noise(300, 2, 12)
    shares = []
    for count in (0, 1e6):
        encoder = tiny(dropout=0.0).train()
        encoder.set_adjusted_batch_count(count)
        layer = encoder.encoders[0].layers[0]
        seen = []
        layer.bypass.register_forward_hook(lambda m, inputs, y, seen=seen: seen.append((inputs, y)))
        encoder(x, None, seeded(0))
        (before, _, _), after = seen[0]
        shares.append(float((before == after).all(2).all(1).float().mean()))
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.035, abs=0.035)


def test_the_feature_mask_hides_the_same_utterances_in_all_stacks():
    encoder = tiny().train()
    seen = []
    for stack in encoder.encoders:
        stack.register_forward_hook(lambda m, inputs, y, seen=seen: seen.append(inputs[2]))
    encoder(noise(400, 1, 12), None, seeded(0))
    for mask, dim, free in zip(seen, TINY.encoder_embed_dim, TINY.unmasked_dim, strict=True):
        assert mask.shape == (400, 1, dim)
        assert mask[..., :free].all()
        assert torch.equal(mask[..., free], seen[0][..., 8])
        assert torch.equal(mask[..., -1], seen[0][..., -1])
    assert float(1 - seen[0][..., 8].mean()) == pytest.approx(1 / 8, abs=0.05)
    assert float(1 - seen[0][..., -1].mean()) == pytest.approx(1 - (7 / 8) ** 2, abs=0.07)


def test_only_lower_rates_need_down_and_upsampling():
    stacks = tiny().encoders
    assert [type(stack) for stack in stacks] == [ZipformerStack] + 3 * [DownsampledStack]


def test_a_short_training_lowers_the_loss():
    encoder = ZipformerEncoder(TINY, dropout=0.0)
    encoder.set_adjusted_batch_count(1e6)
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=3e-3)
    x, target = noise(4, 16, 12), noise(4, 16, 24, seed=1)
    losses = []
    for update in range(30):
        loss = (encoder(x, None, seeded(update))[-1] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
