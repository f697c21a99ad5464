"""What presets cost is what training would count."""

import pytest

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.machine import Machine
from fairseq_budget.budget.presets import preset_cost
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from tests.conftest import ROOT

TERA = ROOT / "examples/budget_tera_demo.yaml"


def test_a_demo_costs_its_updates_of_16_s_in_sequences_of_4_s():
    cost = preset_cost(TERA, 1, None)
    per_second = training_flops_per_second(EncoderConfig(size="tiny"), 4)
    assert (cost.updates, cost.update_s, cost.hours) == (1200, 16, None)
    assert cost.flops == pytest.approx(1200 * 16 * per_second)


def test_two_gpus_hear_twice_as_much_in_the_same_time():
    measured = Measurement("tiny", "fp32", 16, 4, 0.25, 1000)
    machine = Machine(encoders={"tiny": {"fp32": measured}})
    one, two = (preset_cost(TERA, gpus, machine) for gpus in (1, 2))
    assert one.hours == two.hours == pytest.approx(1200 * 0.25 / 3600)
    assert two.flops == 2 * one.flops


def test_a_student_costs_its_own_layers_and_epochs_are_of_unknown_length():
    student = preset_cost(ROOT / "examples/budget_distilhubert_librispeech.yaml", 1, None)
    base = training_flops_per_second(EncoderConfig(size="base"), 15.625)
    assert student.flops < student.audio_hours * 3600 * base
    epochs = preset_cost(ROOT / "examples/budget_ctc_librispeech.yaml", 1, None)
    assert (epochs.updates, epochs.flops) == (None, None)


def test_a_file_that_is_no_preset_is_named(tmp_path):
    (tmp_path / "budget_x.yaml").write_text("task: 3\n")
    with pytest.raises(BudgetError, match=r"budget_x.yaml is no preset \("):
        preset_cost(tmp_path / "budget_x.yaml", 1, None)
