"""The presets are what their one list says."""

from __future__ import annotations

import sys

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


def test_every_change_of_a_layer_reaches_the_file(writer):
    """A misspelt section, or a field of another task, would be lost or added in silence."""
    for name, (_, layers, own) in writer.PRESETS.items():
        content = yaml.safe_load(writer.preset(name))
        for field in writer._changes("".join([*layers, own])):
            section, _, key = field.partition(".")
            assert key in content[section], f"{name}: {field}"


def test_later_layers_win_and_sections_follow_their_name(writer):
    demo = yaml.safe_load(writer.preset("budget_hubert_zipformer_demo"))
    assert demo["optimization"]["lr"] == [0.045]  # ScaledAdam's, not the demo's
    assert demo["optimizer"].keys() == {"_name", "betas", "eps", "clipping_scale"}
