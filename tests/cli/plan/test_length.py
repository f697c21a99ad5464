"""budget-plan length, as users type it."""

from __future__ import annotations

import csv
import json

import pytest

from fairseq_budget.budget import timed_lengths as length_measure
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.cli.plan.command import main

pytestmark = pytest.mark.slow


def rows(capsys, *words: str) -> list[dict]:
    assert main(["length", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def machine(monkeypatch):
    """Batches of four seconds and more run out of memory; the others take a second each."""

    def run(measure, *arguments, **options):
        if measure is length_measure.measure_downstream:
            return 1.0, 2**30
        size, precision = arguments
        if options["seconds"] >= 4:
            return None
        return Measurement(size, precision, options["seconds"], options["sequence_s"], 1.0, 2**30)

    monkeypatch.setattr(length_measure, "run_apart", run)


def test_without_options_it_is_the_papers_figure(capsys):
    found = rows(capsys)
    assert [(r["length_s"], r["batch"]) for r in found] == [
        (s, b) for s in (1, 5, 10, 15) for b in (1, 2, 4, 8, 12)
    ]
    assert found[0]["forward_gflops"] == pytest.approx(13.81, abs=0.01)
    assert main(["length"]) == 0
    assert "| GFLOP forward |" in capsys.readouterr().out


def test_any_size_objective_length_and_batch(capsys):
    words = ["--size", "tiny", "--objective", "tera", "--seconds", "2.5", "--batch", "3"]
    (row,) = rows(capsys, *words)
    assert (row["length_s"], row["batch"], row["frames"]) == (2.5, 3, 124)


def test_measured_cells_stand_beside_the_closed_form_and_oom_is_said(capsys, machine, tmp_path):
    table, png = tmp_path / "length.csv", tmp_path / "length.png"
    words = ["--size", "tiny", "--measure", "--device", "cpu", "--seconds", "1", "4",
             "--batch", "1"]  # fmt: skip
    short, long = rows(capsys, *words, "--csv", str(table), "--png", str(png))
    assert (short["fp32_s"], short["fp32_peak_gib"], short["mixed_s"]) == (1.0, 1.0, None)
    assert (long["fp32_s"], long["fp32_peak_gib"]) == ("OOM", "OOM")
    with table.open() as file:
        assert [row["fp32_s"] for row in csv.DictReader(file)] == ["1.0", "OOM"]
    assert png.read_bytes().startswith(b"\x89PNG")
    main(["length", *words])
    assert "measured on " in capsys.readouterr().out


def test_what_a_cpu_has_no_memory_for_is_never_tried(capsys, machine):
    words = ["--measure", "--device", "cpu", "--seconds", "1", "--batch", "1000000"]
    (row,) = rows(capsys, *words)
    assert row["fp32_s"] == "OOM"


def test_downstream_is_frozen_and_unfrozen_unless_one_is_asked_for(capsys, machine, tmp_path):
    found = rows(capsys, "--downstream", "kws", "er", "--png", str(tmp_path / "a.png"))
    assert [(r["task"], r["frozen"]) for r in found] == [
        ("kws", True), ("kws", False), ("er", True), ("er", False),
    ]  # fmt: skip
    (row,) = rows(capsys, "--downstream", "asr", "--frozen")
    assert (row["length_s"], row["batch"], row["frozen"]) == (12.69, 6, True)
    words = ["--downstream", "kws", "--unfrozen", "--size", "tiny", "--measure", "--device", "cpu"]
    (row,) = rows(capsys, *words, "--png", str(tmp_path / "b.png"))
    assert (row["fp32_s"], row["fp32_peak_gib"]) == (1.0, 1.0)


def test_frozen_without_a_task_is_one_line(capsys):
    assert main(["length", "--frozen"]) == 2
    assert "add --downstream" in capsys.readouterr().err


def test_accumulation_keeps_an_updates_audio(capsys):
    words = ["--seconds", "1", "15", "--batch", "4", "--update-seconds", "240", "--gpus", "2"]
    found = rows(capsys, *words)
    assert [(r["update_freq"], r["update_audio_s"]) for r in found] == [(30, 240), (2, 240)]
    assert rows(capsys, "--seconds", "1", "--batch", "4")[0]["update_freq"] is None


def test_accumulation_with_a_downstream_task_is_one_line(capsys):
    assert main(["length", "--update-seconds", "240", "--downstream", "kws"]) == 2
    assert "leave out --downstream" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seconds", "0.01"), ("--batch", "0"), ("--update-seconds", "-1"), ("--gpus", "0")],
)
def test_lengths_hold_a_frame_and_batches_a_sequence(capsys, option, value):
    with pytest.raises(SystemExit):
        main(["length", option, value])
    assert value in capsys.readouterr().err


def test_a_measurement_in_a_process_of_its_own(capsys):
    words = ["--size", "tiny", "--measure", "--device", "cpu", "--seconds", "0.5", "--batch", "1"]
    (row,) = rows(capsys, *words)
    assert 0 < row["fp32_s"] < 60
