"""Columns that were changed after they had been written."""

import json
from pathlib import Path

import pytest

from fairseq_budget.corpus.column import column_path, description_path, write_column
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "train.tsv"
    path.write_text(f"{tmp_path}\na.wav\t16000\nb.wav\t16000\n")
    write_column(path, "km", ["1 2 3", "4 5"], 50)
    return path


def test_one_changed_symbol_is_found(manifest: Path) -> None:
    column_path(manifest, "km").write_text("1 2 3\n4 6\n")
    with pytest.raises(BudgetError, match=r"train\.km has changed since .* write train\.km again"):
        read_text(manifest).open_column("km")


def test_line_ends_of_another_system_are_no_change(manifest: Path) -> None:
    column_path(manifest, "km").write_bytes(b"1 2 3\r\n4 5\r\n")
    assert read_text(manifest).open_column("km")[1] == "4 5"


def test_a_column_of_another_program_needs_no_hash(manifest: Path) -> None:
    described = description_path(column_path(manifest, "km"))
    content = json.loads(described.read_text())
    del content["sha256"]
    described.write_text(json.dumps(content))
    column_path(manifest, "km").write_text("1 2 3\n4 6\n")
    assert read_text(manifest).open_column("km")[1] == "4 6"


def test_a_column_that_is_written_again_as_it_was_is_never_without_its_description(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = description_path(column_path(manifest, "km"))
    removed: list[Path] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: removed.append(path))
    write_column(manifest, "km", ["1 2 3", "4 5"], 50)
    assert removed == []
    write_column(manifest, "km", ["1 2 3", "4 6"], 50)
    assert removed == [described]


@pytest.mark.parametrize(
    "wrong", [{"rate": "50"}, {"rate": -1}, {"rate": 1e30}, {"manifest": 1}, {"num_lines": 2.5}]
)
def test_a_description_of_other_types_is_an_error(manifest: Path, wrong: dict) -> None:
    described = description_path(column_path(manifest, "km"))
    described.write_text(json.dumps({**json.loads(described.read_text()), **wrong}))
    with pytest.raises(BudgetError, match=rf"train\.km\.json.*{next(iter(wrong))} is"):
        read_text(manifest).open_column("km")
