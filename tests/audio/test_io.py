"""Audio files: exact samples, and a reason for each file that would not do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fairseq_budget.audio.check import inspect
from fairseq_budget.audio.io import audio_info, decode, read_audio, write_audio
from fairseq_budget.audio.resample import to_model_rate
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.find import EXTENSIONS
from tests.synthetic import tone, write_samples, write_tone


def halve(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def not_finite(path: Path) -> Path:
    samples = tone(16_000, seed=0)
    samples[9_000] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    return path


def text(path: Path) -> Path:
    path.write_text("no audio")
    return path


BAD = {
    "unreadable": lambda folder: text(folder / "a.wav"),
    "empty": lambda folder: write_tone(folder / "a.wav", 0),
    "truncated wav": lambda folder: halve(write_tone(folder / "a.wav", 16_000)),
    "truncated flac": lambda folder: halve(write_tone(folder / "a.flac", 16_000)),
    "wrong sample rate": lambda folder: write_tone(folder / "a.wav", 8_000, sample_rate=8_000),
    "not mono": lambda folder: write_tone(folder / "a.wav", 16_000, channels=2),
    "not finite": lambda folder: not_finite(folder / "a.wav"),
}


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("full", [False, True])
def test_good_file_has_no_reason(tmp_path: Path, extension: str, full: bool) -> None:
    assert inspect(write_tone(tmp_path / f"a.{extension}", 16_000), full) is None


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_has_its_reason(tmp_path: Path, kind: str) -> None:
    reason = inspect(BAD[kind](tmp_path), full=True)
    assert reason is not None
    assert reason.startswith(f"{kind.removesuffix(' wav').removesuffix(' flac')}: ")


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "not finite"])
def test_header_alone_shows_all_but_invalid_samples(tmp_path: Path, kind: str) -> None:
    path = BAD[kind](tmp_path)
    reason = inspect(path, full=False)
    assert reason is not None
    assert reason.split(":")[0] == (inspect(path, full=True) or "").split(":")[0]


def test_flac_damaged_in_its_middle_is_found_by_decoding(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.flac", 64_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(content)
    assert inspect(path, full=False) is None
    assert (inspect(path, full=True) or "").startswith("truncated: ")


def test_wav_that_came_through_a_pipe_is_not_truncated(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 16_000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert inspect(path, full=True) is None


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_never_read(tmp_path: Path, kind: str) -> None:
    path = BAD[kind](tmp_path)
    with pytest.raises(BudgetError, match=r"a\.(wav|flac).*;"):
        read_audio(path, 0, 16_000)


def test_missing_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"a\.wav: unreadable: No such file"):
        read_audio(tmp_path / "a.wav")


def test_header_is_read_without_decoding(tmp_path: Path) -> None:
    info = audio_info(write_tone(tmp_path / "a.flac", 44_100, sample_rate=44_100, channels=2))
    assert (info.sample_rate, info.num_channels, info.num_samples) == (44_100, 2, 44_100)
    assert (info.format, info.duration_s) == ("FLAC", 1.0)


@pytest.fixture(scope="module", params=EXTENSIONS)
def fading(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fading_noise(tmp_path_factory.mktemp("fading") / f"a.{request.param}", 560_000)


@pytest.mark.parametrize("start", [1, 7_777, 400_000, 559_000, 559_999])
def test_part_of_a_file_is_a_slice_of_it(fading: Path, start: int) -> None:
    path, extension = fading, fading.suffix.removeprefix(".")
    whole = read_audio(path)
    assert whole.dtype == np.float32
    assert len(whole) == 560_000
    rounding = 1e-6 if extension == "mp3" else 0  # its decoder's sums depend on what is asked for
    np.testing.assert_allclose(read_audio(path, start), whole[start:], atol=rounding, rtol=0)
    piece = read_audio(path, start, 1)
    np.testing.assert_allclose(piece, whole[start : start + 1], atol=rounding, rtol=0)


def write_fading_noise(path: Path, num_samples: int) -> Path:
    """What is hard to seek in: it varies, and the last page of an ogg becomes long."""
    noise = np.random.default_rng(0).uniform(-1, 1, num_samples) * np.geomspace(
        1, 1e-4, num_samples
    )
    return write_samples(path, noise[:, None].astype(np.float32), 16_000)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus"])
def test_what_lies_before_a_piece_is_not_even_read(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tone(tmp_path / f"a.{extension}", 150 * 16_000)
    opened: list[Counting] = []

    def counting(path: Path) -> io.BufferedReader:
        opened.append(Counting(path))
        return io.BufferedReader(opened[-1])

    monkeypatch.setattr("fairseq_budget.audio.io.open_bytes", counting)
    read_audio(path, 110 * 16_000, 16_000)
    assert opened[0].num_bytes < 0.6 * path.stat().st_size


class Counting(io.FileIO):
    """A file that counts the bytes read from it."""

    num_bytes = 0

    def readinto(self, buffer: memoryview) -> int:
        num_read = super().readinto(buffer) or 0
        self.num_bytes += num_read
        return num_read


def test_what_was_read_is_written_back_bit_for_bit(tmp_path: Path) -> None:
    samples = np.arange(-(1 << 15), 1 << 15, dtype=np.float32) / (1 << 15)
    write_audio(tmp_path / "a.wav", samples, 16_000)
    assert np.array_equal(read_audio(tmp_path / "a.wav"), samples)
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"


def test_loud_samples_are_clipped_and_never_wrap_around(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([1.5, -1.5], dtype=np.float32), 16_000)
    assert np.allclose(read_audio(tmp_path / "a.wav"), [1, -1], atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_invalid_samples_are_not_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(BudgetError, match="not finite"):
        write_audio(tmp_path / "a.wav", np.array([value], dtype=np.float32), 16_000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_interrupted_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    monkeypatch.setattr("os.fsync", raiser(failure))
    with pytest.raises(type(failure)):
        write_audio(tmp_path / "a.wav", tone(100, seed=0), 16_000)
    assert not list(tmp_path.iterdir())


def raiser(failure: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise failure

    return fail


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 48_000])
def test_resampling_keeps_a_tone_and_mixes_channels(sample_rate: int) -> None:
    seconds = np.arange(sample_rate) / sample_rate
    left = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    resampled = to_model_rate(np.stack([left, np.zeros_like(left)], axis=1), sample_rate)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert resampled.dtype == np.float32
    assert resampled.shape == (16_000,)
    assert np.abs(resampled - expected)[400:-400].max() < 1e-3


def test_audio_at_the_right_rate_is_not_changed(tmp_path: Path) -> None:
    samples, sample_rate = decode(write_tone(tmp_path / "a.wav", 16_000))
    assert np.array_equal(to_model_rate(samples, sample_rate), read_audio(tmp_path / "a.wav"))
