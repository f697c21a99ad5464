"""budget-plan pilot, as users type it."""

from __future__ import annotations

import json
import re

import pytest

from fairseq_budget.cli.plan.command import main
from tests.synthetic import write_tone_corpus

LITTLE = ["--flops", "3e15", "--preset", "tera_demo", "--most-repetitions", "1e6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder, 12, seconds=(0.6, 2.0)).write(folder / "train.tsv")
    return folder


def pilot(folder, *words: str) -> int:
    return main(["pilot", "--data", str(folder), *words])


def test_a_table_ends_with_its_total_and_the_command(capsys, folder):
    assert pilot(folder, *LITTLE) == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"^\| tiny", text, re.MULTILINE)) == 11
    total, share = re.search(r"all 11 runs: (\S+) FLOPs, (\S+)% of 3e\+15", text).groups()
    assert float(total) == pytest.approx(float(share) / 100 * 3e15, rel=0.01)
    assert float(share) <= 10
    assert "hours here: unknown until `budget-plan measure`" in text
    assert (
        f"--config-name budget_tera_demo +task.user_dir=fairseq_budget task.data={folder}" in text
    )


def test_lines_are_those_of_the_rows(capsys, folder):
    words = [*LITTLE, "--sizes", "tiny:0.5", "tiny", "tiny:2", "--batch-seconds", "4"]
    assert pilot(folder, *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert pilot(folder, *words, "--overrides") == 0
    assert capsys.readouterr().out.splitlines() == [row["overrides"] for row in rows]
    assert all("dataset.max_tokens=64000 " in row["overrides"] for row in rows)


def test_updates_hold_what_batches_really_hold(capsys, folder):
    """Not 16 s: batches are cropped to their shortest, and the last one is not full."""
    assert pilot(folder, *LITTLE, "--json") == 0
    row = json.loads(capsys.readouterr().out)[0]
    held = 3600 * row["audio_hours"] / row["updates"]
    assert 1 < held < 15.9


def test_a_preset_of_another_objective_is_told_with_its_own(capsys, folder):
    assert pilot(folder, *LITTLE, "--objective", "hubert") == 2
    assert "trains tera, not hubert: add --objective tera" in capsys.readouterr().err


def test_a_preset_of_a_student_is_none_of_these(capsys, folder):
    assert pilot(folder, "--flops", "1e17", "--preset", "distilhubert_demo") == 2
    assert "trains distilhubert, not tera" in capsys.readouterr().err


def test_utterances_that_are_all_too_short_are_told(capsys, folder):
    assert pilot(folder, "--flops", "1e18") == 2
    assert re.search(r"has the 2 s that .* \(task.min_sample_size\)", capsys.readouterr().err)


@pytest.mark.fairseq
@pytest.mark.parametrize(
    ("objective", "preset"),
    [("wav2vec2", "wav2vec2_demo"), ("hubert", "hubert_zipformer_demo")],
)
def test_a_line_composes_with_its_preset(capsys, folder, objective, preset):
    pytest.importorskip("fairseq")
    from tests.examples.test_presets import compose

    words = ["--flops", "3e16", "--most-repetitions", "1e6", "--overrides"]
    assert pilot(folder, *words, "--objective", objective, "--preset", preset) == 0
    *_, line = capsys.readouterr().out.splitlines()
    cfg = compose(f"budget_{preset}", *line.split())
    assert cfg.optimization.max_update > cfg.lr_scheduler.warmup_updates > 0
    assert f"task.budget_flops={cfg.task.budget_flops:.6g} " in line


def test_held_out_runs_are_three_sizes_at_the_budget_itself(capsys, folder):
    words = ["--flops", "3e13", *LITTLE[2:], "--held-out"]
    assert pilot(folder, *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["flops"] for row in rows] == [3e13] * 3
    assert len({row["size"] for row in rows}) == 3
    assert all(f"optimization.max_update={row['updates']} " in row["overrides"] for row in rows)
    assert pilot(folder, *words) == 0
    assert "all 3 runs: 9e+13 FLOPs" in capsys.readouterr().out


def test_of_sizes_that_are_named_all_are_held_out_in_shapes_too(capsys, folder):
    named = ["tiny:0.25", "tiny:0.5", "tiny", "tiny:2", "tiny,encoder_layers=6"]
    words = ["--flops", "3e13", *LITTLE[2:], "--held-out", "--seeds", "2", "--json"]
    assert pilot(folder, *words, "--sizes", *named) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted((row["size"], row["seed"]) for row in rows) == sorted(
        (name, seed) for name in named for seed in (1, 2)
    )
    assert len({row["run"] for row in rows}) == 10


def test_one_size_with_many_seeds_is_held_out_too(capsys, folder):
    words = ["--flops", "3e13", *LITTLE[2:], "--held-out", "--sizes", "tiny:0.5", "--seeds", "3"]
    assert pilot(folder, *words, "--json") == 0
    assert [row["seed"] for row in json.loads(capsys.readouterr().out)] == [1, 2, 3]


def test_subsets_are_runs_on_folders_of_their_own(capsys, folder, tmp_path):
    write_tone_corpus(tmp_path / "part", 3, seconds=(0.6, 1.0)).write(tmp_path / "part/train.tsv")
    words = [*LITTLE, "--share", "0.2", "--subsets", str(tmp_path / "part")]
    assert pilot(folder, *words, "--overrides") == 0
    *rest, last = capsys.readouterr().out.splitlines()
    assert last.endswith(f" task.data={tmp_path / 'part'}")
    assert not any("task.data" in line for line in rest)
    assert pilot(folder, *words, "--held-out") == 2
    assert "leave them out with --held-out" in capsys.readouterr().err
