"""The first lines of a run, and when its end is foretold."""

import re
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.fairseq
pytest.importorskip("fairseq")
from omegaconf import OmegaConf  # noqa: E402

from fairseq_budget.budget.flops import training_flops_per_second  # noqa: E402
from fairseq_budget.data.batches import UpdateAudio  # noqa: E402
from fairseq_budget.nn.config import EncoderConfig  # noqa: E402
from fairseq_budget.tasks import _introduction  # noqa: E402
from fairseq_budget.tasks._introduction import (  # noqa: E402
    Forecast,
    introduction,
    num_updates,
)

HEARD = UpdateAudio(seconds=20.0, sequence_s=4.0, updates_per_epoch=2.5, lost=0.0234)
CONFIG = EncoderConfig(size="tiny").resolved()
FLOPS = training_flops_per_second(CONFIG, 4.0) * 20


@pytest.fixture
def model():
    from torch import nn

    model = nn.ModuleDict({"head": nn.Linear(9, 1), "frozen": nn.Linear(4, 1)})
    model["frozen"].requires_grad_(False)
    model.encoder = SimpleNamespace(config=CONFIG)
    return model


def settings(**changed):
    cfg = OmegaConf.create(
        {
            "common": {"seed": 1, "bf16": True, "cpu": True},
            "task": {"labels": "km", "budget_flops": None},
            "model": {"_name": "budget_hubert"},
            "criterion": {"_name": "budget_masked_prediction"},
            "dataset": {"max_tokens": 64000, "batch_size": None},
            "optimization": {
                "max_update": 1000, "max_epoch": 0, "stop_time_hours": 0, "update_freq": [4]
            },
            "checkpoint": {
                "no_save": False, "save_interval": 1, "save_interval_updates": 400, "save_dir": "d"
            },
            "distributed_training": {"distributed_world_size": 2},
        }
    )  # fmt: skip
    return OmegaConf.merge(cfg, OmegaConf.from_dotlist([f"{k}={v}" for k, v in changed.items()]))


def test_each_line_says_one_thing_with_its_number(model):
    assert introduction(settings(), model, HEARD, 7) == [
        "model: budget_hubert, size tiny, 15 parameters, 10 of them trained",
        "objective: budget_masked_prediction, task.labels=km",
        "batch: 20.0 s of audio in an update, in utterances of 4.0 s (dataset.max_tokens=64000, "
        "4 accumulated); 2.3% cropped away for equal lengths",
        f"cost: {FLOPS:.3g} FLOPs in an update of the encoder",
        "updates: 1,000 (5.56 h of audio), 2.5 in an epoch; 7 made",
        "saves: every epoch, every 400 updates, on Ctrl-C or SIGTERM and at the end, in d",
        "end: after 1,000 updates; at what time is said once the speed is known",
        "seed 1, bf16, 2 processes (CPU); the whole config is in hydra_train.log, or shown with "
        "BUDGET_DEBUG=1",
    ]


def test_what_ends_a_run_first_counts(model):
    budget = {"task.budget_flops": 100 * FLOPS}
    cfg = settings(**budget)
    assert num_updates(cfg, model, HEARD) == pytest.approx(100)
    lines = introduction(cfg, model, HEARD, 0)
    assert re.search(r"task.budget_flops=.* pays for 100$", lines[3])
    assert re.search(r"after 1,000 updates or .* FLOPs;", lines[6])
    assert num_updates(settings(**{"optimization.max_epoch": 3}), model, HEARD) == 7.5
    endless = settings(**{"optimization.max_update": 0, "checkpoint.no_save": True})
    words = "\n".join(introduction(endless, model, HEARD, 0))
    assert "updates: any number, 2.5 in an epoch" in words
    assert "end: after Ctrl-C" in words
    assert "saves: nothing" in words


def test_the_end_is_foretold_once_as_soon_as_the_speed_is_known(monkeypatch, caplog):
    caplog.set_level("INFO")
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_introduction.time, "monotonic", lambda: clock.now)
    forecast = Forecast(3611)
    for update in range(1, 40):
        forecast.add(update)
        clock.now += 1.0 if update > 1 else 5.0
    (record,) = caplog.records
    assert record.message.startswith("end: in about 1.40 h, on ")  # 3600 updates of 1.4 s
    Forecast(float("inf")).add(1)
