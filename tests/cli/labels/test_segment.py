"""``budget-labels segment`` and ``budget-labels boundaries`` as users type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.segments import open_segments
from fairseq_budget.text.alignments import read_spans
from tests.cli.labels.test_make import CLUSTERS, budget_labels, error_of
from tests.conftest import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted(demo_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "data"
    run("budget-manifest", "--trainpref", demo_folder / "train", "--validpref",
        demo_folder / "valid", "--destdir", folder)  # fmt: skip
    assert budget_labels("fit", "--data", folder, *CLUSTERS) == 0
    return folder


def outcome(capsys, *arguments):
    capsys.readouterr()
    assert budget_labels(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_segments_have_the_rate_that_was_asked_for(fitted, capsys):
    found = outcome(
        capsys, "segment", "--data", fitted, "--target-rate", 12.5, "--workers", 1, "--name", "dp"
    )
    assert set(found["splits"]) == {"train", "valid"}
    assert found["sample_rate_hz"] == pytest.approx(12.5, rel=0.01)
    assert found["splits"]["train"]["rate_hz"] == pytest.approx(12.5, rel=0.03)
    again = outcome(
        capsys, "segment", "--data", fitted, "--penalty", found["penalty"], "--splits", "valid",
        "--workers", 1,
    )  # fmt: skip
    assert again["splits"]["valid"] == found["splits"]["valid"]
    assert (fitted / "valid.seg").read_bytes() == (fitted / "valid.dp").read_bytes()


def test_segment_prints_a_table_and_the_penalty(fitted, capsys):
    arguments = ("--data", fitted, "--target-rate", 10, "--splits", "valid", "--workers", 1)
    assert budget_labels("segment", *arguments) == 0
    printed = capsys.readouterr()
    assert "| split | utterances | frames" in printed.out
    assert "penalty " in printed.err


def test_the_phones_of_the_demo_corpus_become_segments(fitted, demo_folder, capsys):
    phones = demo_folder / "phones.tsv"
    found = outcome(
        capsys, "boundaries", "--data", fitted, "--split", "valid", "--table", phones
    )  # fmt: skip
    assert 8 < found["splits"]["valid"]["rate_hz"] < 20
    segments, spans = open_segments(fitted, "valid"), read_spans(phones)
    assert segments.column.description["kind"] == "table"
    name = Path((fitted / "valid.tsv").read_text().splitlines()[1].split("\t")[0]).stem
    true_s = np.array([end for _, end, _ in spans[name]])
    ours_s = segments.ends(0) / 50
    assert np.abs(ours_s[:, None] - true_s).min(1).max() < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "--penalty", -1), "--penalty -1.0: expected 0"),
        (("segment", "--target-rate", 49), r"--target-rate 49: the sample has"),
        (("segment", "--penalty", 1, "--name", "km"), "--name km"),
        (("boundaries", "--split", "valid", "--units", "u"), "--units and --vad go together"),
        (("boundaries", "--split", "none", "--table", "t"), "none.tsv"),
        (("boundaries", "--split", "valid", "--table", "t"), "cannot read the alignments t"),
        (("boundaries", "--split", "valid", "--textgrid", "t"), "t holds no TextGrid"),
        (("boundaries", "--split", "valid", "--units", "u", "--vad", "v"), "cannot read u"),
    ],
)
def test_errors_are_one_line(fitted, capsys, arguments, message):
    assert message in error_of(capsys, arguments[0], "--data", fitted, *arguments[1:])


def test_a_failure_leaves_the_older_segmentation(fitted, demo_folder, capsys, tmp_path):
    arguments = ("boundaries", "--data", fitted, "--split", "valid", "--name", "kept", "--table")
    budget_labels(*arguments, demo_folder / "phones.tsv")
    before = (fitted / "valid.kept").read_bytes()
    rows = (demo_folder / "phones.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "short.tsv").write_text("".join(rows[:200]))
    assert "short.tsv has no rows for" in error_of(capsys, *arguments, tmp_path / "short.tsv")
    assert (fitted / "valid.kept").read_bytes() == before
