"""An encoder takes waveforms as people have them, and says what is wrong with others."""

import numpy as np
import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

WAVE = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
TENSOR = torch.from_numpy(WAVE)


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(EncoderConfig(size="tiny", encoder_layers=1, normalize=True)).eval()


@pytest.mark.parametrize(
    "source",
    [
        TENSOR, TENSOR.double(), WAVE, WAVE.astype(np.float64), WAVE[None], [TENSOR], [WAVE],
        (WAVE,), [TENSOR[None]], [WAVE[:, None]], WAVE[::-1][::-1], TENSOR[None],
        np.frombuffer(WAVE.tobytes(), np.float32),
    ],
)  # fmt: skip
def test_tensors_arrays_and_lists_of_them_give_the_same_states(encoder, source):
    with torch.no_grad():
        expected = encoder(TENSOR[None]).hidden_states
        found = encoder(source, sample_rate=16000).hidden_states
    for state, same in zip(found, expected, strict=True):
        torch.testing.assert_close(state, same, atol=1e-5, rtol=1e-5)


def test_a_list_of_other_lengths_is_padded_so_that_nothing_changes(encoder):
    waves = [WAVE, WAVE[:401], TENSOR[:5000], TENSOR[100:7000].double()]
    with torch.no_grad():
        out = encoder(waves)
        for row, wave in enumerate(waves):
            frames = num_frames(len(wave))
            assert int((~out.padding_mask[row]).sum()) == frames
            for state, alone in zip(out.hidden_states, encoder(wave).hidden_states, strict=True):
                torch.testing.assert_close(state[row, :frames], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((WAVE * 32767).astype(np.int16), "the waveform is of int16.* divide it by 32768"),
        ([TENSOR, TENSOR.int()], "waveform 1 of the list is of int32.* divide it by 2147483648"),
        ((WAVE > 0), "the waveform is of bool: expected floats"),
        ([], r"shape \[0, 0\]: expected \(samples,\)"),
        (np.zeros((0, 8000), np.float32), r"shape \[0, 8000\]"),
        (np.zeros(0, np.float32), "a batch of 0 samples is shorter than one frame"),
        ([WAVE, WAVE[:0]], "waveform 1 of the list has 0 samples, fewer than one frame"),
        ([WAVE[:399]], "waveform 0 of the list has 399 samples"),
        (np.stack([WAVE, WAVE], 1), r"\[8000, 2\], which look like \(samples, channels\)"),
        ([np.stack([WAVE, WAVE])], r"waveform 0 .* \[2, 8000\]: .* the mean over channels"),
        (TENSOR[None, None], r"shape \[1, 1, 8000\]: .* the mean over channels"),
        ((WAVE, 8000), "waveform 1 of the list is a int: .* goes into sample_rate="),
        ("a.wav", "the waveform is a str: expected a tensor or an array"),
        (None, "the waveform is a NoneType"),
    ],
)
def test_what_is_no_waveform_is_told_with_the_cure(encoder, source, message):
    with pytest.raises(BudgetError, match=message):
        encoder(source)


def test_another_rate_is_refused_by_name(encoder):
    with pytest.raises(BudgetError, match=r"sample_rate=8000: expected 16000; resample first"):
        encoder(WAVE, sample_rate=8000)
    with pytest.raises(BudgetError, match="num_samples of a list"):
        encoder([WAVE], torch.tensor([8000]))
