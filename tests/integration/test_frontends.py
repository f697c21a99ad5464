"""Log-mel frames in place of convolutions, as users type it: trained, resumed, exported, used."""

import math

import pytest
import torch

from fairseq_budget.pretrained import load_pretrained
from fairseq_budget.upstream.hubconf import budget_upstream
from tests.conftest import run, train_command

pytestmark = pytest.mark.fairseq
LOG_MEL = "model.frontend=logmel"


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of four updates that has gone on to six, and what it printed."""
    pytest.importorskip("fairseq")
    folder = tmp_path_factory.mktemp("logmel")
    done = [
        run(*train_command(data, folder, LOG_MEL, f"optimization.max_update={updates}"))
        for updates in (4, 6)
    ]
    return folder, [each.stdout + each.stderr for each in done]


def test_a_run_goes_on_at_a_lower_cost_that_is_metered(trained, checkpoint):
    folder, (_, log) = trained
    assert "Loaded checkpoint" in log
    [ours, theirs] = (
        torch.load(path, weights_only=True) for path in (folder / "checkpoint_last.pt", checkpoint)
    )
    assert ours["cfg"]["model"]["frontend"] == "logmel"
    weights = {name for name in ours["model"] if ".feature_extractor." in name}
    assert weights == {f"encoder.feature_extractor.proj.{name}" for name in ("weight", "bias")}
    costs = [
        run["task_state"]["flops"] / run["task_state"]["audio_hours"] for run in (ours, theirs)
    ]
    assert 0.4 < costs[0] / costs[1] < 0.6
    losses = {meter[1]: meter[3] for meter in ours["extra_state"]["metrics"]["train"]}
    assert math.isfinite(float(losses["loss"]["sum"]))


def test_an_export_is_the_encoder_in_python_and_in_s3prl(trained, tmp_path):
    run("budget-export", trained[0] / "checkpoint_last.pt", tmp_path / "ours")
    encoder, upstream = load_pretrained(tmp_path / "ours"), budget_upstream(str(tmp_path / "ours"))
    waves = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (8000, 4400)]
    with torch.no_grad():
        ours = encoder(waves).hidden_states
        theirs = upstream.eval()(waves)["hidden_states"]
    for one, other in zip(ours, theirs, strict=True):
        assert other.shape[1] == 25  # a frame for each 20 ms begun
        assert one.shape == (2, 24, 128)
    for tool in ("transformers", "fairseq"):
        words = [trained[0] / "checkpoint_last.pt", tmp_path / tool, "--to", tool]
        done = run("budget-export", *words, check=False)
        assert f"model.frontend=logmel: {tool} has no such front-end" in done.stderr
        assert not (tmp_path / tool).exists()
