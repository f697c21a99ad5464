"""CTC beam search over the words of a lexicon, with an n-gram language model.

The decoder is flashlight-text's (extra ``asr``; wav2letter's decoder, as in wav2vec 2.0 and k2SSL):

    log p_CTC(y) + lm_weight * log p_LM(words) + word_score * number of words

A word is spelled by its letters and ``|`` after it, as in fairseq's letter transcripts
(``W O R D |``), so a lexicon is a list of words. The language model is a file that KenLM reads:
ARPA text or KenLM's binary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_budget.asr.ctc import BLANK
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained.vocabulary import WORD_END

UNKNOWN = "<unk>"
NEVER = float("-inf")


class LexiconBeamSearch:
    """Decodes emissions into words of the lexicon.

    letters: the symbol of each class, with ``|`` and the blank at index ``blank``. Without
    ``language_model`` all words are equally likely. Classes that no word uses (``<pad>``, ...) are
    never written.
    """

    def __init__(
        self,
        letters: Sequence[str],
        words: Iterable[str],
        language_model: str | Path | None = None,
        *,
        beam: int = 50,
        beam_threshold: float = 25.0,
        lm_weight: float = 2.0,
        word_score: float = 0.0,
        blank: int = BLANK,
    ) -> None:
        decoder, dictionary = _flashlight()
        self._words = dictionary.Dictionary([*sorted(set(words)), UNKNOWN])
        self._unknown = self._words.get_index(UNKNOWN)
        spellings = {word: spell(word, letters) for word in sorted(set(words))}
        model = _language_model(decoder, language_model, self._words)
        options = decoder.LexiconDecoderOptions(
            beam_size=beam,
            beam_size_token=len(letters),
            beam_threshold=beam_threshold,
            lm_weight=lm_weight,
            word_score=word_score,
            unk_score=NEVER,
            sil_score=0.0,
            log_add=False,
            criterion_type=decoder.CriterionType.CTC,
        )
        word_end = letters.index(WORD_END)
        trie = self._trie(decoder, model, spellings, len(letters), word_end)
        self._decoder = decoder.LexiconDecoder(
            options, trie, model, word_end, blank, self._unknown, [], False
        )

    def __call__(self, logits: Tensor, num_frames: Tensor) -> list[str]:
        """logits (B, T, V) of any float type, num_frames (B,) -> one text per utterance."""
        emissions = logits.detach().float().log_softmax(2).cpu()
        return [
            self._decode(rows[:length].contiguous())
            for rows, length in zip(emissions, num_frames.tolist(), strict=True)
        ]

    def _decode(self, emissions: Tensor) -> str:
        found = self._decoder.decode(emissions.data_ptr(), *emissions.shape)
        indices = found[0].words if found else []
        return " ".join(self._words.get_entry(index) for index in indices if index >= 0)

    def _trie(
        self,
        decoder: Any,
        model: Any,
        spellings: dict[str, list[int]],
        num_letters: int,
        root: int,
    ) -> Any:
        """All spellings, each with its word's unigram score, which unfinished words look up."""
        trie = decoder.Trie(num_letters, root)
        start = model.start(False)
        for word, spelling in spellings.items():
            index = self._words.get_index(word)
            trie.insert(spelling, index, model.score(start, index)[1])
        trie.smear(decoder.SmearingMode.MAX)
        return trie


def spell(word: str, letters: Sequence[str]) -> list[int]:
    """The classes of a word's letters and of the word's end; BudgetError for a foreign letter."""
    foreign = sorted({letter for letter in [*word, WORD_END] if letter not in letters})
    if foreign or not word:
        raise BudgetError(
            f"the word {word!r} cannot be spelled: {foreign or 'no letter'} in it, but the model "
            f"knows {' '.join(letters)}; take it from the lexicon, or write it as in training"
        )
    return [letters.index(letter) for letter in [*word, WORD_END]]


def _flashlight() -> tuple[Any, Any]:
    try:
        from flashlight.lib.text import decoder, dictionary
    except ImportError as error:
        raise BudgetError(
            "beam search with a lexicon needs flashlight-text: pip install 'fairseq_budget[asr]'"
        ) from error
    return decoder, dictionary


def _language_model(decoder: Any, path: str | Path | None, words: Any) -> Any:
    if path is None:
        return decoder.ZeroLM()
    if not Path(path).is_file():
        raise BudgetError(f"language model {path} does not exist; name an ARPA or KenLM file")
    try:
        from flashlight.lib.text.decoder.kenlm import KenLM

        return KenLM(str(path), words)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[-1]  # those before it are about KenLM's own code
        raise BudgetError(
            f"{path} is not a language model that KenLM reads ({reason}): expected ARPA text or "
            "KenLM's binary"
        ) from error
