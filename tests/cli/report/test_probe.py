"""``budget-report probe`` as users type it."""

from __future__ import annotations

import json

import pytest

from fairseq_budget.cli.report.command import main
from fairseq_budget.nn.config import EncoderConfig
from tests.conftest import run
from tests.upstream.conftest import save_fresh

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def arguments(demo_folder, tmp_path_factory) -> list[object]:
    folder = tmp_path_factory.mktemp("probe")
    run("budget-manifest", "--trainpref", demo_folder / "train", "--destdir", folder)
    tera = save_fresh(folder / "tera", "budget_tera", EncoderConfig(size="tiny", encoder_layers=1))
    return ["--checkpoint", tera, "--manifest", folder / "train.tsv", "--hours", 0.03]


def probe(arguments, *more) -> int:
    return main(["probe", *map(str, [*arguments, *more])])


def test_it_prints_the_best_layers_and_writes_all_of_them(arguments, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert probe(arguments, "--logmel", "--out", tmp_path) == 0
    table = capsys.readouterr().out.strip()
    assert "| chance " in table
    assert "| log-mel " in table
    page = (tmp_path / "probe.md").read_text()
    assert table in page
    assert "probe.png" in page
    assert (tmp_path / "probe.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads((tmp_path / "probe.json").read_text())
    assert [row["layer"] for row in content["rows"]] == [None, 0, 1, 0]
    assert content["heard"]["speakers"] == 4
    chance, *layers = content["rows"]
    assert max(row["phones"] for row in layers) > 2 * chance["phones"]
    assert max(row["words"] for row in layers) > chance["words"]
    assert max(row["speakers"] for row in layers) > 2 * chance["speakers"]
    assert min(row["abx_across"] for row in layers) < 0.4


def test_an_untrained_twin_has_rows_of_its_own_and_nothing_is_written(
    arguments, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tera = str(arguments[1])
    assert probe(arguments, "--checkpoint", tera, f"{tera}:untrained", "--json") == 0
    _, *rows = json.loads(capsys.readouterr().out)
    assert [row["checkpoint"] for row in rows] == [tera] * 2 + [f"{tera}:untrained"] * 2
    assert rows[0]["phones"] != rows[2]["phones"]
    assert not list(tmp_path.iterdir())


def test_without_alignments_speakers_are_probed_alone(arguments, tmp_path, capsys):
    manifest = arguments[3]
    lines = manifest.read_text().splitlines(keepends=True)
    (tmp_path / "audio").symlink_to(lines[0].strip())
    (tmp_path / "moved.tsv").write_text(f"{tmp_path}/audio\n" + "".join(lines[1:]))
    assert probe(arguments, "--manifest", tmp_path / "moved.tsv") == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert "speakers" in header
    assert "phones" not in header


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--phones", "none.tsv"), "cannot read the alignments none.tsv"),
        (("--checkpoint", "none.pt"), "none.pt does not exist"),
        (("--checkpoint", "a", "a"), "rows a, a: give different --checkpoint"),
        (("--speaker", "("), "'(' is no regular expression"),
        (("--manifest", "none.tsv"), "cannot read the manifest none.tsv"),
    ],
)
def test_errors_are_one_line(arguments, capsys, more, message):
    assert probe(arguments, *more) == 2
    error = capsys.readouterr().err
    assert error.count("budget-report: error:") == 1
    assert message in error
