"""The Gumbel quantizer against fairseq's definition and by its properties."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.quantizer import GumbelQuantizer


def quantizer(seed: int = 0) -> GumbelQuantizer:
    torch.manual_seed(seed)
    return GumbelQuantizer(16, num_vars=5, groups=2, vq_dim=8)


def test_eval_picks_the_nearest_entry_of_every_codebook():
    module = quantizer().eval()
    x = torch.randn(7, 16)
    out = module(x)
    entries = module.vars[0].view(2, 5, 4)
    for n in range(7):
        best = module.weight_proj(x[n]).view(2, 5).argmax(1)
        assert out.codes[n].tolist() == best.tolist()
        torch.testing.assert_close(out.x[n], torch.cat([entries[g, best[g]] for g in (0, 1)]))


def test_training_is_hard_forward_and_soft_backward():
    module = quantizer().train()
    x = torch.randn(7, 16, requires_grad=True)
    out = module(x, temperature=2.0, generator=torch.Generator().manual_seed(0))
    entries = module.vars[0].view(2, 5, 4)
    chosen = torch.stack([entries[g][out.codes[:, g]] for g in (0, 1)], 1).flatten(1)
    torch.testing.assert_close(out.x, chosen)
    out.x.square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert module.weight_proj.weight.grad.abs().sum() > 0


def test_choices_follow_the_softmax_of_the_logits():
    module = quantizer().train()
    x = torch.randn(1, 16).expand(20000, -1) * 0.2
    out = module(x, temperature=1.0, generator=torch.Generator().manual_seed(0))
    expected = module.weight_proj(x[0]).view(2, 5).softmax(1)
    counts = torch.stack([out.codes[:, g].bincount(minlength=5) for g in (0, 1)]) / 20000
    torch.testing.assert_close(counts, expected, atol=0.015, rtol=0)


def test_the_generator_decides():
    module, x = quantizer().train(), torch.randn(50, 16)
    codes = [module(x, generator=torch.Generator().manual_seed(s)).codes for s in (1, 1, 2)]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])


def test_perplexity_is_the_number_of_codes_when_all_are_used_alike():
    module = quantizer().eval()
    torch.nn.init.zeros_(module.weight_proj.weight)
    out = module(torch.randn(10, 16))
    assert out.prob_perplexity.item() == pytest.approx(10, rel=1e-4)  # 2 groups of 5, uniform
    assert out.code_perplexity.item() == pytest.approx(2, rel=1e-4)  # one code in each
    assert out.diversity_loss().item() == pytest.approx(0, abs=1e-4)


def test_a_width_that_does_not_divide_is_an_error():
    with pytest.raises(BudgetError, match="7 does not divide into 2 groups"):
        GumbelQuantizer(16, num_vars=5, groups=2, vq_dim=7)
