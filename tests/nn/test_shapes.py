"""Encoders of shapes alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.shapes import shapes_only

COUNT = """
import sys
from fairseq_budget.budget.parameters import count_parameters
for size in ("tiny", "zipformer_tiny"):
    count_parameters(size, "wav2vec2")
sys.exit("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("size", ["tiny", "zipformer_tiny"])
def test_shapes_are_those_of_a_real_encoder(size):
    config = EncoderConfig(size=size)
    with shapes_only():
        shapes = SpeechEncoder(config)
    found = {name: value.shape for name, value in shapes.state_dict().items()}
    real = {name: value.shape for name, value in SpeechEncoder(config).state_dict().items()}
    assert found == real


def test_nothing_is_drawn_and_what_is_built_afterwards_is_real():
    state = torch.get_rng_state()
    with shapes_only():
        SpeechEncoder(EncoderConfig(size="tiny"))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.nn.Linear(2, 2).weight.abs().sum() > 0


def test_counting_does_not_import_torchs_compiler():
    subprocess.run([sys.executable, "-c", COUNT], check=True)
