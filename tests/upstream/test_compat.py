from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_budget.audio.io import write_audio
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream import audio_backend
from fairseq_budget.upstream.compat import load_torchaudio, prepare_s3prl

pytestmark = pytest.mark.slow

MODULES = ("compat", "expert", "hubconf", "register", "launch")


class Stranger:
    """A class that no list of safe globals holds."""


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    write_audio(path, np.linspace(-0.5, 0.5, 800, dtype=np.float32), 8000)
    return path


def test_importing_our_modules_imports_neither_s3prl_nor_torchaudio_nor_fairseq() -> None:
    names = ", ".join(f"fairseq_budget.upstream.{name}" for name in MODULES)
    code = f"import sys, {names}; print({{'s3prl', 'torchaudio', 'fairseq'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_load_reads_channels_first_and_only_the_wanted_samples(wav: Path) -> None:
    samples, sample_rate = audio_backend.load(wav, frame_offset=100, num_frames=50)
    assert (samples.shape, samples.dtype, sample_rate) == ((1, 50), torch.float32, 8000)
    assert torch.equal(samples, audio_backend.load(wav)[0][:, 100:150])


def test_info_and_save_agree_with_load(wav: Path, tmp_path: Path) -> None:
    samples, sample_rate = audio_backend.load(wav)
    audio_backend.save(tmp_path / "b.wav", samples, sample_rate)
    assert audio_backend.info(tmp_path / "b.wav") == (8000, 800, 1)
    assert torch.equal(audio_backend.load(tmp_path / "b.wav")[0], samples)


def test_sox_effects_mix_resample_and_scale(wav: Path) -> None:
    effects = [["channels", "1"], ["rate", "16000"], ["gain", "-20"]]
    samples, sample_rate = audio_backend.apply_effects_file(wav, effects)
    assert (samples.shape, sample_rate) == ((1, 1600), 16000)
    assert samples.abs().max() == pytest.approx(0.05, rel=0.2)  # the ends of a ramp ring


def test_channels_are_averaged() -> None:
    stereo = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    mono, _ = audio_backend.apply_effects_tensor(stereo, 16000, [["channels", "1"]])
    assert mono.tolist() == [[0.5, 0.25]]


def test_an_unknown_sox_effect_is_an_error_that_names_it() -> None:
    with pytest.raises(BudgetError, match="sox effect 'silence 1"):
        audio_backend.apply_effects_tensor(torch.zeros(1, 8), 16000, [["silence", "1"]])


def test_pauses_and_clicks_after_them_are_taken_out() -> None:
    parts = [(0, 3000), (1, 400), (0, 2000), (2, 4000), (0, 800), (3, 4000), (0, 2200), (4, 300)]
    wave = torch.cat([torch.full((1, length), 0.1 * value) for value, length in parts], 1)
    silence = ["silence", "1", "0.1", "0.1%", "-1", "0.1", "0.1%"]
    kept, _ = audio_backend.apply_effects_tensor(wave, 16000, [silence])
    counts = {value: int((kept == torch.tensor(0.1 * value)).sum()) for value in range(5)}
    assert {value: counts[value] for value in (1, 2, 3, 4)} == {1: 0, 2: 4000, 3: 4000, 4: 0}
    assert 800 <= counts[0] <= 800 + 320  # a breath between words, and 20 ms after the last
    assert audio_backend.apply_effects_tensor(wave * 0, 16000, [silence])[0].shape == (1, 0)


def test_find_files_lists_audio_below_a_folder(wav: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio")
    assert audio_backend.find_files(tmp_path) == [str(wav.resolve())]


@pytest.mark.s3prl
def test_torchaudio_loads_and_computes_beside_this_torch() -> None:
    pytest.importorskip("s3prl")
    torchaudio = load_torchaudio()
    assert torchaudio is load_torchaudio()
    assert torchaudio.functional.resample(torch.zeros(1, 800), 8000, 16000).shape == (1, 1600)


@pytest.mark.s3prl
def test_prepared_torchaudio_reads_files_and_has_sox_effects(wav: Path) -> None:
    pytest.importorskip("s3prl")
    prepare_s3prl()
    prepare_s3prl()
    import torchaudio
    from torchaudio.sox_effects import apply_effects_file

    assert torchaudio.load(str(wav))[0].shape == (1, 800)
    assert torchaudio.info(str(wav)).num_frames == 800
    assert apply_effects_file(str(wav), [["gain", "-3.0"]])[0].shape == (1, 800)
    torchaudio.set_audio_backend("sox_io")


@pytest.mark.s3prl
def test_weights_only_stays_on_and_takes_a_command_line(tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    prepare_s3prl()
    torch.save({"Args": argparse.Namespace(seed=1)}, tmp_path / "args.ckpt")
    assert torch.load(tmp_path / "args.ckpt")["Args"].seed == 1
    torch.save({"Args": Stranger()}, tmp_path / "stranger.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Stranger"):
        torch.load(tmp_path / "stranger.ckpt")
