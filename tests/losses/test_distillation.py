"""DistilHuBERT's loss against a loop, and its padding."""

import math

import torch
import torch.nn.functional as F

from fairseq_budget.losses.distillation import layer_distances
from fairseq_budget.nn.lengths import padding_mask


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, 4, 5)  # B, T, N, D
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_it_is_the_mean_over_frames_and_layers_of_both_terms():
    prediction, target = batch()
    expected = 0.0
    for b in range(2):
        for t in range(3):
            for n in range(4):
                p, q = prediction[b, t, n], target[b, t, n]
                cosine = (p @ q / (p.norm() * q.norm())).item()
                expected += (p - q).abs().mean().item() + math.log1p(math.exp(-cosine))
    term = layer_distances(prediction, target, None).loss(1.0)
    assert term.count == 24
    torch.testing.assert_close(term.sum, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_it_is_the_loss_of_the_published_code_on_whole_batches():
    prediction, target = batch(1)
    l1 = F.l1_loss(prediction, target)
    cosine = -F.logsigmoid(F.cosine_similarity(prediction, target, dim=-1)).mean()
    term = layer_distances(prediction, target, None).loss(1.0)
    torch.testing.assert_close(term.sum / term.count, l1 + cosine)


def test_padding_adds_nothing():
    prediction, target = batch(2)
    mask = padding_mask(torch.tensor([3, 1]), 3)
    padded = layer_distances(prediction, target, mask).loss(0.5)
    parts = [
        layer_distances(prediction[:1], target[:1], None).loss(0.5),
        layer_distances(prediction[1:, :1], target[1:, :1], None).loss(0.5),
    ]
    torch.testing.assert_close(padded.sum, parts[0].sum + parts[1].sum)
    assert int(padded.count) == parts[0].count + parts[1].count


def test_a_perfect_prediction_costs_what_the_cosine_leaves():
    target = batch(3)[0]
    found = layer_distances(target, target, None)
    assert found.l1.sum() == 0
    torch.testing.assert_close(found.cosine.sum() / 24, torch.tensor(math.log1p(math.exp(-1))))
