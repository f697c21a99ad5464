"""Windows tile the frames of an utterance, and each hears what lies around its share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_budget.frames import num_frames
from fairseq_budget.labels.windows import cut_windows
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from tests.synthetic import tone

SIZES = np.array([0, 399, 400, 3599, 3600, 3680, 3681, 4000, 50_000, 51_999])


@pytest.mark.parametrize("overlap", [0, 2, 4])
def test_the_frames_of_windows_are_those_of_the_whole_in_order(overlap):
    windows = cut_windows(SIZES, 10, overlap)
    assert (windows.keep >= 0).all()
    assert (windows.skip + windows.keep <= num_frames(windows.stop - windows.start)).all()
    for index, size in enumerate(SIZES):
        own = windows.utterance == index
        first = windows.start[own] // 320 + windows.skip[own]
        taken = [np.arange(a, a + n) for a, n in zip(first, windows.keep[own], strict=True)]
        assert np.concatenate(taken).tolist() == list(range(num_frames(int(size))))
        assert windows.stop[own][-1] == size


def test_what_fits_has_one_window_and_no_window_is_longer_than_asked():
    windows = cut_windows(SIZES, 10, 4)
    fitting = np.flatnonzero(num_frames(SIZES) <= 10)
    assert (np.bincount(windows.utterance)[fitting] == 1).all()
    assert num_frames(windows.stop - windows.start).max() == 10


def test_between_windows_half_of_the_overlap_is_heard_on_either_side():
    windows = cut_windows(np.array([50_000]), 10, 4)
    assert windows.skip.tolist() == [0, *[2] * (len(windows) - 1)]
    left = num_frames(windows.stop - windows.start) - windows.skip - windows.keep
    assert left.tolist() == [*[2] * (len(windows) - 1), 0]


def test_windows_see_the_same_convolutions_as_the_whole():
    torch.manual_seed(0)
    encoder = SpeechEncoder(EncoderConfig(size="tiny", extractor_mode="layer_norm")).eval()
    wave = torch.from_numpy(tone(20_000, 1))[None]
    whole = encoder.feature_extractor(wave)
    found = cut_windows(np.array([20_000]), 10)
    bounds = zip(found.start, found.stop, strict=True)
    pieces = [encoder.feature_extractor(wave[:, a:b]) for a, b in bounds]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-4)
