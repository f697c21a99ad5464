"""The length of a recording is what decodes, whatever its header says; the rest is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from fairseq_budget.audio.check import inspect
from fairseq_budget.audio.io import audio_info, decode, read_audio
from fairseq_budget.audio.resample import blocks_at_model_rate, to_model_rate
from fairseq_budget.prepare.collect import Rules, examine
from fairseq_budget.prepare.find import Source, passed_over
from tests.audio.odd import BAD, LENGTH, WHOLE, WRONG, antiphase, mp3_without_header, written
from tests.synthetic import tone

IN_BLOCKS = ("GSM 6.10", "G.721")  # the last one is filled
FRAME = 1152  # of an mp3, which pads the first and the last


def copied(path: Path, folder: Path, **rules: float):
    return examine(Source(path.name, path.name), path.parent, Rules(copies=folder, **rules))


@pytest.mark.parametrize("kind", WHOLE)
def test_every_reader_counts_the_samples_that_decode(tmp_path, kind):
    path = WHOLE[kind](tmp_path)
    samples = read_audio(path)
    slack = 3 * FRAME if path.suffix == ".mp3" else 320 if kind in IN_BLOCKS else 0
    assert LENGTH <= len(samples) <= LENGTH + slack
    assert inspect(path, full=False) is None
    assert inspect(path, full=True) is None
    assert audio_info(path).num_samples == len(decode(path)[0]) == len(samples)
    assert copied(path, tmp_path / "copies").num_samples == len(samples)
    tail = read_audio(path, len(samples) - 5000, 4000)
    np.testing.assert_allclose(tail, samples[-5000:-1000], atol=1e-6)
    assert abs(samples).max() <= 1


@pytest.mark.parametrize("kind", BAD)
def test_what_is_lost_is_named_by_the_header_alone(tmp_path, kind):
    expected, make = BAD[kind]
    path = make(tmp_path)
    for full in (False, True):
        assert (inspect(path, full) or "").partition(":")[0] == expected
    assert copied(path, tmp_path / "copies").kind == expected
    assert not (tmp_path / "copies").exists()


def test_a_wav_without_samples_is_empty_whatever_follows(tmp_path):
    path = written("wav.wav")(tmp_path)
    header = bytearray(path.read_bytes()[:44])
    header[40:44] = bytes(4)
    for behind in (b"", b"LIST\4\0\0\0INFO"):
        path.write_bytes(header + behind)
        assert inspect(path, full=True) == "empty: no samples"


@pytest.mark.parametrize("kind", WRONG)
def test_samples_that_mean_nothing_are_named_by_decoding(tmp_path, kind):
    expected, make = WRONG[kind]
    path = make(tmp_path)
    assert (inspect(path, full=True) or "").partition(":")[0] == expected
    assert copied(path, tmp_path / "copies").kind == expected
    assert not any((tmp_path / "copies").glob("*"))


def test_channels_that_cancel_are_no_file_of_zeros(tmp_path):
    assert copied(antiphase(tmp_path), tmp_path / "copies").kind == "channels cancel"


def test_numbers_of_16_bits_are_divided_when_told(tmp_path):
    path = written("wav.wav", "FLOAT", scale=32_768)(tmp_path)
    assert copied(path, tmp_path / "copies", divide_by=32_768).num_samples == LENGTH
    expected = written("a.aiff", "FLOAT")(tmp_path)
    np.testing.assert_allclose(
        read_audio(tmp_path / "copies" / path.name), read_audio(expected), atol=1e-4
    )


def test_quiet_parts_of_such_a_file_are_divided_too(tmp_path, monkeypatch):
    monkeypatch.setattr("fairseq_budget.audio.io._BLOCK", 1 << 14)
    wave = 32_768 * tone(LENGTH, 0)
    wave[: LENGTH // 2] = 1.0
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    copied(tmp_path / "a.wav", tmp_path / "copies", divide_by=32_768)
    assert read_audio(tmp_path / "copies/a.wav")[: LENGTH // 2].max() == 1 / 32_768


def test_an_mp3_is_cut_nowhere_and_begins_where_its_audio_does(tmp_path):
    path = mp3_without_header(tmp_path)
    loudness = abs(read_audio(path))
    assert loudness[:FRAME].mean() < 0.02  # it was written as noise that grows
    assert loudness[LENGTH - FRAME : LENGTH].mean() > 0.1


def test_one_file_never_ends_the_others(tmp_path, monkeypatch):
    def explode(path):
        raise RuntimeError("of another kind")

    monkeypatch.setattr("fairseq_budget.prepare.collect.audio_info", explode)
    finding = copied(written("wav.wav")(tmp_path), tmp_path / "copies")
    assert finding.reason == "unreadable: RuntimeError: of another kind"


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_resampling_in_blocks_gives_the_same_samples(rate):
    samples = np.random.default_rng(0).uniform(-1, 1, (rate, 2)).astype(np.float32)
    blocks = [samples[:5], samples[5:7_000], samples[7_000:]]
    np.testing.assert_array_equal(
        np.concatenate(list(blocks_at_model_rate(blocks, rate))), to_model_rate(samples, rate)
    )


def test_a_long_recording_is_copied_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("fairseq_budget.audio.io._BLOCK", 1 << 14)
    soundfile.write(tmp_path / "a.wav", np.full((100_000, 2), 0.25), 44_100)
    assert copied(tmp_path / "a.wav", tmp_path / "copies").num_samples == 36_281
    assert read_audio(tmp_path / "copies/a.wav")[5_000:30_000] == pytest.approx(0.25, abs=1e-4)


def test_audio_that_is_not_looked_at_is_counted_with_its_cure(tmp_path):
    for name in ("a.sph", "b.SPH", "c.m4a", "notes.txt", "d.wav"):
        (tmp_path / name).touch()
    said = passed_over(tmp_path, ["wav"])
    assert said is not None
    assert "passed over 1 .m4a, 2 .sph" in said
    assert "--ext wav,sph takes them" in said
    assert "ffmpeg -i a.m4a" in said
    assert passed_over(tmp_path, ["wav", "sph", "m4a"]) is None
