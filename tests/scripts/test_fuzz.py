"""scripts/fuzz.py in its short form: every reader meets a few changed files; and its judge."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES_OF_EACH = 6


@pytest.fixture
def scripts(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.mark.slow
def test_changed_files_are_refused_by_name_or_read_as_they_are(scripts, tmp_path) -> None:
    from fuzzing.judge import Case, judge_all
    from fuzzing.readers import READERS

    cases = [Case(reader.name, i) for reader in READERS for i in range(FILES_OF_EACH)]
    verdicts = list(judge_all(cases, 0, tmp_path))
    assert len(verdicts) == len(cases) > 300
    assert [verdict for verdict in verdicts if verdict.is_finding] == []
    kinds = [verdict.kind for verdict in verdicts]
    assert all(kinds.count(kind) > 20 for kind in ("refused", "same", "valid"))


KINDS = {
    "refuses": "refused",
    "sees nothing": "same",
    "raises": "raised",
    "hangs": "hung",
    "dies": "died",
    "fills the memory": "memory",
    "believes all": "nonsense",
    "believes all in spite of a hash": "unnoticed",
}


@pytest.mark.slow
def test_the_judge_tells_all_that_no_reader_should_do(scripts, tmp_path) -> None:
    from fuzzing.judge import Case, judge_all

    cases = [Case(name, 0) for name in KINDS]
    table = "tests.scripts.bad_readers"
    found = list(judge_all(cases, 0, tmp_path, limit_s=2, table=table))
    assert {verdict.case.reader: verdict.kind for verdict in found} == KINDS
    assert sum(verdict.is_finding for verdict in found) == 6
    assert "KeyError('a')" in found[2].detail
    assert all(verdict.path.name == "a.json" for verdict in found)


def test_a_seed_changes_a_file_in_one_way(scripts) -> None:
    from fuzzing.changes import change
    from fuzzing.codecs import JSON

    content = b'{"a": 1, "b": [2, 3]}\n'
    first, second = ([change(content, random.Random(i), JSON) for i in range(50)] for _ in "ab")
    assert first == second
    names = {name for name, _ in first}
    assert "structure" in names
    assert len(names) > 5


@pytest.mark.parametrize("name", ["JSON", "SAFETENSORS", "PACK", "TORCH"])
def test_a_structure_that_nothing_changes_makes_a_file_of_the_same_content(
    scripts, tmp_path: Path, name: str
) -> None:
    from fuzzing import codecs
    from fuzzing.readers import READERS

    codec = getattr(codecs, name)
    reader = next(reader for reader in READERS if reader.codec is codec)
    path = reader.make(tmp_path)
    before = reader.read(path)
    path.write_bytes(codec.dump(codec.load(path.read_bytes()), lambda text: text))
    assert reader.read(path) == before
