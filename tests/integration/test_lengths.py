"""The study's four sets of lengths, typed on the demo corpus."""

from __future__ import annotations

import json

import pytest

from fairseq_budget.corpus import Corpus
from tests.conftest import run

pytestmark = pytest.mark.slow


def test_sets_of_the_demo_corpus_have_equal_hours_and_lengths_within_a_second(
    demo_folder, tmp_path
):
    run("budget-manifest", "--trainpref", demo_folder / "train", "--destdir", tmp_path)
    summary = run(
        *("budget-manifest", "cut", "--manifest", tmp_path / "train.tsv"),
        *("--seconds", 1, 5, 10, 15, "--destdir", tmp_path / "lengths", "--json"),
    )
    rows = json.loads(summary.stdout)
    hours = [row["hours"] for row in rows.values()]
    assert max(hours) - min(hours) <= 1e-3 * max(hours)
    for row in rows.values():
        assert row["longest_s"] - row["shortest_s"] <= 1
        wanted_s = float(next(name for name in rows if rows[name] is row).removesuffix("s"))
        assert abs(row["hours"] * 3600 / row["num_utterances"] - wanted_s) <= 0.5
        corpus = Corpus.open(row["manifest"])
        assert len(corpus.read(0)) == corpus.sizes[0]
