"""SUPERB's own corpora as layouts: nothing but where s3prl finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fairseq_budget.cli.downstream import superb
from fairseq_budget.cli.downstream.command import main
from fairseq_budget.downstream.layout import Request, make_layout, read_layout
from fairseq_budget.downstream.runs import Result, Run
from fairseq_budget.downstream.tasks import OFFICIAL_TASKS, TASKS
from fairseq_budget.errors import BudgetError
from tests.downstream.corpora import make_corpus

Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """The layout of a task's own corpus, of which a few recordings are there and enough."""

    def lay(task: str, *options: str) -> Path:
        make_corpus(task, tmp_path / "corpus", monkeypatch)
        out = tmp_path / "out" / task
        arguments = ["--task", task, "--official", str(tmp_path / "corpus"), "--out", str(out)]
        assert main(["layout", *arguments, *options]) == 0
        return out

    return lay


@pytest.mark.parametrize("task", OFFICIAL_TASKS)
def test_s3prl_is_pointed_to_files_that_the_corpus_has(task: str, lay: Lay) -> None:
    out = lay(task)
    assert [path.name for path in out.iterdir()] == ["layout.json"]
    layout = read_layout(out)
    fields = dict(field.split("=") for field in layout.overrides())
    for name in layout.task.data:
        path = Path(fields[f"config.downstream_expert.{name}"])
        assert path.exists()
        assert path.is_relative_to(out.parent.parent / "corpus")
    assert layout.task.data.keys() >= TASKS[task].data.keys() - {"datarc.train_meta_data"}
    for name, value in layout.task.superb.items():
        assert fields[f"config.{name}"] == str(value)


def test_verification_evaluates_the_trials_of_test_alone(lay: Lay) -> None:
    layout = read_layout(lay("asv"))
    assert "config.runner.eval_dataloaders=['test']" in layout.overrides()
    assert layout.task.evaluated == ("test", "test")


def test_of_official_corpora_emotions_alone_have_folds(lay: Lay) -> None:
    assert list(read_layout(lay("er")).folds) == [1, 2, 3, 4, 5]
    assert list(read_layout(lay("ks")).folds) == [None]


def test_what_is_said_names_the_corpus_and_the_command(
    lay: Lay, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lay("sid")
    said = capsys.readouterr().out
    assert f"VoxCeleb1, read in {tmp_path / 'corpus'}" in said
    assert f"datarc.meta_data={tmp_path / 'corpus/iden_split.txt'}" in said


def test_what_is_missing_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus").mkdir()
    out = tmp_path / "out"
    command = ["layout", "--task", "sd", "--official", str(tmp_path / "corpus"), "--out", str(out)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "dev/utt2spk: 0 of 1 files" in said
    assert "budget-downstream check --task sd" in said
    assert not out.exists()


@pytest.mark.parametrize("task", sorted(TASKS.keys() - OFFICIAL_TASKS.keys()))
def test_a_corpus_that_s3prl_cannot_read_as_it_is_is_told(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["layout", "--task", task, "--official", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main(command) == 2
    assert f"lay it out with --audio {tmp_path} --superb" in capsys.readouterr().err


def test_nothing_else_can_be_asked_of_an_official_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["layout", "--task", "ks", "--official", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main([*command, "--shots", "3"]) == 2
    assert "--shots with --official" in capsys.readouterr().err


def test_compare_is_not_for_official_corpora(
    lay: Lay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", "--data", str(lay("er")), "--out", str(tmp_path / "c"), "--logmel"]
    assert main(command) == 2
    assert "use budget-downstream superb --data ROOT --tasks er" in capsys.readouterr().err


def test_a_row_to_score_between_that_is_none_is_told_before_any_training(
    lay: Lay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["superb", "--data", str(lay("ic").parent), "--out", str(tmp_path / "s"), "--logmel"]
    assert main([*command, "--score-between", "log-mel", "wavlm"]) == 2
    assert "--score-between: wavlm: expected one of log-mel" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_the_leaderboards_score_comes_with_its_two_ends(
    lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_all(runs: Sequence[Run], *_options: object) -> list[Result]:
        key = {"checkpoint_sha256": None, "command": "s3prl"}
        return [
            Result(1, 0.5, 0.9876, task="ic", upstream=run.upstream.name, key=key) for run in runs
        ]

    monkeypatch.setattr(superb, "run_all", run_all)
    command = ["superb", "--data", str(lay("ic").parent), "--out", str(tmp_path / "s"), "--logmel"]
    assert main([*command, "--lrs", "0.1", "--leaderboard-score"]) == 0
    printed = capsys.readouterr().out
    rows = [line.replace(" ", "") for line in printed.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "|log-mel|98.8|1000|", "|log-mel(leaderboard)|9.65|0|", "|best(leaderboard)|98.76|1000|",
    ]  # fmt: skip
    assert "0 is log-mel (leaderboard) and 1000 is best (leaderboard), the mean over IC;" in printed


def test_the_leaderboards_score_and_one_between_rows_exclude_each_other(
    lay: Lay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["superb", "--data", str(lay("ic").parent), "--out", str(tmp_path / "s"), "--logmel"]
    with pytest.raises(SystemExit):
        main([*command, "--leaderboard-score", "--score-between", "log-mel", "log-mel"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_compare_is_not_for_what_learns_nothing(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(make_layout(Request("qbe", str(demo_folder)), tmp_path / "qbe").folder)
    assert main(["compare", "--data", data, "--out", str(tmp_path / "c"), "--logmel"]) == 2
    assert "use budget-downstream superb --data ROOT --tasks qbe" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"official": False}, {"task": "pr"}], ids=["own recordings", "not official"]
)
def test_a_layout_that_contradicts_itself_is_none(lay: Lay, wrong: dict[str, object]) -> None:
    path = lay("ic") / "layout.json"
    content = json.loads(path.read_text())
    content["request"] |= wrong
    path.write_text(json.dumps(content))
    with pytest.raises(BudgetError, match="no finished layout"):
        read_layout(path.parent)
