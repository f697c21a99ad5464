"""The table of a sweep: what validation has chosen, and the score of all tasks."""

import statistics

import pytest

from fairseq_budget.downstream.runs import Result
from fairseq_budget.downstream.superb_table import (
    choose,
    overall_notes,
    published_scores,
    wide_rows,
)


def result(
    task, upstream, rate, seed, valid, test, weights=None, others=None, layer=None
) -> Result:
    key = {"checkpoint_sha256": "f" * 64, "command": f"{task} {upstream} {rate} {seed}"}
    return Result(
        7, valid, test, others or {}, task=task, upstream=upstream, seed=seed, learning_rate=rate,
        layer=layer, layer_weights=weights, key=key,
    )  # fmt: skip


def test_validation_chooses_the_rate_and_test_is_reported():
    """PER falls and accuracy rises; a rate that is good on test alone is not chosen."""
    cells = choose(
        [
            result("pr", "a", 0.1, 0, 0.30, 0.10),
            result("pr", "a", 0.01, 0, 0.20, 0.40, [0.2, 0.8]),
            result("pr", "a", 0.01, 1, 0.22, 0.50, [0.4, 0.6]),
            result("ic", "a", 0.1, 0, 0.9, 0.8),
            result("ic", "a", 0.01, 0, 0.5, 0.95),
            result("ic", "b", 0.1, 0, 0.6, 0.7),
        ]
    )
    per, first, second = cells
    assert (per.task, per.learning_rate, per.num_seeds) == ("pr", 0.01, 2)
    assert per.test_percent == pytest.approx(45)
    assert per.spread_percent == pytest.approx(statistics.stdev([40, 50]))
    assert per.layer_weights == pytest.approx((0.3, 0.7))
    assert per.command == "pr a 0.01 0"
    assert (first.learning_rate, first.test_percent) == (0.1, pytest.approx(80))
    assert wide_rows(cells) == [
        {"upstream": "a", "PR PER (%) ↓": "45.0 ± 7.1", "IC accuracy (%) ↑": "80.0"},
        {"upstream": "b", "PR PER (%) ↓": "-", "IC accuracy (%) ↑": "70.0"},
    ]
    assert second.upstream == "b"
    *measured, first, _ = wide_rows(cells, published_scores(["pr", "ic"]))[:4]
    assert measured == wide_rows(cells)
    assert first.keys() == measured[0].keys()
    rows = {row["upstream"]: row for row in wide_rows(cells, published_scores(["pr", "ic"]))}
    assert rows["TERA Slim (on a compute budget)"]["PR PER (%) ↓"] == "30.47"
    assert rows["avg 4 (compressing sequences)"]["IC accuracy (%) ↑"] == "93.12"
    assert rows["MFA (compressing sequences)"]["IC accuracy (%) ↑"] == "-"


def test_slot_filling_has_the_two_columns_that_superb_reports():
    cells = choose(
        [
            result("sf", "a", 0.1, seed, 0.5, 0.6, others={"slot value CER": cer})
            for seed, cer in enumerate((0.3, 0.5))
        ]
    )
    assert wide_rows(cells) == [
        {"upstream": "a", "SF slot type F1 (%) ↑": "60.0 ± 0.0", "SF slot value CER (%) ↓": "40.0"}
    ]


def test_the_overall_score_is_a_column_and_says_between_what():
    cells = choose(
        [
            result(task, upstream, 0.1, 0, 0.5, test)
            for task, tests in {"pr": (0.8, 0.6, 0.4), "ic": (0.1, 0.4, 0.9)}.items()
            for upstream, test in zip(("low", "mine", "high"), tests, strict=True)
        ]
        + [result("ic", "half", 0.1, 0, 0.5, 0.5)]
    )
    rows = wide_rows(cells, {}, ("low", "high"))
    assert {row["upstream"]: row["SUPERB score ↑"] for row in rows} == {
        "low": "0", "mine": "438", "high": "1000", "half": "-",
    }  # fmt: skip
    [note] = overall_notes(cells, ("low", "high"))
    assert "0 is low and 1000 is high, the mean over PR, IC; the leaderboard's is over ten" in note
    assert "ten tasks, ASR, KS, QBE, SID, ASV, SD, SF, ER too" in note
    assert not overall_notes(cells, ())


def test_a_task_of_which_all_runs_failed_is_in_no_row():
    cells = choose(
        [result("ic", name, 0.1, 0, 0.5, score) for name, score in (("a", 0.2), ("b", 0.6))]
    )
    others = {"both": {("ic", "accuracy"): 30.0, ("sid", "accuracy"): 9.0},
              "another": {("sid", "accuracy"): 9.0}}  # fmt: skip
    rows = wide_rows(cells, others, ("a", "b"))
    assert [(row["upstream"], row["SUPERB score ↑"]) for row in rows] == [
        ("a", "0"), ("b", "1000"), ("both", "250"),
    ]  # fmt: skip


def test_validation_chooses_the_layer_where_nothing_is_learned():
    cells = choose(
        [
            result("qbe", "a", None, 0, 0.2, 0.9, layer=0),
            result("qbe", "a", None, 0, 0.4, 0.3, layer=1),
            result("ic", "a", 0.1, 0, 0.9, 0.8),
        ]
    )
    search, intents = cells
    assert (search.layer, search.learning_rate, intents.layer) == (1, None, None)
    assert search.test_percent == pytest.approx(30)
    [row] = wide_rows(cells)
    assert row["QBE MTWV (%) ↑"] == "30.0"


def test_a_score_of_folds_is_their_mean_and_its_spread_is_of_seeds():
    """The rate with the best single fold does not win, nor does one of which a fold has failed."""
    folds = [
        result("er", "a", rate, seed, valid, test)
        for rate, seed, scores in [
            (0.1, 0, [(0.9, 0.9), (0.1, 0.1)]),
            (0.01, 0, [(0.6, 0.7), (0.8, 0.5)]),
            (0.01, 1, [(0.7, 0.8), (0.7, 0.8)]),
            (0.001, 0, [(1.0, 1.0)]),
        ]
        for valid, test in scores
    ]
    [cell] = choose(folds)
    assert (cell.learning_rate, cell.num_seeds, cell.num_folds) == (0.01, 2, 2)
    assert (cell.valid_percent, cell.test_percent) == pytest.approx((70, 70))
    assert cell.spread_percent == pytest.approx(statistics.stdev([60, 80]))
