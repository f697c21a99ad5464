"""The Zipformer's closed form against torch's own counter on the real module."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fairseq_budget.budget.flops_zipformer import zipformer_macs
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.sizes import ZIPFORMER_SIZES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ZIPFORMER_SIZES)
@pytest.mark.parametrize("seconds", [1, 14])
def test_closed_form_agrees_with_torchs_counter(name, seconds):
    size, frames = ZIPFORMER_SIZES[name], num_frames(seconds * 16000)
    with torch.device("meta"):
        projection = nn.Linear(size.conv_dim, size.encoder_embed_dim[0])
        encoder = ZipformerEncoder(size).eval()
        features = torch.empty(1, frames, size.conv_dim)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(projection(features), None)
    assert 2 * zipformer_macs(size, frames) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_lengths_may_be_an_array():
    size = ZIPFORMER_SIZES["zipformer_small"]
    lengths = np.array([0, 1, 49, 700])
    assert zipformer_macs(size, lengths).tolist() == [
        zipformer_macs(size, n) for n in [0, 1, 49, 700]
    ]
    assert zipformer_macs(size, 0) == 0


def test_the_lower_rates_are_what_makes_it_cheap():
    size = ZIPFORMER_SIZES["zipformer_base"]
    num_parameters = 89_874_181  # about the linear layers' cost per frame at one rate
    assert zipformer_macs(size, 700) / 700 < num_parameters / 3
