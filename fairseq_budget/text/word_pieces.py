"""Word pieces: byte-pair encoding of transcripts; the only import of sentencepiece.

"On Compressing Sequences for Self-Supervised Speech Models", section 3, recognises 5000 of them.
Ids are as s3prl's subword encoder wants them, so a model trained here serves its recipes too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading

try:
    import sentencepiece
except ImportError as error:
    raise BudgetError(
        'word pieces need sentencepiece: pip install "fairseq_budget[labels]"'
    ) from error

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
_NO_ID = -1  # s3prl has no symbol for the beginning of a sentence
_MAX_PIECES = 1 << 20
_MAX_SENTENCE_BYTES = 1 << 16  # sentencepiece silently drops longer ones; its default is 4192


class VocabularyError(BudgetError):
    """A vocabulary that the text is too small for, or that does not hold its characters."""


def train_word_pieces(texts: Iterable[str], vocab_size: int, path: str | Path) -> None:
    """Fit ``vocab_size`` pieces, the three special symbols included, and write the model to `path`.

    Byte-pair encoding over all characters of `texts`, one sentence each; empty ones do not count.
    Equal texts give equal bytes. Raises VocabularyError where the text allows no such vocabulary,
    and says how many pieces it allows.
    """
    sentences = [text for text in texts if text.strip()]
    if not sentences:
        raise BudgetError("no transcript holds a word; word pieces need text to be learned from")
    if not UNK_ID + 1 < vocab_size <= _MAX_PIECES:
        raise VocabularyError(
            f"{vocab_size} word pieces: expected {UNK_ID + 2} (three are special symbols) to "
            f"{_MAX_PIECES:,}"
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=1.0,
            max_sentence_length=_MAX_SENTENCE_BYTES,
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            eos_piece="<eos>",
            unk_id=UNK_ID,
            bos_id=_NO_ID,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _vocabulary_error(vocab_size, len(sentences), str(error)) from error
    with atomic_write(path, "wb") as file:
        file.write(model.getvalue())


def encode(path: str | Path, texts: Sequence[str]) -> list[list[int]]:
    """Ids of the pieces of each text by the model in `path`; no end-of-sentence is appended."""
    return [list(ids) for ids in _load(path).encode(list(texts), out_type=int)]


def pieces(path: str | Path, texts: Sequence[str]) -> list[list[str]]:
    """The pieces of each text themselves, ``▁`` before a word: unknown characters stay as is."""
    return [list(row) for row in _load(path).encode(list(texts), out_type=str)]


def vocabulary(path: str | Path) -> list[str]:
    """All pieces of the model in `path` but the special symbols."""
    model = _load(path)
    return [model.id_to_piece(number) for number in range(UNK_ID + 1, model.get_piece_size())]


def decode(path: str | Path, ids: Sequence[Sequence[int]]) -> list[str]:
    """The texts that lists of ids spell, by the model in `path`; special symbols are left out."""
    return list(_load(path).decode([list(map(int, row)) for row in ids]))


def _load(path: str | Path) -> sentencepiece.SentencePieceProcessor:
    with reading(
        f"the word pieces {path}",
        "expected a sentencepiece model, as train_word_pieces writes it",
    ):
        if not (content := Path(path).read_bytes()):
            raise ValueError("it is empty")
        return sentencepiece.SentencePieceProcessor(model_proto=content)


def _vocabulary_error(vocab_size: int, num_sentences: int, message: str) -> VocabularyError:
    asked = f"{vocab_size} word pieces of {num_sentences} sentences"
    if most := re.search(r"value <= (\d+)", message):
        return VocabularyError(f"{asked}: this text allows at most {most[1]}; ask for fewer")
    if least := re.search(r"required_chars. \d+ vs (\d+)", message):
        return VocabularyError(
            f"{asked}: its characters and the special symbols alone are {least[1]}; ask for more"
        )
    return VocabularyError(f"{asked}: sentencepiece cannot learn them ({message.strip()})")
