"""``budget-report boundaries`` as users type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.cli.report.command import main
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, save_pretrained
from tests.conftest import run

pytestmark = pytest.mark.slow


def export(path: Path, kind: str) -> Path:
    config = EncoderConfig(size="tiny", encoder_layers=1, subsample=kind, subsample_rate=4)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(path, Pretrained("budget_hubert", config, {}, state))
    return path


@pytest.fixture(scope="module")
def arguments(demo_folder, tmp_path_factory) -> list[object]:
    folder = tmp_path_factory.mktemp("report")
    run("budget-manifest", "--trainpref", demo_folder / "train", "--validpref",
        demo_folder / "valid", "--destdir", folder)  # fmt: skip
    student = export(folder / "student", "cif")
    return ["--checkpoint", student, "--data", folder, "--phones", demo_folder / "phones.tsv"]


def report(arguments, *more) -> int:
    return main(["boundaries", *map(str, [*arguments, *more])])


def test_it_prints_scores_and_draws_an_utterance(arguments, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert report(arguments, "--out", tmp_path, "--utterance", 1) == 0
    table = capsys.readouterr().out.strip()
    assert "| student" in table
    assert "| evenly spaced, as many" in table
    page = (tmp_path / "boundaries.md").read_text()
    assert table in page
    assert "boundaries.png" in page
    assert (tmp_path / "boundaries.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_folder_it_writes_nothing(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report(arguments) == 0
    assert "R-value" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--utterance", 10_000), "--utterance 10000"),
        (("--split", "none"), "none.tsv"),
        (("--phones", "none.tsv"), "cannot read the alignments none.tsv"),
    ],
)
def test_errors_are_one_line(arguments, capsys, more, message):
    assert report(arguments, *more) == 2
    error = capsys.readouterr().err
    assert error.count("budget-report: error:") == 1
    assert message in error


def test_a_checkpoint_of_regular_frames_is_an_error(arguments, tmp_path, capsys):
    other = export(tmp_path / "other", "none")
    assert report(arguments, "--checkpoint", other) == 2
    assert "expected one with model.subsample=cif" in capsys.readouterr().err
