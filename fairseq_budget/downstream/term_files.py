"""The files that s3prl's expert for QbE expects: documents, spoken queries, and what holds what.

Recordings of train are the documents, those of valid and test the queries. A document holds a
query whose words stand in its transcript one after another, whatever the case of letters and the
punctuation around words.
"""

from __future__ import annotations

import random
import string
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TypeVar

from fairseq_budget.audio.io import read_audio, write_audio
from fairseq_budget.downstream.recordings import Recording
from fairseq_budget.downstream.task_files import Options, Splits, link, write_lines
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.text.transcripts import SILENCES
from fairseq_budget.upstream.term_detection import truth_file

DOCUMENTS = "language_key_utterances.lst"
QUERIES = {"dev": "language_key_dev.lst", "eval": "language_key_eval.lst"}
ENGLISH = "nnenglish"  # the language that s3prl searches
ROOT = "quesst14Database"  # how paths in the lists begin, whatever the folder is called
PARTS = {"valid": "dev", "test": "eval"}

# of queries that are cut out, so that each is found in a few of some dozens of documents
MAX_DOCUMENTS, MAX_QUERIES = 60, 24
MIN_HELD, MAX_SHARE = 2, 0.1
MAX_WORDS, MIN_SECONDS = 3, 0.3

Item = TypeVar("Item")


@dataclass(frozen=True)
class Query:
    """Words, as they are said in a recording from a time to another, by default all of it."""

    words: str
    recording: Recording
    start_s: float = 0.0
    end_s: float | None = None

    def write(self, folder: Path, name: str) -> str:
        """A link to the recording, or a wav of its part; returns what the file is called."""
        if self.end_s is None:
            return _link(folder, name, self.recording)
        path = folder / f"{name}.wav"
        folder.mkdir(parents=True, exist_ok=True)
        start, end = round(self.start_s * SAMPLE_RATE), round(self.end_s * SAMPLE_RATE)
        samples = read_audio(self.recording.lies_at, start, end - start)
        write_audio(path, samples, SAMPLE_RATE)
        return path.name


def _link(folder: Path, name: str, recording: Recording) -> str:
    path = folder / f"{name}{recording.path.suffix}"
    link(path, recording.path)
    return path.name


def write_terms(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """QUESST 2014's folders, lists and ground truth; returns the words of each query.

    Where it is known when words are said, queries are cut out: up to `MAX_QUERIES` of a split, of
    one to `MAX_WORDS` words that a few of up to `MAX_DOCUMENTS` documents hold, drawn by the seed.
    Else they are all whole recordings that some document holds. Raises BudgetError if there are
    none.
    """
    generators = {split: random.Random(f"{options.seed} {split}") for split in splits}
    is_timed = any(recording.words for split in PARTS for recording in splits[split])
    documents = splits["train"]
    if is_timed:
        documents = _draw(documents, MAX_DOCUMENTS, generators["train"])
    texts = _write_documents(folder, documents, options.label)
    found: dict[str, str] = {}
    for split, part in PARTS.items():
        if is_timed:
            queries = _cut(splits[split], list(texts.values()), generators[split])
        else:
            queries = _whole(splits[split], list(texts.values()), options.label)
        if not queries:
            held = f"{MIN_HELD} to {_most(texts)}" if is_timed else "some"
            raise BudgetError(
                f"{split}: none of its queries is held by {held} of the {len(texts)} documents of "
                "train, as their transcripts have it; give more or other --train, or queries of "
                "fewer words"
            )
        found |= _write_queries(folder, part, queries, texts)
    return found


def _write_documents(folder: Path, documents: Sequence[Recording], label: str) -> dict[str, str]:
    """Returns what each of them says."""
    named = {f"quesst14_{number:05d}": row for number, row in enumerate(documents, start=1)}
    files = [_link(folder / "Audio", name, row) for name, row in named.items()]
    _write_list(folder / "scoring" / DOCUMENTS, "Audio", files)
    return {name: _normalized(row.field(label)) for name, row in named.items()}


def _write_queries(
    folder: Path, part: str, queries: Sequence[Query], texts: dict[str, str]
) -> dict[str, str]:
    named = {f"quesst14_{part}_{number:04d}": query for number, query in enumerate(queries, 1)}
    place = f"{part}_queries"
    files = [query.write(folder / place, name) for name, query in named.items()]
    _write_list(folder / "scoring" / QUERIES[part], place, files)
    truth = (
        f"LEXEME {document} 1 0.000 0.000 {name} lex <NA> <NA>"
        for name, query in named.items()
        for document, text in texts.items()
        if _holds(text, query.words)
    )
    write_lines(truth_file(folder, part), truth)
    return {name: query.words for name, query in named.items()}


def _write_list(path: Path, folder: str, files: Iterable[str]) -> None:
    write_lines(path, (f"{ROOT}/{folder}/{file} {ENGLISH}" for file in files))


def _whole(recordings: Sequence[Recording], texts: Sequence[str], label: str) -> list[Query]:
    queries = [Query(_normalized(row.field(label)), row) for row in recordings]
    return [query for query in queries if any(_holds(text, query.words) for text in texts)]


def _cut(
    recordings: Sequence[Recording], texts: Sequence[str], generator: random.Random
) -> list[Query]:
    """Parts of recordings whose words some, but few, of the texts hold; no words twice."""
    said: dict[str, list[Query]] = {}
    for query in (query for row in recordings for query in _parts(row)):
        said.setdefault(query.words, []).append(query)
    most = _most(texts)
    num_held = {words: sum(_holds(text, words) for text in texts) for words in said}
    held = [words for words, number in num_held.items() if MIN_HELD <= number <= most]
    return [generator.choice(said[words]) for words in _draw(held, MAX_QUERIES, generator)]


def _most(texts: Collection[str]) -> int:
    return max(MIN_HELD, round(MAX_SHARE * len(texts)))


def _parts(recording: Recording) -> Iterator[Query]:
    """All runs of one to `MAX_WORDS` words that are long enough to be heard."""
    spans = [span for span in recording.words if span[2] not in SILENCES]
    for first, last in combinations_with_replacement(range(len(spans)), 2):
        start_s, end_s = spans[first][0], spans[last][1]
        words = _normalized(" ".join(word for _, _, word in spans[first : last + 1]))
        if len(words.split()) <= MAX_WORDS and end_s - start_s >= MIN_SECONDS:
            yield Query(words, recording, start_s, end_s)


def _draw(items: Sequence[Item], most: int, generator: random.Random) -> list[Item]:
    """Up to so many of the items, in their order."""
    places = generator.sample(range(len(items)), min(most, len(items)))
    return [items[place] for place in sorted(places)]


def _normalized(text: str) -> str:
    words = (word.strip(string.punctuation) for word in text.casefold().split())
    return " ".join(word for word in words if word)


def _holds(text: str, words: str) -> bool:
    return bool(words) and f" {words} " in f" {text} "
