"""HuBERT with a Zipformer under ScaledAdam at lr 0.045, as users type it, interrupted."""

import re
import shutil

import pytest
import torch

from tests.conftest import run

pytestmark = [pytest.mark.fairseq, pytest.mark.slow]
pytest.importorskip("fairseq")


@pytest.fixture(scope="module")
def labelled(data, tmp_path_factory):
    """The demo corpus with labels of its own."""
    folder = shutil.copytree(data, tmp_path_factory.mktemp("labelled") / "data")
    run("budget-labels", "make", "--data", folder, "--clusters", 20)
    return folder


def train(labelled, save_dir, num_updates: int) -> str:
    done = run(
        "fairseq-hydra-train", "--config-dir", "examples/", "--config-name",
        "budget_hubert_zipformer_demo", "+task.user_dir=fairseq_budget", f"task.data={labelled}",
        f"checkpoint.save_dir={save_dir}", f"optimization.max_update={num_updates}",
        "lr_scheduler.warmup_updates=10", "dataset.max_tokens=128000", "dataset.num_workers=0",
        "common.log_format=simple", "common.log_interval=5",
    )  # fmt: skip
    return done.stdout + done.stderr


def logged(log: str, name: str) -> list[float]:
    lines = [line for line in log.splitlines() if "train_inner" in line]
    return [float(re.search(rf" {name}=([\d.]+)", line)[1]) for line in lines]


def test_the_loss_falls_through_an_interruption_to_the_very_same_weights(labelled, tmp_path):
    whole = train(labelled, tmp_path / "whole", 40)
    losses = logged(whole, "masked_prediction")
    assert max(logged(whole, "lr")) == pytest.approx(0.045, rel=0.03)
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < losses[2]

    train(labelled, tmp_path / "parts", 17)
    assert "Loaded checkpoint" in train(labelled, tmp_path / "parts", 40)
    states = [
        torch.load(tmp_path / part / "checkpoint_last.pt", weights_only=True)
        for part in ("whole", "parts")
    ]
    assert states[0]["cfg"]["model"]["batch_seconds_per_update"] == 10_000
    for name, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][name]), name
