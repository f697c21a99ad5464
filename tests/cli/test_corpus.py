"""budget-corpus: one line for a corpus, one line for an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.cli.corpus import main


def test_a_corpus_is_made_and_summarised_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("espeakng_loader", reason="speaks the demo corpus")
    folder = tmp_path / "corpus"
    assert main([str(folder), "--speakers", "1", "--sentences", "3", "--commands", "0"]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: 0.1 min, 3 utterances (train 1, valid 1, test 1)\n"
    )


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "corpus"), "--speakers", "0"]) == 2
    error = capsys.readouterr().err
    assert error == "budget-corpus: error: num_speakers=0: expected 1 to 1000\n"
