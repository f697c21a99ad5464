"""Presets are found by their short names, wherever they are."""

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.presets import find_preset, preset_folder, preset_names
from tests.conftest import ROOT


def test_a_preset_is_found_without_its_prefix_and_with_its_suffix():
    folder = preset_folder()
    for name in ("tera_demo", "budget_tera_demo", "budget_tera_demo.yaml"):
        assert find_preset(name, folder) == "budget_tera_demo"
    with pytest.raises(BudgetError, match=r"no preset tera_dem in .*did you mean budget_tera_demo"):
        find_preset("tera_dem", folder)


def test_presets_are_ours_where_the_folder_at_hand_has_none(tmp_path, monkeypatch):
    ours = preset_names(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert preset_names(preset_folder()) == ours
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/budget_mine.yaml").touch()
    assert preset_names(preset_folder()) == ["budget_mine"]
