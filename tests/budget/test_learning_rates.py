"""Learning rates by width, against those of the study's released configurations."""

import pytest

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.learning_rates import lr_for, transferred_lr
from fairseq_budget.budget.presets import read_preset
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import PAPER_RUNS
from tests.conftest import ROOT


def test_twice_the_width_takes_half_the_rate_and_half_of_it_the_same():
    assert transferred_lr(5e-4, from_width=384, to_width=768) == 2.5e-4
    assert transferred_lr(5e-4, from_width=384, to_width=192) == 5e-4


@pytest.mark.parametrize("size", [size for size in PAPER_RUNS if size != "small"])
def test_rates_of_hubert_are_near_those_of_the_study(size):
    preset = read_preset(ROOT / "examples/budget_hubert_iter2_librispeech.yaml")
    found = lr_for(preset, EncoderConfig(size=size))
    assert found == pytest.approx(PAPER_RUNS[size].lr["hubert"], rel=0.2)


def test_a_preset_keeps_its_own_rate_for_its_own_width():
    preset = read_preset(ROOT / "examples/budget_tera_demo.yaml")
    assert lr_for(preset, find_encoder("tiny")) == preset.lr
    assert lr_for(preset, find_encoder("tiny:8")) == preset.lr / 2


def test_the_rate_of_scaled_adam_stays():
    preset = read_preset(ROOT / "examples/budget_hubert_zipformer_librispeech.yaml")
    assert lr_for(preset, EncoderConfig(size="zipformer_large")) == preset.lr
