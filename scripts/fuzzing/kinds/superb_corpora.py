"""Tables of SUPERB's corpora, as `budget-downstream check` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fairseq_budget.downstream import corpus_tables
from fairseq_budget.downstream.recordings import SNIPS_TABLE, snips_texts
from fairseq_budget.downstream.term_files import DOCUMENTS, QUERIES
from fairseq_budget.upstream.term_detection import read_truth, truth_file
from fuzzing.codecs import JSON
from fuzzing.kinds.made import text_file
from fuzzing.reader import Reader


def _of_each(folder: Path, names: Iterable[str], text: str) -> Path:
    """Tables of the same content; the last one is changed."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def _intents(folder: Path) -> Path:
    names = [f"data/{split}_data.csv" for split in ("train", "valid", "test")]
    return _of_each(folder, names, "path,action,object,location\na.wav,switch on,lights,none\n")


def _emotions(folder: Path) -> Path:
    parts = [(fold, part) for fold in range(1, 6) for part in ("train", "test")]
    names = [f"meta_data/Session{fold}/{part}_meta_data.json" for fold, part in parts]
    row = {"path": "a.wav", "label": "neu", "speaker": "ann"}
    return _of_each(folder, names, json.dumps({"labels": {"neu": 0}, "meta_data": [row]}))


def _conversations(folder: Path) -> Path:
    for name, text in {
        "wav.scp": "m a.wav\n",
        "reco2dur": "m 2.5\n",
        "utt2spk": "ann-m ann\nbob-m bob\n",
        "segments": "ann-m m 0 1.5\nbob-m m 1.25 2.5\n",
    }.items():
        path = _of_each(folder, [f"{split}/{name}" for split in ("train", "dev", "test")], text)
    return path


def _read_truth(path: Path) -> dict[str, list[str]]:
    return {query: sorted(documents) for query, documents in read_truth(path).items()}


def _queries(folder: Path) -> Path:
    for part in QUERIES:
        _of_each(folder, [truth_file(Path(), part).as_posix()], _TRUTH)
    rows = "q/Audio/a.wav nnenglish\nq/Audio/b.wav czech\n"
    return _of_each(folder / "scoring", (DOCUMENTS, *QUERIES.values()), rows)


_TRUTH = "LEXEME a 1 0.0 0.0 a lex <NA> <NA>\nLEXEME b 1 0.0 0.0 NO_KEYWORD lex <NA> <NA>\n"


# fmt: off
READERS = (
    Reader("Fluent's table", _intents, lambda p: corpus_tables.intents(p.parents[1])),
    Reader("IEMOCAP's table", _emotions, lambda p: corpus_tables.emotions(p.parents[2]),
           codec=JSON),
    Reader("LibriMix's table", _conversations,
           lambda p: corpus_tables.conversations(p.parents[1])),
    Reader("VoxCeleb1's splits", text_file(corpus_tables.SPEAKERS, "1 a/1\n2 a/2\n3 b/1\n"),
           lambda p: corpus_tables.speakers(p.parent)),
    Reader("VoxCeleb1's trials", text_file(corpus_tables.TRIALS, "1 a/1 a/2\n0 a/1 b/1\n"),
           lambda p: corpus_tables.trials(p.parent)),
    Reader("QUESST's list", _queries, lambda p: corpus_tables.terms(p.parents[1])),
    Reader("QUESST's truth", text_file("a.rttm", _TRUTH), _read_truth),
    Reader("SNIPS's table", text_file(SNIPS_TABLE, "a-1 BOS play jazz EOS\tO O B-genre O\n"),
           lambda p: snips_texts(p.parent)),
)
# fmt: on
