"""The Hydra plug-in: what it says, and that it keeps out of other programs."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fairseq_budget.hydra_plugins.fairseq_budget_plugin import (
    adapt,
    missing_preset,
    require_writable,
)


def test_without_config_name_the_presets_are_listed():
    message = missing_preset(["--config-dir", "examples/", "+task.user_dir=fairseq_budget"])
    assert "--config-name" in message
    assert "budget_tera_librispeech" in message


def test_with_config_name_nothing_is_said():
    for name in (["--config-name", "x"], ["--config-name=x"], ["-cn", "x"], ["--help"]):
        assert missing_preset(["--config-dir", "examples/", *name]) is None


@pytest.mark.parametrize(("gpu", "cpu", "fp16"), [(1, 0, 1), (1, 1, 0), (0, 0, 0), (0, 1, 0)])
def test_float16_is_for_a_gpu_that_is_used(monkeypatch, gpu, cpu, fp16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpu))
    common = SimpleNamespace(user_dir="fairseq_budget", fp16=True, cpu=bool(cpu))
    adapt(SimpleNamespace(common=common, checkpoint=SimpleNamespace()))
    assert common.fp16 == bool(fp16)


def test_other_peoples_runs_are_left_alone(tmp_path):
    assert missing_preset([]) is None
    assert missing_preset(["--config-dir", str(tmp_path), "task=language_modeling"]) is None


def test_a_folder_without_presets_is_named_as_the_cause(tmp_path):
    message = missing_preset(["--config-dir", str(tmp_path), "+task.user_dir=fairseq_budget"])
    assert "--config-dir must name the examples/ folder" in message


def test_a_folder_without_write_permission_ends_the_run_before_it_starts(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"cannot write to checkpoint.save_dir=.*file/run"):
        require_writable(str(tmp_path / "file" / "run"))
    require_writable(str(tmp_path / "new" / "run"))
    assert not any((tmp_path / "new/run").iterdir())


def test_a_program_without_fairseq_is_not_touched():
    code = (
        "import sys, hydra_plugins.fairseq_budget_plugin;"
        "assert not any(m.split('.')[0] in ('fairseq', 'fairseq_budget', 'torch')"
        " for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
