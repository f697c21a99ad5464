"""Transcripts as symbols to recognise, in the files that fairseq's fine-tuning reads.

``{split}.ltr``: letters between blanks and ``|`` after each word, ``T H E | D O G |``;
``{split}.bpe``: word pieces, ``▁THE ▁DO G``; ``dict.{name}.txt``: a symbol and its count in
training per line, the most frequent first. fairseq puts four symbols of its own in front.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

WORD_END = "|"
SPECIAL_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")  # <s> is the blank


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


def write_symbols(folder: str | Path, split: str, name: str, rows: Sequence[str]) -> None:
    """Write ``{split}.{name}``, a line for each utterance of the manifest."""
    with atomic_write(Path(folder, f"{split}.{name}")) as file:
        file.writelines(f"{row}\n" for row in rows)


def write_dictionary(folder: str | Path, name: str, rows: Iterable[str]) -> list[str]:
    """Write ``dict.{name}.txt`` with the symbols of the training rows; returns them in order."""
    counts = Counter(symbol for row in rows for symbol in row.split())
    if not counts:
        raise BudgetError("no transcript holds a word; a dictionary needs text to be made from")
    order = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    with atomic_write(Path(folder, f"dict.{name}.txt")) as file:
        file.writelines(f"{symbol} {counts[symbol]}\n" for symbol in order)
    return order


def read_dictionary(path: str | Path) -> list[str]:
    """The symbol of every class: fairseq's four, then those of the file in order."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return [*SPECIAL_SYMBOLS, *(line.rsplit(" ", 1)[0] for line in lines)]
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"cannot read the dictionary {path} ({error}); expected a symbol and its count per line"
        ) from error
