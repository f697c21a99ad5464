"""``budget-manifest``: from folders to manifests, and every way in which that can go wrong."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from fairseq_budget.audio.io import read_audio
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.prepare import collect
from tests.cli.manifest.folders import build, files_below, names
from tests.synthetic import write_tone, write_tone_corpus


def spoil(folder: Path) -> None:
    """Add one bad file of each kind that headers show, and one that they do not."""
    (folder / "noise.wav").write_text("no audio")
    write_tone(folder / "empty.wav", 0)
    write_tone(folder / "slow.wav", 8_000, sample_rate=8_000)
    write_tone(folder / "stereo.flac", 16_000, channels=2)
    cut = write_tone(folder / "cut.wav", 16_000)
    cut.write_bytes(cut.read_bytes()[:20_000])
    soundfile.write(folder / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")


def test_manifest_lists_a_folder_in_sorted_order(tmp_path: Path, audio: Path) -> None:
    assert build("--trainpref", audio, "--destdir", tmp_path / "data") == 0
    manifest = Manifest.read(tmp_path / "data" / "train.tsv")
    assert manifest == write_tone_corpus(audio, 6)
    assert names(tmp_path / "data" / "train.tsv") == sorted(names(tmp_path / "data" / "train.tsv"))
    assert files_below(tmp_path / "data") == ["train.tsv"]
    read_text(tmp_path / "data" / "train.tsv").check_files()


def test_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    write_tone_corpus(tmp_path / "audio", 40, seconds=(0.1, 0.2))
    spoil(tmp_path / "audio")
    for workers in (1, 2):
        destination = tmp_path / f"data_{workers}"
        build("--trainpref", tmp_path / "audio", "--destdir", destination, "--workers", workers)
    for name in ("train.tsv", "train.rejected.tsv"):
        contents = [(tmp_path / f"data_{workers}" / name).read_bytes() for workers in (1, 2)]
        assert contents[0] == contents[1]


def test_each_prefix_makes_its_split(tmp_path: Path, audio: Path) -> None:
    write_tone_corpus(tmp_path / "dev", 2)
    write_tone_corpus(tmp_path / "eval", 3)
    build(
        *("--trainpref", audio, "--validpref", tmp_path / "dev", "--testpref", tmp_path / "eval"),
        *("--destdir", tmp_path / "data"),
    )
    counts = [len(names(tmp_path / "data" / f"{s}.tsv")) for s in ("train", "valid", "test")]
    assert counts == [6, 2, 3]


@pytest.mark.parametrize(("percent", "expected"), [(0.01, 1), (34, 2), (99.9, 5)])
def test_valid_takes_its_share_of_train(
    tmp_path: Path, audio: Path, percent: float, expected: int
) -> None:
    data = tmp_path / "data"
    build("--trainpref", audio, "--destdir", data, "--valid-percent", percent)
    train, valid = names(data / "train.tsv"), names(data / "valid.tsv")
    assert len(valid) == expected
    assert sorted(train + valid) == [u.name for u in write_tone_corpus(audio, 6).utterances]


def test_valid_is_a_function_of_the_seed(tmp_path: Path, audio: Path) -> None:
    chosen = []
    for seed in (1, 1, 2, 3):
        build("--trainpref", audio, "--destdir", tmp_path, "--valid-percent", 50, "--seed", seed)
        chosen.append(names(tmp_path / "valid.tsv"))
    assert chosen[0] == chosen[1]
    assert any(names != chosen[0] for names in chosen[2:])


def test_extensions_and_a_pattern_choose_files(tmp_path: Path, audio: Path) -> None:
    build("--trainpref", audio, "--destdir", tmp_path, "--ext", "flac", "--match", "speaker_1/")
    assert names(tmp_path / "train.tsv") == ["speaker_1/utterance_003.flac"]


def test_linked_folders_are_followed_and_circles_end(tmp_path: Path, audio: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "audio").symlink_to(audio)
    (audio / "speaker_0" / "circle").symlink_to(tmp_path / "links")
    build("--trainpref", tmp_path / "links", "--destdir", tmp_path)
    assert len(names(tmp_path / "train.tsv")) == 6


def test_durations_outside_the_limits_are_left_out(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tone(audio / "short.wav", 4_000)
    write_tone(audio / "long.wav", 64_000)
    limits = ("--min-seconds", 0.5, "--max-seconds", 3, "--bad", "error")  # unwanted is not bad
    assert build("--trainpref", audio, "--destdir", tmp_path, *limits) == 0
    assert len(names(tmp_path / "train.tsv")) == 6
    assert "short.wav: too short: 0.25 s, less than 0.5 s" in capsys.readouterr().err


def test_bad_files_are_named_counted_and_left_out(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(audio)
    arguments = ("--trainpref", audio, "--destdir", tmp_path, "--check", "full", "--json")
    assert build(*arguments) == 0
    output = capsys.readouterr()
    summary = json.loads(output.out)["train"]
    assert summary["num_utterances"] == len(names(tmp_path / "train.tsv")) == 6
    assert summary["rejected"] == {
        kind: 1
        for kind in (
            *("truncated", "empty", "not finite", "unreadable"),
            *("wrong sample rate", "not mono"),
        )
    }
    rejected = dict(
        line.split("\t") for line in (tmp_path / "train.rejected.tsv").read_text().splitlines()
    )
    assert len(rejected) == 6
    for path, reason in rejected.items():
        assert f"train: left out {path}: {reason}" in output.err


def test_only_twenty_files_are_printed_for_a_reason(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(25):
        (audio / f"{index}.wav").write_text("no audio")
    build("--trainpref", audio, "--destdir", tmp_path)
    errors = capsys.readouterr().err
    assert errors.count("left out") == 20
    assert "and 5 more that are unreadable" in errors
    assert len((tmp_path / "train.rejected.tsv").read_text().splitlines()) == 25


def test_list_of_rejected_files_does_not_outlive_them(tmp_path: Path, audio: Path) -> None:
    (audio / "bad.wav").write_text("no audio")
    build("--trainpref", audio, "--destdir", tmp_path / "data")
    assert (tmp_path / "data" / "train.rejected.tsv").exists()
    (audio / "bad.wav").unlink()
    build("--trainpref", audio, "--destdir", tmp_path / "data")
    assert not (tmp_path / "data" / "train.rejected.tsv").exists()


def test_bad_files_can_be_an_error(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(audio)
    assert build("--trainpref", audio, "--destdir", tmp_path / "data", "--bad", "error") == 2
    assert "error: 5 of 12 train files are bad" in capsys.readouterr().err
    assert not files_below(tmp_path / "data")


def test_names_that_a_manifest_cannot_hold_are_left_out(tmp_path: Path, audio: Path) -> None:
    write_tone(audio / "new\nline.wav", 16_000)
    write_tone(audio / "tab\t.wav", 16_000)
    audio_bytes = (audio / "tab\t.wav").read_bytes()
    Path(os.fsdecode(os.fsencode(audio) + b"/\xff.wav")).write_bytes(audio_bytes)
    assert build("--trainpref", audio, "--destdir", tmp_path) == 0
    assert len(names(tmp_path / "train.tsv")) == 6
    assert (tmp_path / "train.rejected.tsv").read_text().count("unusable name") == 3


def test_copies_are_16_khz_mono_under_one_root(tmp_path: Path, audio: Path) -> None:
    write_tone(audio / "slow.wav", 8_000, sample_rate=8_000)
    write_tone(audio / "stereo.flac", 44_100, sample_rate=44_100, channels=2)
    build("--trainpref", audio, "--destdir", tmp_path, "--resample-to", tmp_path / "wav")
    corpus = read_text(tmp_path / "train.tsv")
    sizes = {corpus.name(index): int(corpus.sizes[index]) for index in range(len(corpus))}
    assert corpus.root == tmp_path / "wav"
    assert (len(corpus), sizes["slow.wav"], sizes["stereo.wav"]) == (8, 16_000, 16_000)
    assert all(len(corpus.read(index)) == corpus.sizes[index] for index in range(len(corpus)))
    copy = read_audio(corpus.root / "speaker_0" / "utterance_000.wav")
    assert np.array_equal(copy, read_audio(audio / "speaker_0" / "utterance_000.wav"))


def test_copies_that_are_done_are_not_made_again(tmp_path: Path, audio: Path) -> None:
    arguments = ("--trainpref", audio, "--destdir", tmp_path, "--resample-to", tmp_path / "wav")
    build(*arguments)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "wav").rglob("*.wav")}
    manifest = (tmp_path / "train.tsv").read_bytes()
    changed = "speaker_1/utterance_001.wav"
    later = time.time() + 10
    os.utime(audio / changed, (later, later))
    build(*arguments)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "wav").rglob("*.wav")}
    remade = [path for path in before if before[path] != after[path]]
    assert remade == [tmp_path / "wav" / changed]
    assert (tmp_path / "train.tsv").read_bytes() == manifest


def test_bad_files_are_not_copied(tmp_path: Path, audio: Path) -> None:
    spoil(audio)
    build("--trainpref", audio, "--destdir", tmp_path, "--resample-to", tmp_path / "wav")
    kept = {path.name for path in (tmp_path / "wav").rglob("*.wav")}
    assert kept.isdisjoint({"noise.wav", "empty.wav", "cut.wav", "nan.wav"})
    assert {"slow.wav", "stereo.wav"} <= kept


def test_copies_never_overwrite_each_other_or_their_sources(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tone(audio / "same.wav", 16_000)
    write_tone(audio / "same.flac", 16_000)
    assert build("--trainpref", audio, "--destdir", tmp_path, "--resample-to", tmp_path / "w") == 2
    assert "would both become" in capsys.readouterr().err
    assert build("--trainpref", audio, "--destdir", tmp_path, "--resample-to", audio / "wav") == 2
    assert "lies within" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trainpref", "{audio}/none"), "none is no folder"),
        (("--trainpref", "{audio}", "--ext", "mp3,m4a"), r"no audio found in .*audio.*mp3, .m4a"),
        (("--trainpref", "{audio}", "--match", "nobody"), r"no audio found .*'nobody'"),
        (("--trainpref", "{audio}", "--match", "("), "no regular expression"),
        ((), "no audio was named"),
        (("--trainpref", "{audio}", "--valid-percent", "100"), "not within 0 and 100"),
        (
            ("--trainpref", "{audio}", "--validpref", "{audio}", "--valid-percent", "5"),
            "excludes --validpref",
        ),
        (("--trainpref", "{audio}", "--min-seconds", "9"), "none of the 6 train files"),
    ],
)
def test_useless_request_is_one_line_and_writes_nothing(
    tmp_path: Path,
    audio: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    filled = [argument.format(audio=audio) for argument in arguments]
    assert build(*filled, "--destdir", tmp_path / "data") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("budget-manifest: error: ")
    assert re.search(message, last)
    assert not files_below(tmp_path / "data")


def test_folder_without_audio_names_folder_and_extensions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audio").mkdir()
    assert build("--trainpref", tmp_path / "audio", "--destdir", tmp_path / "data") == 2
    message = capsys.readouterr().err
    assert f"no audio found in {tmp_path / 'audio'}" in message
    assert ".wav, .flac, .ogg" in message


@pytest.mark.parametrize("destination", ["{tmp_path}/file/child", "/proc/data"])
@pytest.mark.parametrize("flag", ["--destdir", "--resample-to"])
def test_folder_without_write_permission_fails_before_the_work(
    tmp_path: Path,
    audio: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    destination: str,
    flag: str,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(collect, "examine", None)  # would fail if it were called
    folders = {"--destdir": str(tmp_path / "data"), flag: destination.format(tmp_path=tmp_path)}
    assert build("--trainpref", audio, *sum(folders.items(), ())) == 2
    assert "cannot write to" in capsys.readouterr().err


def interrupt_after(num_calls: int, failure: BaseException, function: Any) -> Any:
    calls = iter(range(num_calls))

    def interrupted(*arguments: object, **keywords: object) -> Any:
        if next(calls, None) is None:
            raise failure
        return function(*arguments, **keywords)

    return interrupted


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "No space left"),
    ],
)
def test_interrupted_work_leaves_nothing_half_written(
    tmp_path: Path,
    audio: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr("os.fsync", interrupt_after(3, failure, os.fsync))
    copies = tmp_path / "wav"
    arguments = ("--trainpref", audio, "--destdir", tmp_path / "data", "--resample-to", copies)
    assert build(*arguments, "--workers", 1) == code
    assert message in capsys.readouterr().err
    assert not files_below(tmp_path / "data")
    finished = [path for path in copies.rglob("*") if path.is_file()]
    assert len(finished) == 3
    assert all(len(read_audio(path)) for path in finished)

    monkeypatch.undo()
    assert build(*arguments, "--workers", 1) == 0  # and takes up where it was stopped


def test_interrupted_search_keeps_the_old_manifest(
    tmp_path: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("--trainpref", audio, "--destdir", tmp_path / "data")
    before = (tmp_path / "data" / "train.tsv").read_bytes()
    write_tone(audio / "new.wav", 16_000)
    interrupted = interrupt_after(3, KeyboardInterrupt(), collect.audio_info)
    monkeypatch.setattr(collect, "audio_info", interrupted)
    assert build("--trainpref", audio, "--destdir", tmp_path / "data", "--workers", 1) == 130
    assert (tmp_path / "data" / "train.tsv").read_bytes() == before
    assert files_below(tmp_path / "data") == ["train.tsv"]


def test_help_mentions_the_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build("--help")
    assert "join and cut utterances" in " ".join(capsys.readouterr().out.split())
