"""``s3prl.downstream.ctc.corpus``, which s3prl's package on PyPI lacks: datasets of texts.

s3prl asks for a class by the name of its corpus, and calls it with the names of the splits, its
tokenizer, the size of a bucket and the fields of the configuration's ``corpus``. An item is a path
and the ids of its text. In buckets it is a list of these: utterances are sorted by the length of
their texts, the longest first, and a bucket holds those that follow from the item's place on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError

Item = tuple[str, list[int]]
DATASETS = {  # by module
    "librispeech": "LibriDataset",
    "libriphone": "LibriPhoneDataset",
    "snips": "SnipsDataset",
}


class Texts:
    """Utterances and the ids of their texts, as torch's loaders ask for them."""

    def __init__(self, items: Iterable[Item], bucket_size: int) -> None:
        self._items = sorted(items, key=lambda item: len(item[1]), reverse=True)
        self._bucket_size = bucket_size

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item | list[Item]:
        if self._bucket_size == 1:
            return self._items[index]
        first = max(0, min(index, len(self) - self._bucket_size))
        return self._items[first : first + self._bucket_size]


class LibriDataset(Texts):
    """LibriSpeech's words, as the tokenizer spells them (ASR)."""

    def __init__(
        self, split: Sequence[str], tokenizer: Any, bucket_size: int, path: str, **_fields: Any
    ) -> None:
        found = _librispeech(Path(path), split)
        super().__init__(((file, tokenizer.encode(text)) for file, text in found), bucket_size)


class LibriPhoneDataset(Texts):
    """LibriSpeech's words in phones: the first pronunciation in the lexicons (PR)."""

    def __init__(
        self,
        split: Sequence[str],
        tokenizer: Any,
        bucket_size: int,
        path: str,
        lexicon: str | Sequence[str],
        **_fields: Any,
    ) -> None:
        files = [lexicon] if isinstance(lexicon, str) else lexicon
        phones = read_lexicon(map(Path, files))
        found = _librispeech(Path(path), split)
        super().__init__(
            ((file, tokenizer.encode(phonemize(text, phones))) for file, text in found), bucket_size
        )


class SnipsDataset(Texts):
    """Audio SNIPS's words and slots (SF), of the speakers that the configuration lists, or of all.

    A line of ``all.iob.snips.txt`` is an utterance's name, its words between BOS and EOS, a tab,
    and a slot for each of these, O where there is none.
    """

    def __init__(
        self, split: Sequence[str], tokenizer: Any, bucket_size: int, path: str, **fields: Any
    ) -> None:
        lines = _read_lines(Path(path, "all.iob.snips.txt"))
        texts = {name: text for name, _, text in (line.partition(" ") for line in lines)}
        super().__init__(
            (
                (str(file), tokenizer.encode(texts[file.stem]))
                for name in split
                for file in _files(Path(path, name))
                if file.stem in texts and _is_by(file.stem, fields.get(f"{name}_speakers"))
            ),
            bucket_size,
        )


def read_lexicon(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Phones by word, from lines of a word and its phones; of several, the first counts."""
    lexicon: dict[str, list[str]] = {}
    for path in paths:
        for line in _read_lines(path):
            word, *phones = line.split() or [""]
            if phones:
                lexicon.setdefault(word, phones)
    return lexicon


def phonemize(text: str, lexicon: dict[str, list[str]]) -> str:
    """The phones of all words, blanks between them; BudgetError names a word that has none."""
    words = text.split()
    if missing := [word for word in words if word not in lexicon]:
        raise BudgetError(
            f"the lexicon has no phones of {missing[0]!r} ({text[:60]!r}): expected every word of "
            "the transcripts in it; add them, one line each, or lay out with another --lexicon"
        )
    return " ".join(phone for word in words for phone in lexicon[word])


def _librispeech(folder: Path, splits: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paths and words of all utterances of some splits, sorted by path."""
    for split in splits:
        transcripts = sorted((folder / split).rglob("*.trans.txt"))
        if not transcripts:
            raise BudgetError(f"{folder / split}: no *.trans.txt below it, as in LibriSpeech")
        for path in transcripts:
            files = {file.stem: str(file) for file in _files(path.parent)}
            for name, _, text in (line.partition(" ") for line in _read_lines(path)):
                if name not in files:
                    raise BudgetError(f"{path} has {name!r}, but there is no audio of it beside it")
                yield files[name], text


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".wav", ".ogg"))


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"cannot read {path} ({error}); make it with budget-downstream layout"
        ) from error


def _is_by(name: str, speakers: Sequence[str] | None) -> bool:
    return not speakers or name.startswith(tuple(speakers))
