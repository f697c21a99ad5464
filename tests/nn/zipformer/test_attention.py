"""The Zipformer's attention against loops over heads and frames."""

import pytest
import torch

from fairseq_budget.nn.zipformer.attention import (
    SKIP_POSITIONS,
    NonlinAttention,
    RelativeAttentionWeights,
    SelfAttention,
    shift_to_absolute,
)
from fairseq_budget.nn.zipformer.chance import EVAL, Chance
from fairseq_budget.nn.zipformer.layers import relative_positions
from fairseq_budget.sizes import ZipformerSize
from tests.nn.zipformer.drawn import noise

SIZE = ZipformerSize(
    encoder_layers=(1,), encoder_embed_dim=(16,), encoder_ffn_embed_dim=(16,), unmasked_dim=(16,),
    encoder_attention_heads=(2,), conv_kernel=(3,), downsampling=(1,),
    query_head_dim=5, value_head_dim=3, pos_head_dim=4, pos_dim=8,
)  # fmt: skip


def attention(seed: int = 0) -> RelativeAttentionWeights:
    torch.manual_seed(seed)
    module = RelativeAttentionWeights(SIZE, 0)
    torch.nn.init.normal_(module.linear_pos.weight)  # initially too small to matter
    return module


def looped_weights(module, x, positions, padding_mask):
    """Weights of one utterance by the definition, one score at a time: (H, T, T)."""
    frames = len(x)
    projected, keys = module.in_proj(x), module.linear_pos(positions)
    scores = torch.empty(2, frames, frames)
    for head in range(2):
        query, key, pos_query = (
            part.reshape(frames, 2, -1)[:, head] for part in projected.split([10, 10, 8], dim=1)
        )
        pos_key = keys.reshape(2 * frames - 1, 2, 4)[:, head]
        for t in range(frames):
            for s in range(frames):
                position = pos_query[t] @ pos_key[frames - 1 + s - t]
                scores[head, t, s] = query[t] @ key[s] + position
    return scores.masked_fill(padding_mask, -torch.inf).softmax(2)


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_attention_weights_equal_a_loop_over_heads_and_frames(frames):
    module, x = attention(), noise(2, frames, 16)
    positions = relative_positions(frames, 8)
    mask = torch.zeros(2, frames, dtype=torch.bool)
    mask[1, (frames + 1) // 2 :] = True
    found = module(x, positions, mask)
    for row in range(2):
        expected = looped_weights(module, x[row], positions, mask[row])
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_scores_by_offset_become_scores_by_frame(frames):
    scores = noise(2, 3, frames, 2 * frames - 1)
    shifted = shift_to_absolute(scores)
    for t in range(frames):
        for s in range(frames):
            assert torch.equal(shifted[:, :, t, s], scores[:, :, t, frames - 1 + s - t])


def test_moving_an_utterance_in_time_moves_its_weights():
    module = attention()
    x = noise(1, 1, 16).expand(1, 6, 16)  # nothing but position differs
    weights = module(x, relative_positions(6, 8), None)[0]
    ratio = weights[:, 1:, 1:] / weights[:, :-1, :-1]  # normalisation apart, a Toeplitz matrix
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio), atol=1e-4, rtol=1e-4)


def test_an_utterance_of_padding_alone_stays_finite():
    weights = attention()(noise(1, 4, 16), relative_positions(4, 8), torch.ones(1, 4).bool())
    assert weights.isfinite().all()


def test_softmax_of_half_precision_scores_has_the_gradient_of_the_exact_one():
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        module = attention().to(dtype)
        x = noise(1, 6, 16).to(dtype).requires_grad_()
        weights = module(x, relative_positions(6, 8), None)
        assert weights.dtype is dtype
        (weights * noise(1, 2, 6, 6, seed=1).to(dtype)).sum().backward()
        grads.append(x.grad.float())
    torch.testing.assert_close(grads[1], grads[0], atol=0.05, rtol=0.1)


def test_positions_are_sometimes_ignored_early_in_training_but_keep_a_gradient():
    module, x = attention(), noise(1, 5, 16)
    blind = []
    for seed in range(40):
        chance = Chance(True, generator=torch.Generator().manual_seed(seed))
        weights = module(x, relative_positions(5, 8), None, chance)
        module.zero_grad()
        weights[0, 0, 0, 0].backward()
        blind.append(not module.linear_pos.weight.grad.any())
    assert 8 < sum(blind) < 32
    assert SKIP_POSITIONS.at(4000) == 0


def test_self_attention_equals_a_loop_over_heads():
    torch.manual_seed(0)
    module, x = SelfAttention(SIZE, 0), noise(2, 5, 16)
    weights = noise(2, 2, 5, 5, seed=1).softmax(3)
    value = module.in_proj(x)
    heads = [weights[:, head] @ value[..., 3 * head : 3 * head + 3] for head in range(2)]
    torch.testing.assert_close(module(x, weights, EVAL), module.out_proj(torch.cat(heads, 2)))


def test_nonlinear_attention_is_its_formula():
    torch.manual_seed(0)
    module, x = NonlinAttention(16), noise(2, 5, 16)
    weights = noise(2, 5, 5, seed=1).softmax(2)
    gate, value, out_gate = module.in_proj(x).split(12, dim=2)
    averaged = torch.einsum("bts,bsc->btc", weights, value * torch.tanh(gate))
    torch.testing.assert_close(module(x, weights, EVAL), module.out_proj(averaged * out_gate))
