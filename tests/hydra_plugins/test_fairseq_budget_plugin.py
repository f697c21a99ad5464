"""The Hydra plug-in: what it says, and that it keeps out of other programs."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fairseq_budget.hydra_plugins.fairseq_budget_plugin import (
    adapt,
    names_us,
    require_writable,
)


def config(user_dir: str | None, task: str = "budget_pretraining"):
    return SimpleNamespace(
        common=SimpleNamespace(user_dir=user_dir, fp16=False, cpu=True),
        checkpoint=SimpleNamespace(),
        get={"task": {"_name": task}, "model": "x"}.get,
    )


def test_a_user_dir_that_was_forgotten_or_misspelt_is_found_by_the_task(caplog):
    for user_dir in (None, "fairseq_bugdet", "fairseq_budget"):
        cfg = config(user_dir)
        assert names_us(cfg)
        adapt(cfg)
        assert Path(cfg.common.user_dir, "hydra_plugins").is_dir()
    assert [r.message for r in caplog.records] == [
        "user_dir=fairseq_bugdet is not there: taking fairseq_budget"
    ]


def test_runs_of_others_and_of_plug_ins_that_build_on_ours_are_left_alone(tmp_path):
    assert not names_us(config(None, task="language_modeling"))
    assert not names_us(config("not_there", task="language_modeling"))
    assert not names_us(config(str(tmp_path)))


@pytest.mark.parametrize(("gpu", "cpu", "fp16"), [(1, 0, 1), (1, 1, 0), (0, 0, 0), (0, 1, 0)])
def test_float16_is_for_a_gpu_that_is_used(monkeypatch, gpu, cpu, fp16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpu))
    common = SimpleNamespace(user_dir="fairseq_budget", fp16=True, cpu=bool(cpu))
    adapt(SimpleNamespace(common=common, checkpoint=SimpleNamespace()))
    assert common.fp16 == bool(fp16)


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
