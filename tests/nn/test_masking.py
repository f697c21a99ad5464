"""Span masks and alterations, by their properties."""

import numpy as np
import pytest
import torch

from fairseq_budget.nn.masking import (
    Masking,
    add_magnitude_noise,
    mask_channel_block,
    seed_from,
    span_mask,
)


def draw(num_frames: int, seed: int = 0, prob: float = 0.8, length: int = 10) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return span_mask(num_frames, prob=prob, length=length, min_masks=2, rng=rng)


def test_about_half_of_a_long_utterance_is_masked():
    share = np.mean([draw(750, seed).mean() for seed in range(50)])
    assert 0.5 < share < 0.6  # overlap: 1 - exp(-.8) = .55


def test_spans_are_at_least_as_long_as_asked():
    for seed in range(50):
        edges = np.flatnonzero(np.diff(np.r_[0, draw(200, seed).astype(int), 0]))
        assert np.min(edges[1::2] - edges[::2]) >= 10


@pytest.mark.parametrize("num_frames", [*range(30), 49])
def test_any_length_works_and_the_last_frame_is_never_masked(num_frames):
    for seed in range(20):
        mask = draw(num_frames, seed)
        assert mask.shape == (num_frames,)
        assert not mask[-1:].any()
        assert mask.any() == (num_frames >= 2)


def test_zero_probability_masks_nothing():
    assert not draw(100, prob=0.0).any()


def batch_masks(*lengths: int, equal: bool, seed: int = 0) -> np.ndarray:
    rngs = [np.random.default_rng((seed, row)) for row in range(len(lengths))]
    return Masking(0.8, 10, equal=equal).batch(np.array(lengths), rngs)


def test_equal_masks_take_frames_back_until_all_utterances_have_as_many():
    free, equal = (batch_masks(49, 200, 1, 120, equal=equal) for equal in (False, True))
    counts = free.sum(1)
    assert len(set(counts)) == 4
    assert not (equal & ~free).any()
    assert equal.sum(1).tolist() == [counts[0], counts[0], 0, counts[0]]


def test_what_equal_masks_take_back_is_the_utterances_own_draw():
    first, second = (batch_masks(400, 49, mate, equal=True) for mate in (300, 200))
    np.testing.assert_array_equal(first[:2], second[:2])  # the shortest mate decides how many


def test_equal_masks_hide_as_much_as_fairseqs_and_in_runs_as_short():
    data_utils = pytest.importorskip("fairseq.data.data_utils")
    for num_frames, share, run in ((49, 0.43, 3.7), (200, 0.50, 6.0), (780, 0.53, 8.6)):
        found = []
        for seed in range(60):
            theirs = data_utils.compute_mask_indices(
                (8, num_frames), None, 0.8, 10, min_masks=2,
                seed=1, epoch=seed, indices=torch.arange(8),
            )  # fmt: skip
            found.append((batch_masks(*[num_frames] * 8, equal=True, seed=seed), theirs))
        ours, theirs = map(np.concatenate, zip(*found, strict=True))
        assert ours.mean() == pytest.approx(theirs.mean(), abs=0.025)
        assert ours.mean() == pytest.approx(share, abs=0.025)
        assert mean_run(ours) == pytest.approx(mean_run(theirs), rel=0.1)
        assert mean_run(ours) == pytest.approx(run, rel=0.1)


def mean_run(mask: np.ndarray) -> float:
    return mask.sum() / (np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1)))) == 1).sum()


def test_seeds_are_functions_of_all_their_keys():
    keys = [(1, 2, 3), (1, 3, 2), (1, 2), (2, 2, 3), (1, 2, 3, 0)]
    assert len({seed_from(*k) for k in keys}) == len(keys)
    assert seed_from(1, 2, 3) == seed_from(1, 2, 3)
    assert 0 <= seed_from(5) < 2**63


def test_channel_blocks_are_contiguous_shared_by_frames_and_at_most_as_wide_as_asked():
    x = torch.ones(200, 3, 50)
    out = mask_channel_block(x, max_width=0.2, generator=torch.Generator().manual_seed(0))
    zeroed = out == 0
    assert torch.equal(zeroed[:, 0], zeroed[:, 2])
    widths = zeroed[:, 0].sum(1)
    assert set(widths.tolist()) == set(range(11))
    edges = zeroed[:, 0].int().diff(dim=1).abs().sum(1)
    assert edges.max() <= 2  # one block
    assert zeroed.any(0).any(0).all()  # every channel can be hit


def test_noise_falls_on_the_asked_share_with_the_asked_spread():
    x = torch.zeros(1000, 4, 8)
    generator = torch.Generator().manual_seed(0)
    out = add_magnitude_noise(x, prob=0.15, std=0.2, generator=generator)
    noisy = out.flatten(1).any(1)
    assert 0.1 < noisy.float().mean() < 0.2
    assert abs(out[noisy].std().item() - 0.2) < 0.01
