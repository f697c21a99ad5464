"""Runs are alike by what their losses depend on."""

from __future__ import annotations

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.alike import chooses_segments, conditions, near


def test_conditions_are_settings_the_kind_of_encoder_and_the_data_that_is_validated_on():
    cfg = {
        "task": {"mask_prob": 0.8, "data": "somewhere"},
        "model": {"size": "tiny", "latent_groups": [1, 2], "target": None},
        "lr_scheduler": None,
    }
    assert conditions(cfg, {"km": "c" * 64}).split() == [
        "model.encoder_type=transformer",
        "model.frontend=conv",
        "model.latent_groups=[1,2]",
        "task.mask_prob=0.8",
        f"valid.km={'c' * 12}",
    ]


def test_an_encoder_that_cannot_be_has_no_conditions():
    with pytest.raises(BudgetError, match=r"model\.size='huge'"):
        conditions({"model": {"size": "huge"}}, {})


def test_a_loss_over_segments_that_the_run_has_chosen_is_told():
    assert chooses_segments(conditions({"model": {"size": "tiny", "subsample": "cif"}}, {}))
    assert not chooses_segments(conditions({"model": {"size": "tiny"}}, {}))


def test_what_has_no_value_is_a_group_of_its_own():
    values = {"a": None, "b": 100.0, "c": 109.0, "d": 111.0, "e": None}
    assert near(values, values.__getitem__, 1.1) == [["a", "e"], ["b", "c"], ["d"]]
    assert near([2, 1, 2], float, 1.0) == [[1], [2, 2]]
