"""Means of weights: running, between two moments, of checkpoints on disk."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, load_pretrained, save_pretrained
from fairseq_budget.pretrained.averaging import (
    RunningMean,
    average_checkpoints,
    average_running,
    mean_between,
)

TINY = EncoderConfig(size="tiny", encoder_layers=1)


def states(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {"weight": torch.randn(3, 2, generator=generator), "updates": torch.tensor(n)}
        for n in range(count)
    ]


def running(parts: list[dict[str, torch.Tensor]]) -> RunningMean:
    mean = RunningMean()
    for state in parts:
        mean.update(state)
    return mean


def test_the_running_mean_is_the_mean_and_counters_are_the_newest():
    parts = states(50)
    mean = running(parts)
    expected = torch.stack([part["weight"].double() for part in parts]).mean(0)
    torch.testing.assert_close(mean.mean["weight"], expected)
    assert mean.count == 50
    assert mean.mean["updates"] == 49


def test_the_mean_does_not_follow_weights_that_change_later():
    weight = torch.ones(2, dtype=torch.float64)
    mean = running([{"weight": weight}])
    weight.zero_()
    assert mean.mean["weight"].tolist() == [1.0, 1.0]


def test_the_mean_between_two_moments_is_that_of_the_states_in_between():
    parts = states(20)
    start, end = running(parts[:8]), running(parts)
    expected = torch.stack([part["weight"].double() for part in parts[8:]]).mean(0)
    torch.testing.assert_close(mean_between(start, end)["weight"], expected)
    assert mean_between(RunningMean(), end) == end.mean


def test_moments_in_the_wrong_order_are_refused():
    with pytest.raises(BudgetError, match="between a mean of 3 states and one of 2"):
        mean_between(running(states(3)), running(states(2)))


def test_weights_of_another_model_are_refused():
    with pytest.raises(BudgetError, match="bias differ"):
        running([{"weight": torch.ones(2)}, {"weight": torch.ones(2), "bias": torch.ones(1)}])
    with pytest.raises(BudgetError, match="weight differ"):
        running([{"weight": torch.ones(2)}, {"weight": torch.ones(3)}])


def save(folder, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(TINY).state_dict().items()}
    save_pretrained(folder, Pretrained("budget_tera", TINY, {}, state, {"num_updates": seed}))
    return state


def test_checkpoints_average_to_a_model_that_loads(tmp_path):
    one, other = save(tmp_path / "one", 1), save(tmp_path / "other", 2)
    mean = average_checkpoints([tmp_path / "one", tmp_path / "other"])
    name = "encoder.post_extract_proj.weight"
    torch.testing.assert_close(mean.state[name], (one[name] + other[name]) / 2)
    assert mean.state[name].dtype == torch.float32
    assert mean.provenance["num_updates"] == 2
    assert [part["checkpoint"] for part in mean.provenance["average_of"]] == ["one", "other"]
    save_pretrained(tmp_path / "mean", mean)
    found = load_pretrained(tmp_path / "mean").state_dict()
    torch.testing.assert_close(found[name.removeprefix("encoder.")], mean.state[name])


def write_run(folder, count: int) -> None:
    """Checkpoints of a run after 1 to `count` updates; its weights count them."""
    mean = RunningMean()
    cfg = {"model": {"_name": "budget_ctc", "size": "tiny"}, "task": {}, "optimization": {}}
    for number in range(1, count + 1):
        state = {"head.weight": torch.full((2,), float(number))}
        mean.update(state)
        checkpoint = {
            "cfg": {**cfg, "criterion": {}},
            "model": state,
            "optimizer_history": [{"num_updates": number}],
            "task_state": mean.state_dict() if number > 1 else {},
        }
        torch.save(checkpoint, folder / f"{number}.pt")


def test_a_runs_own_mean_is_that_between_two_of_its_checkpoints(tmp_path):
    write_run(tmp_path, 5)
    assert average_running(tmp_path / "5.pt").state["head.weight"].tolist() == [3.0, 3.0]
    mean = average_running(tmp_path / "5.pt", tmp_path / "3.pt")
    assert mean.state["head.weight"].tolist() == [4.5, 4.5]
    assert mean.state["head.weight"].dtype == torch.float32
    parts = mean.provenance["mean_between"]
    assert [part["checkpoint"] for part in parts] == ["3.pt", "5.pt"]


def test_a_checkpoint_without_a_running_mean_is_refused(tmp_path):
    write_run(tmp_path, 1)
    with pytest.raises(BudgetError, match=r"1.pt holds no running mean .* task.mean_interval=200"):
        average_running(tmp_path / "1.pt")


def test_nothing_to_average_is_refused():
    with pytest.raises(BudgetError, match="no checkpoint to average"):
        average_checkpoints([])


@pytest.mark.parametrize("wrong", [{"weights_mean": "text"}, {"weights_count": 0.5}])
def test_a_running_mean_that_is_none_is_an_error(tmp_path, wrong):
    write_run(tmp_path, 2)
    saved = torch.load(tmp_path / "2.pt", weights_only=True)
    saved["task_state"] |= wrong
    torch.save(saved, tmp_path / "2.pt")
    with pytest.raises(BudgetError, match=rf"the running mean in .*2\.pt .*{next(iter(wrong))}"):
        average_running(tmp_path / "2.pt")
