"""The presets are what their one list says."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from itertools import combinations

import pytest
import yaml

from tests.conftest import ROOT


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import write_presets

    return write_presets


def test_every_file_of_examples_is_written_and_none_is_stale(writer, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["write_presets.py", "--check"])
    assert writer.main() == 0
    assert {path.stem for path in writer.EXAMPLES.glob("*.yaml")} == set(writer.PRESETS)


def test_a_file_that_was_changed_by_hand_is_named_with_the_cure(
    writer, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(writer, "EXAMPLES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write_presets.py"])
    assert writer.main() == 0
    path = tmp_path / "budget_ctc_demo.yaml"
    path.write_text(path.read_text().replace("max_update: 1200", "max_update: 1300"))
    monkeypatch.setattr(sys, "argv", ["write_presets.py", "--check"])
    assert writer.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("budget_ctc_demo.yaml: not as scripts/write_presets.py writes them")
    assert "make tables" in error


def test_a_copy_of_a_preset_is_its_users_own(writer, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(writer, "EXAMPLES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write_presets.py"])
    assert writer.main() == 0
    preset = (tmp_path / "budget_ctc_demo.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(preset.replace("max_update: 1200", "max_update: 1300"))
    monkeypatch.setattr(sys, "argv", ["write_presets.py", "--check"])
    assert writer.main() == 0
    assert capsys.readouterr() == ("", "")


def test_two_processes_write_the_same():
    """Sets and hashes, which differ from one process to the next, decide nothing."""
    command = "import write_presets as w; print(*map(w.preset, w.PRESETS))"
    first, second = (
        subprocess.run(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "scripts")},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12"
    )
    assert first == second != b""


def test_every_preset_says_who_wrote_it_and_how_to_run_it_with_all_that_it_leaves_open(writer):
    for name in writer.PRESETS:
        head, _, sections = writer.preset(name).partition("\n\n")
        assert head.startswith("# Written by scripts/write_presets.py")
        command = head.partition("# Run it:\n# ")[2]
        words = shlex.split(command.replace("\\\n#", ""))
        assert words[:5] == [
            "fairseq-hydra-train", "--config-dir", "examples/", "--config-name", name
        ]  # fmt: skip
        open_fields = {
            f"{section}.{field}"
            for section, fields in yaml.safe_load(sections).items()
            for field, value in fields.items()
            if value == "???"
        }
        assert {word.partition("=")[0] for word in words[5:]} == {"+task.user_dir", *open_fields}


def test_fields_have_one_order_in_all_presets(writer):
    """Pairwise, because no two kinds of model have the same fields."""
    order: dict[str, set[tuple[str, str]]] = {}
    for name in writer.PRESETS:
        for section, fields in yaml.safe_load(writer.preset(name)).items():
            pairs = order.setdefault(section, set())
            pairs.update(combinations(fields, 2))
            assert not {(b, a) for a, b in pairs} & pairs, f"{name}: {section}"


def test_every_change_of_a_layer_reaches_the_file(writer):
    """A misspelt section, or a field of another task, would be lost or added in silence."""
    for name, text in writer.PRESETS.items():
        content = yaml.safe_load(writer.preset(name))
        for field in writer._changes(text):
            section, _, key = field.partition(".")
            assert key in content[section], f"{name}: {field}"


def test_later_layers_win_and_sections_follow_their_name(writer):
    demo = yaml.safe_load(writer.preset("budget_hubert_zipformer_demo"))
    assert demo["optimization"]["lr"] == [0.045]  # ScaledAdam's, not the demo's
    assert demo["optimizer"].keys() == {"_name", "betas", "eps", "clipping_scale"}
