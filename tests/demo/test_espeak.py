"""The synthesiser: a fresh state each time, exact tiling and errors that name a cure."""

from __future__ import annotations

import re
import sys
from itertools import pairwise

import numpy as np
import pytest

from fairseq_budget.demo.espeak import SILENCE, Espeak, Voice
from fairseq_budget.errors import BudgetError


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("espeakng_loader", reason="holds espeak-ng")


@pytest.mark.usefixtures("_installed")
def test_every_block_starts_from_the_same_state() -> None:
    spoken = []
    for _ in range(2):
        with Espeak() as espeak:
            spoken.append([espeak.speak("see you later", Voice("en-us+m1")) for _ in range(2)])
    (first, second), again = spoken
    assert not np.array_equal(first.samples, second.samples)  # why a block is needed at all
    for one, other in zip((first, second), again, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert one.phones == other.phones


@pytest.mark.usefixtures("_installed")
def test_phones_tile_the_samples() -> None:
    with Espeak() as espeak:
        speech = espeak.speak("left hand", Voice("en-us+f1"))
    phones = [span.phone for span in speech.phones if span.phone != SILENCE]
    assert phones == ["l", "ɛ", "f", "t", "h", "æ", "n", "d"]
    assert speech.phones[0].start_s == 0
    assert speech.phones[-1].end_s == len(speech.samples) / speech.sample_rate
    assert all(before.end_s == after.start_s for before, after in pairwise(speech.phones))
    assert np.abs(speech.samples).max() < 2**15 - 1


@pytest.mark.usefixtures("_installed")
def test_phones_know_where_their_word_begins() -> None:
    with Espeak() as espeak:
        speech = espeak.speak("left hand", Voice("en-us+f1"))
    words = [span.word for span in speech.phones if span.phone != SILENCE]
    assert words == [0, 0, 0, 0, 5, 5, 5, 5]


@pytest.mark.usefixtures("_installed")
def test_rate_and_pitch_are_heard() -> None:
    with Espeak() as espeak:
        slow, fast = (
            espeak.speak("see you later", Voice("en-us", rate=rate)) for rate in (140, 210)
        )
    assert len(slow.samples) > 1.3 * len(fast.samples)


@pytest.mark.usefixtures("_installed")
def test_an_unknown_voice_and_an_empty_text_are_refused() -> None:
    with Espeak() as espeak:
        for name in ("nobody", "en-us+nobody"):
            with pytest.raises(BudgetError, match=f"no voice '{re.escape(name)}'"):
                espeak.speak("hello", Voice(name))
        with pytest.raises(BudgetError, match="speaks nothing for ''"):
            espeak.speak("", Voice("en-us"))


def test_a_missing_synthesiser_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(BudgetError, match=r'pip install "fairseq_budget\[demo\]"'), Espeak():
        pass
