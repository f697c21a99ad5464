"""Transcripts as symbols to recognise, in the files that fairseq's fine-tuning reads.

``{split}.ltr``: letters between blanks and ``|`` after each word, ``T H E | D O G |``;
``{split}.bpe``: word pieces, ``▁THE ▁DO G``; ``dict.{name}.txt``: a symbol and its count in
training per line, the most frequent first. fairseq puts four symbols of its own in front.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category

from fairseq_budget.corpus.column import Column, column_path, description_path
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading
from fairseq_budget.pretrained.vocabulary import SPECIAL_SYMBOLS, WORD_END, Vocabulary

_ENTRY = re.compile(r"(\S+) [0-9]+")  # of a dictionary


def letters(text: str) -> str:
    """The letters of a transcript, ``|`` after each word.

    >>> letters("the dog")
    't h e | d o g |'
    """
    if WORD_END in text:
        raise BudgetError(
            f"the transcript {text!r} holds {WORD_END!r}, which ends words: remove it"
        )
    return " ".join(symbol for word in text.split() for symbol in [*word, WORD_END])


def odd_characters(first: Iterable[str], others: Iterable[str]) -> dict[str, list[str]]:
    """Characters that are likely slips, by what is odd: each would be a symbol to recognise.

    first: the transcripts that are learned from; others: those of the other splits.
    """
    learned, other = (Counter("".join(texts)) for texts in (first, others))
    counts = learned + other
    del counts[" "]
    upper = {c for c in counts if c != c.lower()}
    lower = {c for c in counts if c != c.upper()}
    rarer = min(upper, lower, key=lambda cased: sum(counts[c] for c in cased))
    kinds = {
        "are not in what is learned from, so they are never recognised": counts.keys() - learned,
        "occur once": {c for c in counts if counts[c] == 1},
        "are of another case than most": rarer,
        "are no letters": {c for c in counts if category(c)[0] not in "LMN" and c != "'"},
    }
    return {kind: sorted(found) for kind, found in kinds.items() if found}


def open_symbols(corpus: Corpus, name: str) -> Column | list[str]:
    """The row of symbols of each utterance, from ``{split}.{name}`` beside the manifest.

    A json beside it must fit the manifest. Without one, as fairseq's own scripts write transcripts,
    only lines are counted.
    """
    path = column_path(corpus.path, name)
    if not path.is_file() or description_path(path).is_file():
        return corpus.open_column(name)
    with reading(path, "write it again with `budget-asr prepare`"):
        rows = path.read_text(encoding="utf-8").splitlines()
    if len(rows) != len(corpus):
        raise BudgetError(
            f"{path} has {len(rows)} lines, but {corpus.path} has {len(corpus)} utterances: write "
            "it again with `budget-asr prepare`"
        )
    return rows


def write_dictionary(
    folder: str | Path, name: str, rows: Iterable[str], vocabulary: Iterable[str] = ()
) -> list[str]:
    """Write ``dict.{name}.txt``: the symbols of the training rows, then the rest of `vocabulary`.

    Returns them in order. Without a symbol in `rows` there is a BudgetError.
    """
    counts = Counter(symbol for row in rows for symbol in row.split())
    if not counts:
        raise BudgetError("no transcript holds a word; a dictionary needs text to be made from")
    counts.update(dict.fromkeys(vocabulary, 0))
    order = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    with atomic_write(Path(folder, f"dict.{name}.txt")) as file:
        file.writelines(f"{symbol} {counts[symbol]}\n" for symbol in order)
    return order


def read_vocabulary(folder: str | Path, name: str) -> Vocabulary:
    """The dictionary ``dict.{name}.txt`` and ``{name}.model``, its word pieces, if there is one."""
    pieces = Path(folder, f"{name}.model")
    symbols = read_dictionary(Path(folder, f"dict.{name}.txt"))
    return Vocabulary(symbols, word_pieces=pieces.read_bytes() if pieces.is_file() else None)


def read_dictionary(path: str | Path) -> list[str]:
    """The symbol of every class: fairseq's four, then those of the file in order.

    BudgetError for a file that is missing, empty or something else, or has a symbol twice.
    """
    if not Path(path).is_file():
        raise BudgetError(f"{path} does not exist; make it with `budget-asr prepare`")
    with reading(f"the dictionary {path}", "expected a symbol and its count per line"):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        matches = [_ENTRY.fullmatch(line) for line in lines]
        if wrong := [line for line, match in zip(lines, matches, strict=True) if not match]:
            raise ValueError(f"{wrong[0][:80]!r} is none")
        if not lines:
            raise ValueError("it is empty")
    symbols = [*SPECIAL_SYMBOLS, *(match[1] for match in matches if match)]
    twice = sorted(symbol for symbol, count in Counter(symbols).items() if count > 1)
    if twice:
        raise BudgetError(f"the dictionary {path} has {twice[0]!r} twice; leave one of them")
    return symbols
