"""The recommendation follows the study where it ran, and says where it did not."""

import pytest

from fairseq_budget.budget.recommend import recommend
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.papers.compute_budget import PAPER_FLOPS, PAPER_RUNS


def recommended(flops: float, *, hours: float | None = 960, sizes=PAPER_RUNS, objective="hubert"):
    rows = [
        plan_updates(
            size, flops=flops, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=hours,
            objective=objective,
        )
        for size in sizes
    ]  # fmt: skip
    row, reason = recommend(rows, flops=flops, sequence_s=14.0, hours=hours)
    return row.size, reason


@pytest.mark.parametrize("objective", ["tera", "hubert", "wav2vec2"])
def test_at_the_papers_budget_it_is_the_papers_optimum(objective):
    size, reason = recommended(PAPER_FLOPS, objective=objective)
    assert size == "slim_200"
    assert "extrapolation" not in reason
    assert "13.4 times, no more than in the study" in reason


def test_at_half_the_budget_it_is_one_size_lower():
    assert recommended(PAPER_FLOPS / 2)[0] == "slim"


def test_more_budget_never_means_a_smaller_size():
    sizes = [recommended(10.0**power)[0] for power in range(15, 22)]
    order = list(PAPER_RUNS)
    assert [order.index(size) for size in sizes] == sorted(order.index(size) for size in sizes)
    assert (sizes[0], sizes[-1]) == ("slim_30", "large")


def test_far_from_the_papers_budget_it_says_so():
    assert "extrapolation: sweep" in recommended(1e16)[1]


def test_small_is_passed_over_unless_it_is_alone():
    size, reason = recommended(PAPER_FLOPS, sizes=["small", "slim"])
    assert size == "slim"
    assert "small is passed over: at its cost, slim had 14.56 % word errors, not 19.37" in reason
    assert recommended(PAPER_FLOPS, sizes=["small"])[0] == "small"


def test_zipformers_are_named_but_chosen_only_among_themselves():
    size, reason = recommended(PAPER_FLOPS, sizes=["slim", "zipformer_small", "zipformer_base"])
    assert size == "slim"
    assert "The study ran no Zipformer" in reason
    assert "Zipformer" not in recommended(PAPER_FLOPS)[1]
    assert recommended(PAPER_FLOPS, sizes=["zipformer_small"])[0] == "zipformer_small"


def test_speech_that_is_heard_too_often_is_named():
    assert "10 hours would be heard 1.29e+03 times: more speech" in recommended(
        PAPER_FLOPS, hours=10
    )[1]  # fmt: skip


def test_little_speech_is_enough_for_a_little_budget():
    assert "no more than in the study" in recommended(1e16, hours=10)[1]


def test_without_hours_nothing_is_said_about_data():
    assert "would be heard" not in recommended(PAPER_FLOPS, hours=None)[1]
