"""wav2vec 2.0's loss by brute force, and what negatives may be."""

import torch

from fairseq_budget.losses.contrastive import contrastive_logits, info_nce, sample_negatives

COUNTS = torch.tensor([4, 0, 1, 7])
ROWS = torch.tensor([0] * 4 + [2] + [3] * 7)


def draw(seed: int = 0, num_negatives: int = 200) -> torch.Tensor:
    return sample_negatives(COUNTS, ROWS, num_negatives, torch.Generator().manual_seed(seed))


def test_negatives_are_other_masked_frames_of_the_same_utterance():
    negatives = draw()
    for frame in range(len(ROWS)):
        others = [n for n in range(len(ROWS)) if ROWS[n] == ROWS[frame] and n != frame]
        assert set(negatives[frame].tolist()) == (set(others) or {frame})


def test_negatives_are_uniform():
    counts = draw(num_negatives=60000)[6].bincount(minlength=12)[5:]
    assert counts[1] == 0  # itself
    assert (counts[[0, 2, 3, 4, 5, 6]] / 10000 - 1).abs().max() < 0.05


def test_negatives_are_a_function_of_the_generator():
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_logits_and_loss_equal_brute_force():
    torch.manual_seed(0)
    context, target = torch.randn(5, 8), torch.randn(5, 8)
    negatives = torch.tensor([[1, 2], [0, 0], [4, 3], [0, 1], [2, 2]])
    codes = torch.arange(5).unsqueeze(1)
    logits = contrastive_logits(context, target, negatives, codes, temperature=0.1)
    total = 0.0
    for n in range(5):
        candidates = [target[n], *(target[k] for k in negatives[n])]
        similarities = torch.stack(
            [torch.cosine_similarity(context[n], c, dim=0) / 0.1 for c in candidates]
        )
        torch.testing.assert_close(logits[n], similarities)
        total -= similarities.log_softmax(0)[0]
    torch.testing.assert_close(info_nce(logits).sum, total)
    assert info_nce(logits).count == 5


def test_a_negative_with_the_true_codes_does_not_count():
    target = torch.randn(3, 8)
    codes = torch.tensor([[1, 2], [1, 2], [1, 3]])
    negatives = torch.tensor([[1, 2], [2, 0], [0, 1]])
    logits = contrastive_logits(target, target, negatives, codes, temperature=0.1)
    assert torch.isinf(logits[:, 1:]).tolist() == [[True, False], [False, True], [False, False]]
    assert torch.isfinite(info_nce(logits).sum)


def test_a_lone_masked_frame_costs_nothing_and_is_finite():
    context = torch.randn(1, 8, requires_grad=True)
    negatives = sample_negatives(torch.tensor([1]), torch.tensor([0]), 5)
    logits = contrastive_logits(
        context, torch.randn(1, 8), negatives, torch.zeros(1, 1), temperature=0.1
    )
    term = info_nce(logits)
    term.sum.backward()
    assert term.sum.item() == 0
    assert torch.isfinite(context.grad).all()
