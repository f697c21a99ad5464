"""What of SUPERB's own corpora must be there, and what their tables must say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fairseq_budget.cli.downstream.command import main
from fairseq_budget.downstream.official import OFFICIAL, Corpus
from fairseq_budget.downstream.tasks import OFFICIAL_TASKS, TASKS
from tests.downstream.corpora import IN_TRAIN, make_corpus, wav

Damage = Callable[[Path], object]


def gone(name: str) -> Damage:
    return lambda root: (root / name).unlink()


def holds(name: str, *lines: str) -> Damage:
    return lambda root: (root / name).write_text("".join(f"{line}\n" for line in lines))


def silent(name: str) -> Damage:
    return lambda root: wav(root / name, 0)


def has(name: str, old: str, new: str) -> Damage:
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


def alone(kept: str, pattern: str) -> Damage:
    """All files of a pattern go but those of a name."""
    return lambda root: [p.unlink() for p in root.glob(pattern) if p.name != kept]


def fold(part: str, number: int, **content: object) -> Damage:
    path = f"meta_data/Session{number}/{part}_meta_data.json"
    return holds(path, json.dumps({"labels": {"neu": 0}, "meta_data": [], **content}))


ROW = {"path": "Session1/sentences/wav/d/1.wav", "label": "neu", "speaker": "s"}
HEADER = ",path,speakerId,transcription,action,object,location"
TEST_WORDS, WORDS = "speech_commands_test_set_v0.01", "speech_commands_v0.01"
VOXCELEB = {
    "a missing file": (gone("test/wav/id10270/v/1.wav"), "1 recordings are not there, .*10270/v/1"),
    "a silent file": (silent("test/wav/id10270/v/1.wav"), "1 recordings have no sample"),
}
BROKEN: dict[str, dict[str, tuple[Damage, str]]] = {
    "pr": {
        "a missing file": (gone("dev-clean/1/2/1-2-0000.flac"), "dev-clean/.*flac: 0 of 1"),
        "an empty table": (
            holds("dev-clean/1/2/1-2.trans.txt"),
            "dev-clean/.*trans.txt is empty",
        ),
        "a wrong column": (holds("dev-clean/1/2/1-2.trans.txt", "WORDS"), "dev-clean: .* has no"),
        "a missing split": (alone("", "test-clean/*/*/*"), "test-clean/.*txt: 0 of 1"),
        "a silent file": (silent("dev-clean/1/2/1-2-0000.flac"), "of dev-clean, 1 .* no sample"),
    },
    "ks": {
        "a missing file": (
            gone(f"{WORDS}/_background_noise_/tap.wav"),
            "_background_noise_/.* 0",
        ),
        "an empty class": (gone(f"{TEST_WORDS}/yes/0.wav"), f"empty: {TEST_WORDS}/yes names no"),
        "a class under another name": (
            lambda root: (root / WORDS / "yes").rename(root / WORDS / "jes"),
            f"empty: {WORDS}/yes names no",
        ),
        "a missing split": (alone(IN_TRAIN, f"{WORDS}/*/*_nohash_*"), "no recording is of valid"),
        "a silent file": (silent(f"{TEST_WORDS}/yes/0.wav"), "test_set_v0.01/yes, 1 .* no sample"),
    },
    "ic": {
        "a missing file": (gone("wavs/speakers/s/valid.wav"), "valid_data.csv, 1 .* not there"),
        "an empty table": (holds("data/test_data.csv", HEADER), "empty: data/test_data.csv names"),
        "no table": (
            holds("data/test_data.csv"),
            "test_data.csv .*a name for each",
        ),
        "a wrong column": (has("data/test_data.csv", "action", "act"), "test_data.csv .*'action'"),
        "a missing split": (gone("data/valid_data.csv"), "valid_data.csv: 0 of 1 files"),
        "a silent file": (silent("wavs/speakers/s/test.wav"), "test_data.csv, 1 .* no sample"),
        "a name too long": (has("data/test_data.csv", "wavs", "w" * 5000), "cannot read data/test"),
        "a slot of test alone": (
            has("data/test_data.csv", "lights", "sun"),
            "'sun' is not in",
        ),
    },
    "sid": {
        **VOXCELEB,
        "an empty table": (holds("iden_split.txt"), "empty: iden_split.txt, split 1 names"),
        "a wrong column": (holds("iden_split.txt", "id10001/v/1.wav 1"), "iden_split.txt .line 1"),
        "a missing split": (
            holds("iden_split.txt", "1 id10001/v/1.wav", "3 id10270/v/1.wav"),
            "empty: iden_split.txt, split 2 names",
        ),
    },
    "asv": {
        **VOXCELEB,
        "an empty table": (holds("veri_test2.txt"), "empty: veri_test2.txt names"),
        "a wrong column": (has("veri_test2.txt", "1 id", "id"), "veri_test2.txt .line 1 is"),
        "a missing split": (alone("", "dev/wav/*/*/*.wav"), "dev/wav/.* 0 of 1"),
        "trials of one answer": (has("veri_test2.txt", "0 id", "1 id"), "all trials are 1"),
    },
    "sd": {
        "a missing file": (gone("wav/dev.wav"), "dev/wav.scp, 1 recordings are not there"),
        "an empty table": (holds("dev/wav.scp"), "expected a recording of wav.scp"),
        "a wrong column": (has("dev/segments", " 0 ", " "), "dev/segments .*expected a name and 3"),
        "a time that is none": (
            has("dev/segments", " 0 ", " x "),
            "dev/segments: .*'m x 0.06'",
        ),
        "no speakers": (holds("dev/utt2spk"), "dev/segments: a-m is .*utt2spk"),
        "no segments": (holds("dev/segments"), "dev/segments: 0 speakers in m"),
        "no duration": (holds("dev/reco2dur"), "dev/reco2dur: no duration of m"),
        "a command": (holds("dev/wav.scp", "m cat|"), "dev/wav.scp: m is a command"),
        "a missing split": (alone("", "test/*"), "test/wav.scp: 0 of 1"),
        "a silent file": (silent("wav/test.wav"), "test/wav.scp, 1 recordings have no sample"),
    },
    "er": {
        "a missing file": (gone(ROW["path"]), "sentences/wav/.*: 4 of 5"),
        "an empty table": (fold("test", 2), "empty: meta_data/Session2/test_meta_data.json"),
        "a wrong column": (
            fold("test", 2, meta_data=[{**ROW, "emotion": "neu"}]),
            "Session2/test_meta_data.json .*emotion",
        ),
        "a missing split": (gone("meta_data/Session3/train_meta_data.json"), "train_.*: 4 of 5"),
        "a silent file": (silent(ROW["path"]), "1 recordings have no sample"),
        "a label that is none": (
            fold("train", 2, meta_data=[{**ROW, "label": "joy"}]),
            "'joy' of Session1",
        ),
    },
    "sf": {
        "a missing file": (gone("slots.txt"), "slots.txt: 0 of 1"),
        "an empty table": (holds("all.iob.snips.txt"), "no slot for each word of Amy-train-0"),
        "a wrong column": (has("all.iob.snips.txt", "\t", " "), "cannot read .*all.iob.snips.txt"),
        "a slot too few": (has("all.iob.snips.txt", "O O", "O"), "no slot for each word of Amy"),
        "no slots": (holds("slots.txt"), "slots.txt: it is empty"),
        "a missing split": (gone("valid/Amy-valid-0.wav"), r"valid/\*.wav: 0 of 1"),
        "a silent file": (silent("test/Amy-test-0.wav"), "of test, 1 recordings have no sample"),
    },
    "qbe": {
        "a missing file": (
            gone("eval_queries/quesst14_eval_0001.wav"),
            r"eval_queries/\*.wav: 0 of 1",
        ),
        "a missing document": (
            has("scoring/language_key_utterances.lst", "czech", "nnenglish"),
            "of scoring/language_key_utterances.lst, 1 .* not there, .*00002.wav first",
        ),
        "an empty table": (
            holds("scoring/groundtruth_quesst14_dev/quesst14_dev.rttm"),
            "quesst14_dev.rttm: no document holds any query of language_key_dev.lst",
        ),
        "a wrong column": (
            has("scoring/language_key_eval.lst", " nnenglish", ""),
            "language_key_eval.lst .*expected a path below a folder, a language",
        ),
        "a truth without queries": (
            has("scoring/groundtruth_quesst14_eval/quesst14_eval.rttm", " 0.1 quesst14", ""),
            "quesst14_eval.rttm: no document",
        ),
        "no English": (
            has("scoring/language_key_utterances.lst", "nnenglish", "albanian"),
            "quesst14_dev.rttm: no document holds",
        ),
        "a missing split": (gone("scoring/language_key_dev.lst"), "language_key_dev.lst: 0 of 1"),
        "a silent file": (
            silent("dev_queries/quesst14_dev_0001.wav"),
            "of scoring/language_key_dev.lst, 1 recordings have no sample",
        ),
    },
}
CASES = [(task, name) for task, cases in BROKEN.items() for name in cases]


def test_each_task_has_a_corpus() -> None:
    assert OFFICIAL.keys() == TASKS.keys()
    assert OFFICIAL["pr"] is OFFICIAL["asr"] is OFFICIAL["asr5k"]
    assert OFFICIAL["ks"] is OFFICIAL["ks35"]
    assert TASKS.keys() - BROKEN.keys() == {"asr", "asr5k", "ks35"}
    assert all(len(cases) >= 5 for cases in BROKEN.values())


def test_too_few_files_are_missing(tmp_path: Path) -> None:
    corpus = Corpus("c", "nowhere", 1, {"*/*.wav": 2, "list.txt": 1}, lambda root: {})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.wav").touch()
    assert corpus.problems(tmp_path) == [
        "missing: */*.wav: 1 of 2 files",
        "missing: list.txt: 0 of 1 files",
    ]
    (tmp_path / "a" / "2.wav").touch()
    (tmp_path / "list.txt").touch()
    assert corpus.problems(tmp_path) == []


@pytest.mark.parametrize("task", TASKS)
def test_a_corpus_that_is_all_there_is_complete(
    task: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    make_corpus(task, tmp_path, monkeypatch)
    assert main(["check", "--task", task, "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"complete in {tmp_path}" in said
    assert f"from {OFFICIAL[task].source}" in said


@pytest.mark.parametrize(("task", "case"), CASES)
def test_what_is_broken_is_named(task: str, case: str, tmp_path: Path, monkeypatch, capsys) -> None:
    make_corpus(task, tmp_path, monkeypatch)
    damage, message = BROKEN[task][case]
    damage(tmp_path)
    assert main(["check", "--task", task, "--data", str(tmp_path)]) == 1
    [problem, *_] = OFFICIAL[task].problems(tmp_path)
    assert f"  {problem}" in capsys.readouterr().out.splitlines()
    assert re.search(message, problem), problem


@pytest.mark.parametrize(("task", "case"), [case for case in CASES if case[0] in OFFICIAL_TASKS])
def test_no_update_is_made_on_what_is_broken(
    task: str, case: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    root = make_corpus(task, tmp_path / "corpus", monkeypatch)
    data, out = str(tmp_path / "data"), tmp_path / "out"
    layout = ["--task", task, "--official", str(root), "--out", f"{data}/{task}"]
    assert main(["layout", *layout]) == 0
    damage, message = BROKEN[task][case]
    damage(root)
    for more in ([], ["--dry-run"]):
        assert main(["superb", "--data", data, "--out", str(out), "--logmel", *more]) == 2
        said = capsys.readouterr().err
        assert re.search(message, said), said
        assert f"check --task {task} --data {root} says where it is from" in said
    assert not out.exists()


def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--task", "asr", "--data", str(tmp_path / "no")]) == 2
    assert "no such folder; LibriSpeech" in capsys.readouterr().err


def test_hours_and_room_are_said_where_they_are_published() -> None:
    assert OFFICIAL["asr"].size == "about 111 h, 13 GB as wav, "
    assert OFFICIAL["sd"].size == ""
