"""Downstream models on a frozen and on a trained encoder, planned and measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fairseq_budget.budget import task_training as length_downstream
from fairseq_budget.budget.lengths import plan_length
from fairseq_budget.budget.task_models import HEADS
from fairseq_budget.budget.task_training import measure_downstream, plan_downstream
from fairseq_budget.papers.match_to_win import TASKS

pytestmark = pytest.mark.slow


@pytest.fixture
def short(monkeypatch):
    """Every task on two sequences of a quarter of a second."""
    small = {name: replace(task, length_s=0.25, batch=2) for name, task in TASKS.items()}
    monkeypatch.setattr(length_downstream, "TASKS", small)


@pytest.mark.parametrize("head", HEADS)
def test_models_answer_per_utterance_or_per_frame(head):
    logits = HEADS[head](16, 5)(torch.randn(2, 9, 16))
    assert logits.shape == ((2, 9, 5) if head == "ctc" else (2, 5))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("task", ["kws", "sid", "asr"])
@pytest.mark.parametrize("size", ["tiny", "zipformer_tiny"])
def test_every_model_trains_on_noise(short, task, frozen, size):
    seconds, num_bytes = measure_downstream(task, size, frozen=frozen, device="cpu", num_updates=1)
    assert 0 < seconds < 60
    assert num_bytes >= 0


def test_a_frozen_encoder_costs_a_third_and_trains_the_model_alone():
    frozen, unfrozen = (plan_downstream("er", "base", frozen=f) for f in (True, False))
    assert unfrozen.update_tflops == pytest.approx(3 * frozen.update_tflops)
    assert frozen.trained_parameters == 768 * 4 + 4
    assert unfrozen.trained_parameters > 94e6
    assert frozen.fp32_gib < unfrozen.fp32_gib / 2


def test_the_encoder_costs_what_it_costs_in_pre_training():
    task = TASKS["asr"]
    row = plan_length("base", "tera", length_s=task.length_s, batch=task.batch)
    found = plan_downstream("asr", "base", frozen=False)
    assert found.update_tflops == pytest.approx(row.update_tflops)
