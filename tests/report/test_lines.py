"""Runs that differ in one thing become a line, and others do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.report.lines import HOURS, LOSS, SIZE, panels
from fairseq_budget.report.trained import read_trained
from tests.forecast.pilots import write_pilot
from tests.report.test_curve import write_scores

TINY, SLIM = (count_parameters(size).encoder for size in ("tiny", "slim"))


def write_pilots(folder: Path, *changes: dict) -> list[Path]:
    """Finished runs 0, 1, ... whose last losses are 2.0, 2.5, ..."""
    return [
        write_pilot(folder / str(place), losses={10: 9.0, 20: 2 + place / 2}, **own)
        for place, own in enumerate(changes)
    ]


def by_size(folders: list[Path]):
    return panels(read_trained(folders), SIZE, HOURS)


def by_hours(folders: list[Path]):
    return panels(read_trained(folders), HOURS, SIZE)


def test_sizes_at_one_budget_are_a_line_through_the_means_of_seeds(tmp_path):
    slim = {"size": "slim", "flops": 1.05e12}
    found = by_size(write_pilots(tmp_path, slim, {}, {"seed": 4}))
    [line] = found[LOSS]
    assert line.name == "tera, 1.02e+12 FLOPs, 0.4 h"
    assert line.runs == [(TINY, 2.5, "1"), (TINY, 3.0, "2"), (SLIM, 2.0, "0")]
    assert line.means == [(TINY, 2.75), (SLIM, 2.0)]


def test_hours_of_the_corpus_are_a_line_of_one_size(tmp_path):
    runs = write_pilots(tmp_path, {"epochs": 0.5}, {"epochs": 0.52}, {"epochs": 2.5})
    [line] = by_hours(runs)[LOSS]
    assert line.name == "tera, 1e+12 FLOPs, 0.506M parameters"
    assert [round(x, 3) for x, _ in line.means] == [0.4, 1.962]
    assert [y for _, y in line.means] == [3.0, 2.25]
    assert by_size(runs) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"flops": 1.2e12},
        {"_name": "budget_hubert"},
        {"mask_prob": 0.65},
        {"task": {"max_sample_size": 16000}},
        {"data": {"valid": {"manifest": "c" * 64}}},
        {"epochs": 1.0},
        {"epochs": 0.01},  # too few to tell the corpus' length
    ],
    ids=lambda other: next(iter(other)),
)
def test_runs_that_differ_in_more_than_their_size_are_not_joined(tmp_path, other):
    assert by_size(write_pilots(tmp_path, {}, {"size": "slim", **other})) == {}


def test_lines_of_one_name_are_told_apart_by_their_conditions(tmp_path):
    sizes = [{"mask_prob": p, "size": s} for p in (0.65, 0.8) for s in ("tiny", "slim")]
    names = [line.name for line in by_size(write_pilots(tmp_path, *sizes))[LOSS]]
    assert names == [f"tera, 1e+12 FLOPs, 0.4 h, task.mask_prob={p}" for p in (0.65, 0.8)]


def test_scores_are_lines_of_their_own_of_the_runs_that_have_them(tmp_path):
    folders = write_pilots(tmp_path, {}, {"size": "slim"}, {"size": "small"})
    for place, folder in enumerate(folders[:2]):
        write_scores(folder / "ic", "ic", [0.5 + place / 4])
    write_scores(folders[0] / "sid", "sid", [0.5])
    found = by_size(folders)
    assert list(found) == [LOSS, "ic accuracy (%)"]
    assert found["ic accuracy (%)"][0].means == [(TINY, 50.0), (SLIM, 75.0)]
    assert len(found[LOSS][0].means) == 3


def test_runs_whose_end_is_not_known_are_left_out(tmp_path):
    runs = write_pilots(tmp_path, {}, {"size": "slim", "updates": 15}, {"size": "slim"})
    runs.append(write_pilot(tmp_path / "early", losses={10: 3.0}, size="small"))
    runs.append(write_pilot(tmp_path / "free", losses={20: 3.0}, size="small", flops=None))
    runs.append(write_pilot(tmp_path / "nan", losses={20: float("nan")}, size="small"))
    [line] = by_size(runs)[LOSS]
    assert [name for _, _, name in line.runs] == ["0", "2"]


def test_a_loss_over_segments_that_runs_choose_is_not_compared(tmp_path):
    runs = write_pilots(tmp_path, {}, {"size": "slim"})
    assert LOSS in by_size(runs)
    for run in runs:
        change_model(run, subsample="cif")
    assert by_size(runs) == {}


def test_a_run_whose_encoder_is_unknown_is_left_out(tmp_path):
    runs = write_pilots(tmp_path, {}, {"size": "slim"}, {"size": "small"})
    change_model(runs[2], size="of another version")
    assert len(by_size(runs)[LOSS][0].runs) == 2


def change_model(folder: Path, **fields: str) -> None:
    checkpoint = torch.load(folder / "checkpoint_last.pt")
    checkpoint["cfg"]["model"] |= fields
    torch.save(checkpoint, folder / "checkpoint_last.pt")
