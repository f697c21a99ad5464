"""A run's process: which ones guard, and what is said when weights do not fit."""

import pytest

pytest.importorskip("fairseq")
from omegaconf import OmegaConf
from torch import nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.launch import guard
from fairseq_budget.launch.guard import guarded
from fairseq_budget.run.lock import LOCK_FILE

pytestmark = pytest.mark.fairseq


def settings(folder, *, rank: int = 0, no_save: bool = False):
    checkpoint = {
        "save_dir": str(folder), "no_save": no_save, "restore_file": "checkpoint_last.pt",
        "no_last_checkpoints": False,
        "finetune_from_model": None, "continue_once": None,
    }  # fmt: skip
    return OmegaConf.create(
        {
            "checkpoint": checkpoint,
            "distributed_training": {"distributed_rank": rank},
            "model": {"_name": "of_another_package"},
        }
    )


def test_one_process_of_a_run_that_saves_holds_the_folder(tmp_path):
    for unguarded in (settings(tmp_path, rank=1), settings(tmp_path, no_save=True)):
        with guarded(unguarded):
            assert not (tmp_path / LOCK_FILE).exists()
    with guarded(settings(tmp_path)):
        assert (tmp_path / LOCK_FILE).read_text()


def test_other_processes_end_with_the_first_one(tmp_path, monkeypatch):
    monkeypatch.setattr(guard.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(guard.dist, "get_backend", lambda: "gloo")
    heard = []
    monkeypatch.setattr(guard.dist, "broadcast", lambda is_refused, src: heard.append(is_refused))
    missing = settings(tmp_path)
    missing.checkpoint.restore_file = "none.pt"
    with pytest.raises(BudgetError, match=r"none.pt is no file"), guarded(missing):
        pass
    assert heard == [1]
    with guarded(settings(tmp_path, rank=1)):
        pass
    monkeypatch.setattr(guard.dist, "broadcast", lambda is_refused, src: is_refused.fill_(1))
    words = "first process of this run says why"
    with pytest.raises(BudgetError, match=words), guarded(settings(tmp_path, rank=1)):
        pass


def load_another_models_weights() -> None:
    """As fairseq does, which hides torch's words."""
    try:
        nn.Linear(1, 2).load_state_dict(nn.Linear(1, 3).state_dict())
    except Exception:
        raise Exception("Cannot load model parameters from checkpoint x")  # noqa: B904


def test_torchs_words_for_weights_that_do_not_fit_are_not_hidden(tmp_path):
    (tmp_path / "checkpoint_last.pt").write_bytes(b"PK")
    words = r"weights of .*checkpoint_last.pt do not fit this model \(size mismatch for weight"
    with pytest.raises(BudgetError, match=words), guarded(settings(tmp_path, no_save=True)):
        load_another_models_weights()
