"""CIF against its plain recurrence, its closed forms, and finite differences."""

import pytest
import torch

from fairseq_budget.nn.cif import CifPredictor, fired_frames, integrate_and_fire, num_segments


def random_alphas(*shape: int, seed: int = 0, mean: float = -1.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, generator=generator, dtype=torch.float64) + mean
    return logits.sigmoid()


def recurrence(alphas: list[float], frames: torch.Tensor) -> list[torch.Tensor]:
    """The segments of one utterance as the CIF paper describes them, frame by frame."""
    segments, current, carried = [], torch.zeros_like(frames[0]), 0.0
    for alpha, frame in zip(alphas, frames, strict=True):
        if carried + alpha < 1:
            current, carried = current + alpha * frame, carried + alpha
        else:
            share = 1 - carried
            segments.append(current + share * frame)
            carried = alpha - share
            current = carried * frame
    if carried >= 0.5 or not segments:
        segments.append(current / carried)
    return segments


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_the_plain_recurrence(seed):
    alphas, frames = random_alphas(1, 60, seed=seed), torch.randn(60, 4, dtype=torch.float64)
    expected = torch.stack(recurrence(alphas[0].tolist(), frames))
    weights, lengths = integrate_and_fire(alphas)
    assert lengths.tolist() == [len(expected)]
    torch.testing.assert_close(weights[0] @ frames.float(), expected.float(), atol=1e-5, rtol=1e-5)


def test_rows_sum_to_one_and_columns_to_alpha():
    alphas = random_alphas(3, 200)
    alphas[1, 150:] = 0  # padding
    weights, lengths = integrate_and_fire(alphas)
    valid = torch.arange(weights.shape[1]) < lengths.unsqueeze(1)
    torch.testing.assert_close(weights.sum(2), valid.float(), atol=1e-5, rtol=0)
    last = weights.argmax(1).eq(lengths.unsqueeze(1) - 1) | (weights.sum(1) == 0)
    columns = weights.sum(1)[~last], alphas.float()[~last]  # the last segment may be scaled
    torch.testing.assert_close(*columns, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rate", [2, 3, 4, 5, 7, 8, 10])
def test_constant_weights_are_average_pooling(rate):
    frames = torch.randn(1, 12 * rate, 3)
    alphas = torch.full((1, 12 * rate), 1 / rate, dtype=torch.float64)
    weights, lengths = integrate_and_fire(alphas)
    assert lengths.item() == 12
    means = frames.unflatten(1, (12, rate)).mean(2)
    torch.testing.assert_close(weights @ frames, means, atol=1e-5, rtol=1e-5)
    ends = fired_frames(alphas, lengths, torch.tensor([12 * rate]))
    expected = rate * torch.arange(1, 13, dtype=torch.float64)
    torch.testing.assert_close(ends[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate", [3, 7, 10])
def test_ten_minutes_of_constant_weights_pass_without_a_misfire(rate):
    num_frames = 30_000 // rate * rate
    alphas = torch.full((1, num_frames), 1 / rate, dtype=torch.float64)
    lengths = num_segments(alphas.cumsum(1)[:, -1])
    assert lengths.item() == num_frames // rate
    ends = fired_frames(alphas, lengths, torch.tensor([num_frames]))[0]
    expected = rate * torch.arange(1, num_frames // rate + 1)
    torch.testing.assert_close(ends, expected.double(), atol=1e-3, rtol=0)


def test_ten_minutes_of_random_weights_fire_where_exact_arithmetic_does():
    units = 1 << 20
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(units // 8, units // 2, (30_000,), generator=generator)
    sums = whole.cumsum(0)  # integers
    frame = 1 + (sums[1:] // units != sums[:-1] // units).nonzero().flatten()
    exact = frame + 1 - (sums[frame] % units) / whole[frame]
    alphas = (whole.float() / units)[None]  # float32 without an error
    lengths = num_segments(alphas.double().cumsum(1)[:, -1])
    ends = fired_frames(alphas, lengths, torch.tensor([30_000]))[0]
    torch.testing.assert_close(ends[: len(exact)], exact.double(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_lengths_come_from_the_weights_whatever_their_precision(dtype):
    alphas = random_alphas(2, 3000).to(dtype)
    weights, lengths = integrate_and_fire(alphas)
    exact = alphas.double().sum(1)
    assert weights.dtype is torch.float32
    assert ((lengths - exact).abs() <= 0.5 + 1e-3).all()


@pytest.mark.parametrize(
    ("alphas", "length"),
    [([0.1, 0.1], 1), ([0.0, 0.0], 1), ([1.0], 1), ([0.9, 0.9], 2), ([0.7, 0.7], 1), ([0.5], 1)],
)
def test_a_residue_of_half_a_segment_is_one_and_there_is_always_one(alphas, length):
    weights, lengths = integrate_and_fire(torch.tensor([alphas], dtype=torch.float64))
    assert lengths.item() == length == weights.shape[1]
    assert torch.isfinite(weights).all()


def test_gradients_are_those_of_finite_differences():
    frames = torch.randn(2, 20, 3, dtype=torch.float64)
    weighting = torch.randn(2, 20, 3, dtype=torch.float64)
    alphas = random_alphas(2, 20, seed=3)

    def objective(alphas: torch.Tensor) -> torch.Tensor:
        weights, _ = integrate_and_fire(alphas)
        pooled = weights.double() @ frames
        return (pooled * weighting[:, : pooled.shape[1]]).sum()

    leaf = alphas.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(leaf), leaf)
    step = 1e-3  # weights are float32
    for row in range(2):
        for frame in range(20):
            ends = alphas[row].cumsum(0)
            bump = torch.zeros_like(alphas)
            bump[row, frame] = step
            if (
                ((ends[frame:] + step).floor() != ends[frame:].floor()) | (ends[frame:] % 1 < step)
            ).any():
                continue  # a kink lies between
            slope = (objective(alphas + bump) - objective(alphas - bump)) / (2 * step)
            torch.testing.assert_close(gradient[row, frame], slope, atol=2e-3, rtol=2e-3)


def test_an_alpha_moves_all_later_segments():
    alphas = torch.full((1, 40), 0.3, dtype=torch.float64, requires_grad=True)
    weights, _ = integrate_and_fire(alphas)
    frames = torch.randn(40)
    (gradient,) = torch.autograd.grad((weights[0, 8] * frames).sum(), alphas)
    inside = (weights[0, 8] > 0).nonzero()[0].item()
    assert (gradient[0, : inside - 1].abs() > 0).all()


def test_batch_mates_and_padding_change_nothing():
    alphas = random_alphas(3, 90)
    lengths = [90, 61, 17]
    for row, length in enumerate(lengths):
        alphas[row, length:] = 0
    together, counts = integrate_and_fire(alphas)
    for row, length in enumerate(lengths):
        alone, count = integrate_and_fire(alphas[row : row + 1, :length])
        assert count.item() == counts[row]
        torch.testing.assert_close(together[row, : count.item(), :length], alone[0])


def test_training_begins_at_the_rate_that_was_asked_for():
    torch.manual_seed(0)
    alphas = CifPredictor(16, rate=4.0).eval()(torch.randn(2, 500, 16))
    assert alphas.mean().item() == pytest.approx(1 / 4, rel=0.05)
