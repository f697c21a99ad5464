"""Table 2 of the compression paper, from 32 lengths and the real modules."""

import numpy as np
import pytest

from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.budget.students import count_macs, paper_rows
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.sequence_compression import PAPER_ROWS, PROFILER_NUM_SAMPLES, STUDENT

FIXED_RATES = ["conv-deconv 2", "conv-deconv 4", "avg-repeat 2", "avg-repeat 4", "avg 2", "avg 4",
               "avg 8"]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return {row.name: row for row in paper_rows()}


def test_the_profilers_utterances_are_those_of_the_paper():
    frames = num_frames(np.array(PROFILER_NUM_SAMPLES))
    assert len(frames) == 32
    assert (frames.sum(), (frames**2).sum()) == (11_223, 5_589_441)


@pytest.mark.parametrize("name", FIXED_RATES)
def test_rows_of_fixed_rates_are_the_papers(rows, name):
    row = rows[name]
    for key in ("gmacs", "body_gmacs"):
        assert getattr(row, f"profiler_{key}") == pytest.approx(
            getattr(row, f"paper_{key}"), abs=0.1
        )
        assert getattr(row, key) == pytest.approx(getattr(row, f"paper_{key}"), abs=0.25)


def test_the_baseline_is_the_printed_one_with_two_digits_swapped(rows):
    row = rows["DistilHuBERT"]
    assert row.profiler_gmacs == pytest.approx(785.9, abs=0.1)
    assert row.profiler_body_gmacs == pytest.approx(234.1, abs=0.1)
    assert (row.paper_gmacs, row.paper_body_gmacs) == (758.9, 207.1)
    assert [r.name for r in rows.values() if r.note] == ["DistilHuBERT"]


def test_the_teacher_costs_what_the_leaderboard_says(rows):
    row = rows["HuBERT Base"]
    assert row.profiler_gmacs == pytest.approx(row.paper_gmacs, rel=5e-4)


# the frame periods (ms) that the paper's MACs imply; it prints them rounded
@pytest.mark.parametrize(
    ("name", "period"),
    [("card 2", 41.3), ("card 4", 81.8), ("DP 0", 39.6), ("DP 25", 78.1), ("DP 35", 92.0),
     ("DP 75", 163.7), ("w2v-u 2.0", 88.4)],
)  # fmt: skip
def test_rows_of_cif_are_the_papers_at_the_periods_that_they_imply(rows, name, period):
    config = next(row.config for row in PAPER_ROWS if row.name == name)
    assert rows[name].paper_gmacs == pytest.approx(rows[name].gmacs, abs=4)
    exact = EncoderConfig(**{**vars(config), "subsample_rate": period / 20})
    gmacs = count_macs(name, exact).profiler_gmacs
    assert gmacs == pytest.approx(rows[name].paper_gmacs, abs=0.4)


def test_parameters_are_the_papers(rows):
    assert num_encoder_parameters(STUDENT) == 23_491_200
    assert rows["conv-deconv 2"].parameters - 23_491_200 == 1_705_216
    assert rows["conv-deconv 4"].parameters - 23_491_200 == 3_409_152
    for row in rows.values():
        if row.paper_parameters_m:
            assert row.parameters / 1e6 == pytest.approx(row.paper_parameters_m, abs=0.01)


def test_a_shorter_student_costs_less_and_its_front_end_the_same():
    long, short = (
        count_macs("", EncoderConfig(size="tiny", subsample="average", subsample_rate=rate))
        for rate in (1, 4)
    )
    assert long.frame_rate_hz == 50
    assert short.frame_rate_hz == pytest.approx(12.5, rel=0.01)
    fronts = [row.gmacs - row.body_gmacs for row in (long, short)]
    assert fronts[0] == pytest.approx(fronts[1])
    assert short.body_gmacs < long.body_gmacs / 4


def test_a_rate_that_does_not_exist_and_audio_without_a_frame_are_errors():
    with pytest.raises(BudgetError, match=r"subsample_rate=2\.5"):
        count_macs("", EncoderConfig(subsample="average", subsample_rate=2.5))
    with pytest.raises(BudgetError, match="no utterance has a frame"):
        count_macs("", STUDENT, [100, 399])
