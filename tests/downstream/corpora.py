"""SUPERB's own corpora with a recording or two of each kind, as they are unpacked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import write_audio
from fairseq_budget.downstream.official import OFFICIAL
from fairseq_budget.downstream.task_files import KEYWORDS, command_split

IN_TRAIN, IN_VALID = "a_nohash_0.wav", "p_nohash_0.wav"


def make_corpus(task: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of a task, of which one file of each part is enough from now on."""
    few = {part: min(number, 5) if "[" in part else 1 for part, number in parts(task).items()}
    monkeypatch.setitem(OFFICIAL, task, replace(OFFICIAL[task], parts=few))
    _MAKERS[task](root)
    return root


def parts(task: str) -> dict[str, int]:
    return OFFICIAL[task].parts


def wav(path: Path, num_samples: int = 1600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.full(num_samples, 0.1, np.float32), 16000)


def _text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def _speech_commands(root: Path) -> None:
    assert (command_split(IN_TRAIN), command_split(IN_VALID)) == ("train", "valid")
    for word in (*KEYWORDS, "_unknown_", "_silence_"):
        wav(root / "speech_commands_test_set_v0.01" / word / "0.wav")
    for word in (*KEYWORDS, "bed"):
        for name in (IN_TRAIN, IN_VALID):
            wav(root / "speech_commands_v0.01" / word / name)
    wav(root / "speech_commands_v0.01/_background_noise_/tap.wav", 32000)


def _fluent(root: Path) -> None:
    for split in ("train", "valid", "test"):
        path = f"wavs/speakers/s/{split}.wav"
        wav(root / path)
        _text(
            root / f"data/{split}_data.csv",
            ",path,speakerId,transcription,action,object,location",
            f'0,{path},s,"off, please",activate,lights,none',
        )


def _voxceleb(root: Path) -> None:
    for place in ("dev/wav/id10001/v/1.wav", "dev/wav/id10001/v/2.wav", "test/wav/id10270/v/1.wav",
                  "test/wav/id10270/v/2.wav"):  # fmt: skip
        wav(root / place)
    _text(root / "iden_split.txt", "1 id10001/v/1.wav", "2 id10001/v/2.wav", "3 id10270/v/1.wav")
    trials = ("1 id10270/v/1.wav id10270/v/2.wav", "0 id10270/v/1.wav id10270/v/2.wav")
    _text(root / "veri_test2.txt", *trials)


def _librimix(root: Path) -> None:
    for split in ("train", "dev", "test"):
        wav(root / f"wav/{split}.wav")
        for table, lines in {
            "wav.scp": [f"m {root}/wav/{split}.wav"],
            "reco2dur": ["m 0.1"],
            "segments": ["a-m m 0 0.06", "b-m m 0.04 0.1"],
            "utt2spk": ["a-m a", "b-m b"],
            "spk2utt": ["a a-m", "b b-m"],
        }.items():
            _text(root / split / table, *lines)


def _iemocap(root: Path) -> None:
    for fold in range(1, 6):
        path = f"Session{fold}/sentences/wav/d/{fold}.wav"
        wav(root / path)
        other = f"Session{fold % 5 + 1}/sentences/wav/d/{fold % 5 + 1}.wav"
        for part, its in (("test", path), ("train", other)):
            rows = [{"path": its, "label": "neu", "speaker": "s"}]
            content = {"labels": {"neu": 0}, "meta_data": rows}
            _text(root / f"meta_data/Session{fold}/{part}_meta_data.json", json.dumps(content))


def _librispeech(root: Path) -> None:
    for part in ("train-clean-100", "dev-clean", "test-clean"):
        wav(root / part / "1/2/1-2-0000.wav")
        (root / part / "1/2/1-2-0000.wav").rename(root / part / "1/2/1-2-0000.flac")
        _text(root / part / "1/2/1-2.trans.txt", "1-2-0000 WORDS")


def _snips(root: Path) -> None:
    lines = []
    for split in ("train", "valid", "test"):
        wav(root / split / f"Amy-{split}-0.wav")
        lines.append(f"Amy-{split}-0 BOS play jazz EOS\tO O B-genre O")
    _text(root / "all.iob.snips.txt", *lines)
    _text(root / "slots.txt", "B-genre")


def _quesst(root: Path) -> None:
    wav(root / "Audio/quesst14_00001.wav")
    documents = ("Audio/quesst14_00001.wav nnenglish", "Audio/quesst14_00002.wav czech")
    scoring = root / "scoring"
    _text(scoring / "language_key_utterances.lst", *(f"quesst14Database/{d}" for d in documents))
    for part in ("dev", "eval"):
        query = f"quesst14_{part}_0001"
        wav(root / f"{part}_queries/{query}.wav")
        listed = f"quesst14Database/{part}_queries/{query}.wav nnenglish"
        _text(scoring / f"language_key_{part}.lst", listed)
        truth = f"LEXEME quesst14_00001 1 0.0 0.1 {query} lex <NA> <NA>"
        _text(scoring / f"groundtruth_quesst14_{part}/quesst14_{part}.rttm", truth)


_MAKERS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("ks", "ks35"), _speech_commands),
    **dict.fromkeys(("pr", "asr", "asr5k"), _librispeech),
    **dict.fromkeys(("sid", "asv"), _voxceleb),
    "ic": _fluent,
    "sd": _librimix,
    "er": _iemocap,
    "sf": _snips,
    "qbe": _quesst,
}
