"""Which changes of settings a restart may make, and which it says."""

import copy
from pathlib import Path

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.settings import check_restart

SAVED = {
    "common": {"seed": 1, "fp16": False, "bf16": False, "log_interval": 5, "user_dir": "a"},
    "task": {"_name": "budget_pretraining", "data": "data/cut", "mask_prob": 0.8, "seed": 1,
             "max_update": 8, "budget_flops": None, "user_dir": "a", "labels": None},
    "dataset": {"max_tokens": 64000, "batch_size": None, "num_workers": 1, "train_subset": "train",
                "required_batch_size_multiple": 1},
    "model": {"_name": "budget_hubert", "size": "tiny", "encoder_layers": None, "conv_dim": None,
              "dropout": 0.1, "layer_norm_first": False, "num_classes": 54, "seed": 1,
              "batch_seconds_per_update": 4.0, "logit_temp": 0.1, "upsample": False},
    "criterion": {"_name": "budget_masked_prediction", "feature_penalty_weight": 10.0},
    "optimizer": {"_name": "adam", "lr": [0.002], "weight_decay": 0.01},
    "lr_scheduler": {"_name": "polynomial_decay", "lr": [0.002], "total_num_update": 8},
    "optimization": {"lr": [0.002], "update_freq": [1], "clip_norm": 10.0, "max_update": 8,
                     "sentence_avg": False},
    "distributed_training": {"distributed_world_size": 1},
    "checkpoint": {"save_interval": 1, "reset_optimizer": False, "reset_lr_scheduler": False,
                   "reset_dataloader": False},
}  # fmt: skip


def restart(*changes: str, anew: bool = False, **values: object) -> list[str]:
    """The fields that a restart with changed values warns of."""
    now = copy.deepcopy(SAVED)
    for name, value in {**dict(change.split("=") for change in changes), **values}.items():
        section, _, field = name.partition(".")
        now[section][field] = value
    now["model"] |= {"num_classes": None, "batch_seconds_per_update": None}  # as at the start
    warnings = check_restart("last.pt", SAVED, now, anew=anew)
    return [warning.partition("=")[0] for warning in warnings]


def test_what_may_change_freely_says_nothing():
    assert restart(
        f"task.data={Path.cwd()}/data/../data/cut", "task.user_dir=b", "common.log_interval=9",
        **{"task.budget_flops": 1e9, "dataset.num_workers": 4, "checkpoint.save_interval": 2,
           "task.max_update": 16, "optimization.max_update": 16, "task.seed": 1.0},
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["common.seed", "task.data", "task.mask_prob", "task.labels", "dataset.max_tokens",
     "dataset.batch_size", "model.dropout", "model.logit_temp", "optimizer.weight_decay",
     "lr_scheduler.total_num_update", "lr_scheduler._name", "optimization.lr",
     "criterion.feature_penalty_weight"],
)  # fmt: skip
def test_what_can_go_on_is_warned_of_by_name(name):
    assert restart(**{name: 7}) == [name]


def test_a_derived_value_is_told_once_where_it_comes_from():
    fields = ("common.seed", "task.seed", "model.seed")
    assert restart(**dict.fromkeys(fields, 2)) == ["common.seed"]
    fields = ("optimization.lr", "optimizer.lr", "lr_scheduler.lr")
    assert restart(**{field: [0.1] for field in fields}) == ["optimization.lr"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model.size": "slim"}, r"model.size=slim \(was tiny\): set back"),
        ({"model.encoder_layers": 2}, r"model.encoder_layers=2 \(was 3\)"),
        ({"model.layer_norm_first": True}, "model.layer_norm_first=True"),
        ({"model._name": "budget_tera"}, r"model._name=budget_tera \(was budget_hubert\)"),
        ({"criterion._name": "x"}, r"criterion._name=x .*reset_optimizer=true"),
        ({"optimizer._name": "x"}, r"optimizer._name=x .*reset_optimizer=true"),
        ({"common.fp16": True}, r"common.fp16=True .*reset_optimizer=true"),
    ],
)
def test_what_cannot_go_on_is_refused_by_name(change, words):
    with pytest.raises(BudgetError, match=f"last.pt cannot go on with {words}"):
        restart(**change)


def test_batches_of_an_update_may_be_shared_by_more_processes_but_not_become_more_in_silence():
    size = "distributed_training.distributed_world_size"
    assert restart(**{size: 8}) == [size]
    saved = copy.deepcopy(SAVED)
    saved["optimization"]["update_freq"] = [8]
    now = {**copy.deepcopy(SAVED), "distributed_training": {"distributed_world_size": 8}}
    assert check_restart("last.pt", saved, now) == []


def test_a_checkpoint_that_says_nothing_of_its_front_end_has_convolutions():
    assert restart(**{"model.frontend": "conv"}) == []
    with pytest.raises(BudgetError, match=r"cannot go on with model.frontend=logmel \(was conv\)"):
        restart(**{"model.frontend": "logmel"})


def test_dimensions_of_the_size_may_be_spelled_out_or_not():
    assert restart(**{"model.encoder_layers": 3}) == []


def test_a_fine_tuned_encoder_is_its_checkpoints_whatever_the_size_says():
    assert restart(**{"model.size": "slim", "model.pretrained": "x"}) == []


def test_what_is_reset_may_be_another():
    reset = {"checkpoint.reset_optimizer": True}
    assert restart(**{"optimizer._name": "x", "common.fp16": True, **reset}) == []
    reset = {"checkpoint.reset_dataloader": True}
    assert restart(**{"common.seed": 2, "task.data": "y", "dataset.max_tokens": 3, **reset}) == []
    everything = {"common.seed": 2, "optimizer._name": "x", "lr_scheduler.total_num_update": 9}
    assert restart(**everything, anew=True) == []
    with pytest.raises(BudgetError, match=r"model.size"):
        restart(**{"model.size": "slim"}, anew=True)
