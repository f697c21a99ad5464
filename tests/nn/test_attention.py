"""Attention with dropout, step by step, against torch's own way."""

from __future__ import annotations

import pytest
import torch

from fairseq_budget.nn import attention
from fairseq_budget.nn.attention import SelfAttention, attend_in_steps, fused_attention


@pytest.mark.parametrize("padded", [False, True])
def test_step_by_step_it_is_the_fused_kernels(padded):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 7, 4, requires_grad=True) for _ in range(3)]
    mask = torch.arange(7) >= torch.tensor([[7], [4]]) if padded else None
    results = []
    for attend in (attend_in_steps, fused_attention):
        out = attend(*inputs, mask, 0.0)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for own, fused in zip(*results, strict=True):
        torch.testing.assert_close(own, fused)


def test_an_utterance_without_a_frame_is_no_nan():
    inputs = [torch.randn(2, 3, 7, 4, requires_grad=True) for _ in range(3)]
    out = attend_in_steps(*inputs, torch.ones(2, 7, dtype=torch.bool), 0.5)
    assert all(x.isfinite().all() for x in (out, *torch.autograd.grad(out.sum(), inputs)))


def test_weights_of_a_trained_layer_are_dropped_and_keep_their_mean():
    torch.manual_seed(0)
    layer = SelfAttention(8, 2, dropout=0.3)
    x = torch.randn(1, 5, 8)
    exact = layer.eval()(x, None)
    layer.train()
    outs = torch.stack([layer(x, None) for _ in range(3000)])
    assert outs.std(0).min() > 0.01
    torch.testing.assert_close(outs.mean(0), exact, atol=0.01, rtol=0.05)


def test_a_layer_without_dropout_takes_the_fused_kernel(monkeypatch):
    monkeypatch.setattr(attention, "attend_in_steps", None)
    SelfAttention(8, 2, dropout=0.0).train()(torch.randn(1, 5, 8), None)
    SelfAttention(8, 2, dropout=0.3).eval()(torch.randn(1, 5, 8), None)
