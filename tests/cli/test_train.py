"""budget-train types fairseq's command, and becomes it."""

import pytest

from fairseq_budget.cli import train
from tests.conftest import ROOT, run


def typed(capsys, *words: str) -> str:
    assert train.main([*words, "--dry-run"]) == 0
    return capsys.readouterr().out.strip()


def test_the_command_is_that_of_the_readme_with_settings_anywhere(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    expected = (
        "fairseq-hydra-train --config-dir examples --config-name budget_tera_demo "
        "+task.user_dir=fairseq_budget task.data=d model.size=base common.seed=2"
    )
    settings = ["model.size=base", "common.seed=2"]
    assert typed(capsys, "tera_demo", "--data", "d", *settings) == expected
    assert typed(capsys, "tera_demo", settings[0], "--data", "d", settings[1]) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no preset chosen; expected one of budget_ctc_demo"),
        (["tera_dmo"], "did you mean budget_tera_demo"),
        (["tera_demo", "base"], "base: expected a setting such as model.size=base"),
    ],
)
def test_slips_are_told_before_anything_starts(capsys, words, message):
    assert train.main(words) == 2
    assert message in capsys.readouterr().err


def test_the_list_has_every_preset_with_its_cost(capsys):
    assert train.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(path.stem in shown for path in (ROOT / "examples").glob("*.yaml"))
    assert "FLOPs" in shown


@pytest.mark.fairseq
def test_the_program_is_fairseqs_own(data, tmp_path):
    environment = {"PYTHONWARNINGS": "ignore", "PYTHONPROFILEIMPORTTIME": "1"}
    done = run(
        "budget-train", "tera_demo", "--data", data, f"checkpoint.save_dir={tmp_path}",
        "optimization.max_update=2", "dataset.disable_validation=true", env=environment,
    )  # fmt: skip
    assert done.stdout.startswith("fairseq-hydra-train --config-dir examples --config-name budget_")
    assert (tmp_path / "checkpoint_last.pt").is_file()
    assert "fairseq_budget.tasks" in done.stderr  # among what was imported
    assert "torch._dynamo" not in done.stderr
