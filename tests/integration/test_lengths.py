"""The study's four sets of lengths, typed on the demo corpus."""

from __future__ import annotations

import json
import re

import pytest

from fairseq_budget.corpus.plain import read_text
from tests.conftest import run, train_command

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
        corpus = read_text(row["manifest"])
        assert len(corpus.read(0)) == corpus.sizes[0]


@pytest.fixture(scope="module")
def seconds(data, tmp_path_factory):
    """The shared corpus in pieces of 0.98 to 1.02 s, with labels of their own."""
    folder = tmp_path_factory.mktemp("lengths")
    for split in ("train", "valid"):
        run("budget-manifest", "cut", "--manifest", data / f"{split}.tsv", "--seconds", 1, 3,
            "--destdir", folder)  # fmt: skip
    run("budget-labels", "make", "--data", folder / "1s", "--clusters", 20)
    return folder / "1s"


@pytest.mark.fairseq
@pytest.mark.parametrize("objective", ["tera", "hubert", "wav2vec2", "distilhubert"])
def test_demo_presets_train_on_all_of_a_set_of_1_s(objective, seconds, exported, tmp_path):
    teacher = [f"model.teacher={exported}"] if objective == "distilhubert" else []
    done = run(*train_command(
        seconds, tmp_path, *teacher, "optimization.max_update=2", "common.log_interval=1",
        "lr_scheduler.warmup_updates=1", preset=f"budget_{objective}_demo",
    ))  # fmt: skip
    log = done.stdout + done.stderr
    num_utterances = len(read_text(seconds / "train.tsv"))
    assert f"train: {num_utterances:,} utterances" in log
    assert not re.search("are dropped|crops|nan", log)
    assert (tmp_path / "checkpoint_last.pt").is_file()


@pytest.mark.fairseq
def test_the_librispeech_presets_refuse_a_set_of_1_s_and_say_how_to_take_it(seconds, tmp_path):
    done = run(*train_command(seconds, tmp_path, preset="budget_tera_librispeech"), check=False)
    assert done.returncode != 0
    assert "lower task.min_sample_size, or join them" in done.stdout + done.stderr
