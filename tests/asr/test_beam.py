"""Lexicon beam search against the best of all alignments, with and without a language model."""

import math
import re

import pytest
import torch

from fairseq_budget.asr.beam import LexiconBeamSearch, spell
from fairseq_budget.errors import BudgetError
from tests.asr.brute_force import best_alignments, best_ctc_words

pytest.importorskip("flashlight.lib.text")

LETTERS = ["<s>", "a", "b", "|"]
WORDS = ["a", "ab", "bb"]
ARPA = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-99 <s> -0.3
-1.0 </s>
-1.5 a -0.2
-0.4 ab -0.2
-0.9 bb
-2.0 <unk>

\\2-grams:
-0.1 a ab
-0.2 <s> bb

\\end\\
"""


def random_logits(seed: int, frames: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(1, frames, len(LETTERS), generator=generator)


@pytest.fixture
def language_model(tmp_path):
    path = tmp_path / "words.arpa"
    path.write_text(re.sub(r"(?m)^(-\S+) ", r"\1\t", ARPA).replace(" -0.", "\t-0."))
    return path


@pytest.mark.parametrize("seed", range(10))
def test_without_a_language_model_the_best_spelling_wins(seed):
    logits = random_logits(seed)
    spellings = {word: spell(word, LETTERS) for word in WORDS}
    expected = best_ctc_words(logits[0].log_softmax(1), spellings, most=3)
    search = LexiconBeamSearch(LETTERS, WORDS, beam=500, beam_threshold=1e3)
    assert search(logits, torch.tensor([6]))[0].split() == expected


def test_the_language_model_adds_its_weighted_log_probability(language_model):
    """All one- and two-word sentences by hand: log10 probabilities of the ARPA file."""
    table = {
        ("a",): -0.3 - 1.5, ("ab",): -0.3 - 0.4, ("bb",): -0.2,
        ("a", "a"): -1.8 - 0.2 - 1.5, ("a", "ab"): -1.8 - 0.1, ("a", "bb"): -1.8 - 0.2 - 0.9,
        ("ab", "a"): -0.7 - 0.2 - 1.5, ("ab", "ab"): -0.7 - 0.2 - 0.4,
        ("ab", "bb"): -0.7 - 0.2 - 0.9, ("bb", "a"): -0.2 - 1.5, ("bb", "ab"): -0.2 - 0.4,
        ("bb", "bb"): -0.2 - 0.9,
    }  # fmt: skip
    backoff = {"a": -0.2, "ab": -0.2, "bb": 0.0}  # into the end of the sentence
    search = LexiconBeamSearch(
        LETTERS, WORDS, language_model, beam=500, beam_threshold=1e3, lm_weight=3.0, word_score=-0.5
    )
    changed = 0
    for seed in range(12):
        logits = random_logits(seed, frames=5)
        best = best_alignments(logits[0].log_softmax(1))

        def total(words, weight=3.0, best=best):
            spelled = tuple(i for word in words for i in spell(word, LETTERS))
            lm = table[words] + backoff[words[-1]] - 1.0
            return best.get(spelled, -math.inf) + weight * lm - 0.5 * len(words)

        found = tuple(search(logits, torch.tensor([5]))[0].split())
        if found:
            assert found == max(table, key=total)
            changed += found != max(table, key=lambda words: total(words, 0.0))
    assert changed > 0


def test_padding_and_precision_do_not_change_the_words():
    logits = torch.cat([random_logits(1), random_logits(2)])
    search = LexiconBeamSearch(LETTERS, WORDS)
    together = search(logits, torch.tensor([6, 4]))
    assert search(logits[1:, :4], torch.tensor([4])) == together[1:]
    logits[1, 4:] = 9.0
    assert search(logits, torch.tensor([6, 4])) == together
    assert search(logits, torch.tensor([0, 0])) == ["", ""]


def test_a_word_of_foreign_letters_is_refused_by_name():
    with pytest.raises(BudgetError, match=r"'abc'.*\['c'\]"):
        LexiconBeamSearch(LETTERS, ["ab", "abc"])


def test_a_missing_or_broken_language_model_is_named(tmp_path):
    with pytest.raises(BudgetError, match=r"none\.arpa does not exist"):
        LexiconBeamSearch(LETTERS, WORDS, tmp_path / "none.arpa")
    broken = tmp_path / "broken.arpa"
    broken.write_text("this is no language model\n")
    with pytest.raises(BudgetError, match=r"broken\.arpa .* KenLM reads \(first non-empty line"):
        LexiconBeamSearch(LETTERS, WORDS, broken)


def test_without_flashlight_the_error_names_the_cure(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flashlight.lib.text", None)
    with pytest.raises(BudgetError, match=r"pip install 'fairseq_budget\[asr\]'"):
        LexiconBeamSearch(LETTERS, WORDS)
