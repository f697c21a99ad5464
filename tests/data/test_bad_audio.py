"""Bad audio is named once, counted, and stops the run when there is too much of it."""

import logging

import pytest

from fairseq_budget.data.bad_audio import BadAudio
from fairseq_budget.errors import BudgetError


def test_each_file_is_named_once(caplog):
    caplog.set_level(logging.WARNING)
    bad = BadAudio(0.01)
    bad.name(["a.wav: truncated", "b.wav: gone"])
    bad.name(["a.wav: truncated"])
    assert caplog.text.count("a.wav") == caplog.text.count("b.wav") == 1


def test_a_small_share_is_borne():
    bad = BadAudio(0.01)
    for _ in range(100):
        bad.count(1, 100)
    assert bad.num_bad == 100


def test_a_large_share_stops_the_run_with_the_list():
    bad = BadAudio(0.01)
    bad.name([f"{i}.wav: gone" for i in range(30)])
    bad.count(9, 20)  # of few, a share says little
    with pytest.raises(BudgetError, match=r"10 of 40 .* task.max_bad_share=0.01: restore") as error:
        bad.count(1, 20)
    assert "30 were found" in str(error.value)
    assert "\n  0.wav: gone\n  1.wav: gone" in str(error.value)
