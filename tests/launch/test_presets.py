"""Commands that Hydra or fairseq would misread: what is said of them, and to whom."""

import pytest

pytestmark = pytest.mark.fairseq
pytest.importorskip("fairseq")
from hydra._internal.utils import get_args  # noqa: E402

from fairseq_budget.launch.presets import complaint, is_ours  # noqa: E402

OURS = "+task.user_dir=fairseq_budget"
EXAMPLES = ["--config-dir", "examples/"]


def said(*words: str) -> str | None:
    return complaint(get_args(list(words)))


@pytest.mark.parametrize("words", [[], ["task.data=data"], [*EXAMPLES], [*EXAMPLES, OURS], [OURS]])
def test_without_config_name_the_presets_are_listed_on_one_line(words):
    message = said(*words)
    assert message.startswith("no preset chosen: add --config-dir examples")
    assert "--config-name PRESET" in message
    assert "budget_tera_librispeech" in message
    assert "\n" not in message


def test_a_misspelt_preset_is_answered_with_the_nearest():
    for name in ("budget_tera_dmeo", "budget_tera_dmeo.yaml", "tera_demo"):
        message = said(*EXAMPLES, "--config-name", name, OURS)
        assert message.startswith(f"no preset {name} in examples/: expected one of budget_ctc_demo")
        assert message.endswith("; did you mean budget_tera_demo?")


def test_a_folder_of_presets_that_is_missing_or_empty_is_answered_with_ours(tmp_path):
    for folder in ([], ["--config-dir", "example"], ["--config-dir", str(tmp_path)]):
        message = said(*folder, "--config-name", "budget_tera_demo")
        assert message.endswith(": add --config-dir examples")


@pytest.mark.parametrize("where", [["--config-name", "x"], ["--config-name=x"], ["-cn", "x"]])
def test_a_preset_of_the_users_own_is_taken(tmp_path, where):
    preset = tmp_path / "x.yaml"
    preset.write_text("task:\n  _name: budget_pretraining\n")
    args = get_args(["-cd", str(tmp_path), *where])
    assert is_ours(args)
    assert complaint(args) is None
    preset.write_text("task:\n  _name: language_modeling\n")
    assert not is_ours(args)


def test_other_peoples_runs_and_questions_are_left_alone(tmp_path):
    theirs = ["--config-dir", str(tmp_path)]
    assert said(*theirs, "task=language_modeling") is None
    assert said("task._name=language_modeling", "dataset.batch_size=2") is None
    assert said(*theirs, "--config-name", "not_there") is None
    assert not is_ours(get_args([*theirs, "--config-name", "wav2vec2_base"]))
    for question in ("--help", "--info", "--hydra-help"):
        assert said(question) is None
