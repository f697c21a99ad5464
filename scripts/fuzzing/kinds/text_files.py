"""Text of other programs: times, words, symbols, tables of recordings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.symbols import open_symbols, read_vocabulary
from fairseq_budget.corpus.symbols import write_dictionary as write_symbols
from fairseq_budget.demo.corpus import read_phones, read_utterances
from fairseq_budget.downstream.recordings import read_recordings
from fairseq_budget.segmentation.intervals import table_spans
from fairseq_budget.segmentation.textgrid import read_tier
from fairseq_budget.segmentation.wav2vecu import unit_ends
from fairseq_budget.text.alignments import Alignments
from fairseq_budget.text.transcripts import read_phones as read_phone_rows
from fairseq_budget.text.transcripts import read_transcripts
from fairseq_budget.text.word_pieces import decode, pieces, train_word_pieces, vocabulary
from fuzzing.kinds.made import SIZES, TEXTS, require, text_file, write_corpus
from fuzzing.reader import Reader

_LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "!"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 1.5
            text = "s"
"""
_SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"phones"
0
1.5
2
0
0.25
""
0.25
1.5
"s"
"""


def _read_tier(path: Path) -> Any:
    return read_tier(path, "phones")


def _check_spans(spans: Iterable[tuple[float, float, str]]) -> None:
    end = 0.0
    for start, stop, _ in spans:
        require(math.isfinite(start) and math.isfinite(stop), (start, stop))
        require(end - 1e-3 <= start <= stop, (end, start, stop))
        end = stop


def _read_alignments(path: Path) -> Any:
    whole = Alignments.read(path)
    manifest = Manifest(path.parent, [Utterance((Piece("0.wav"),), SIZES[0])])
    found = whole.phones_at(manifest.utterances[0], np.arange(0, SIZES[0], 160))
    return found.tolist(), read_phone_rows(path, manifest), table_spans(path)("0.wav")


def _rows_of(name: str, lines: Sequence[str]) -> Callable[[Path], Path]:
    """A file of lines beside a manifest."""

    def make(folder: Path) -> Path:
        write_corpus(folder)
        return text_file(name, "".join(f"{line}\n" for line in lines))(folder)

    return make


def _read_words(path: Path) -> Any:
    manifest = Manifest.read(path.parent / "train.tsv")
    whole = replace(manifest, utterances=manifest.utterances[:2])
    is_table = path.suffix != ".wrd" and path.suffix != ".ltr"
    place = path.parent if path.name.endswith(".trans.txt") else path
    return read_transcripts(place, whole if is_table else manifest)


_phones = _rows_of(
    "phones.tsv", ("utterance_id\tstart_s\tend_s\tphone", "0\t0.0\t0.1\tsil", "0\t0.1\t0.2\tə")
)
_table = _rows_of(
    "utterances.tsv",
    (
        "id\tpath\tsplit\tkind\tspeaker\ttranscript\taction\tobject\tlocation\tnum_samples",
        "0\t0.wav\ttrain\tcommand\tann\ton now\ton\t\t\t3200",
        "1\t1.wav\ttrain\tcommand\tbob\toff\toff\t\t\t4000",
    ),
)


def _read_recordings(path: Path) -> Any:
    found = read_recordings(path.parent, "{label}")
    return [(str(row.path), row.fields) for row in found]


def _check_recordings(content: Any) -> None:
    values = [value for _, fields in content for pair in fields.items() for value in pair]
    require(all(isinstance(value, str) for value in values), values)


def _check_demo(content: Any) -> None:
    require(all(row.num_samples > 0 for row in content), content)


def _check_demo_phones(content: Any) -> None:
    require(all(0 <= row.start_s <= row.end_s < math.inf for row in content), content)


def _read_symbols(path: Path) -> Any:
    corpus = read_text(path.parent / "train.tsv")
    rows = open_symbols(corpus, "ltr")
    return [rows[index] for index in range(len(corpus))]


def _dictionary(folder: Path) -> Path:
    write_symbols(folder, "ltr", ["t h e | d o g |", "t e n |"])
    return folder / "dict.ltr.txt"


def _check_symbols(symbols: Any) -> None:
    require(len(set(symbols)) == len(symbols) > 4, symbols)
    require(all(symbol and len(symbol.split()) == 1 for symbol in symbols), symbols)


def _word_pieces(folder: Path) -> Path:
    train_word_pieces(["the dog and the cat", "ten dogs", "a cat"], 20, folder / "bpe.model")
    return folder / "bpe.model"


def _read_word_pieces(path: Path) -> Any:
    known = vocabulary(path)
    return known, pieces(path, ["the dogs"]), decode(path, [[3, 4]])


def _units(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_corpus(folder)
        units = [" ".join("1" for _ in range(round(size / 960))) for size in SIZES]
        text_file("train.units", "".join(f"{line}\n" for line in units))(folder)
        text_file("train.vads", f"0:{SIZES[0]}\n\n0:1000 1200:5600\n")(folder)
        return folder / name

    return make


def _read_units(path: Path) -> Any:
    folder = path.parent
    corpus = read_text(folder / "train.tsv")
    return [e.tolist() for e in unit_ends(corpus, folder / "train.units", folder / "train.vads")]


_LTR = ("t h e | d o g |", "", "t e n |")


READERS = (
    Reader("TextGrid, long", text_file("a.TextGrid", _LONG_GRID), _read_tier, _check_spans),
    Reader("TextGrid, short", text_file("a.TextGrid", _SHORT_GRID), _read_tier, _check_spans),
    Reader("alignments", _phones, _read_alignments, lambda found: _check_spans(found[2])),
    Reader("transcripts, words", _rows_of("train.wrd", TEXTS), _read_words),
    Reader("transcripts, letters", _rows_of("train.ltr", _LTR), _read_words),
    Reader("transcripts, table", _table, _read_words),
    Reader("transcripts, LibriSpeech's", _rows_of("1-2.trans.txt", ("0 THE DOG", "1 TEN")),
           _read_words),
    Reader("symbols", _rows_of("train.ltr", _LTR), _read_symbols),
    Reader("dictionary", _dictionary, lambda p: read_vocabulary(p.parent, "ltr").symbols,
           _check_symbols),
    Reader("word pieces", _word_pieces, _read_word_pieces),
    Reader("wav2vec-U's units", _units("train.units"), _read_units),
    Reader("wav2vec-U's intervals", _units("train.vads"), _read_units),
    Reader("recordings", _table, _read_recordings, _check_recordings),
    Reader("demo's utterances", _table, lambda p: read_utterances(p.parent), _check_demo),
    Reader("demo's phones", _phones, lambda p: read_phones(p.parent), _check_demo_phones),
)  # fmt: skip
