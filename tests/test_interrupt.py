"""Ctrl-C, as one process hears it."""

import os
import signal

import pytest

from fairseq_budget import interrupt as module
from fairseq_budget.interrupt import Interrupt


@pytest.fixture
def interrupt():
    before = signal.getsignal(signal.SIGINT)
    heard = Interrupt()
    heard.listen()
    yield heard
    signal.signal(signal.SIGINT, before)


def test_the_first_one_asks_and_the_second_one_ends(interrupt, monkeypatch):
    monkeypatch.setattr(module, "SAME_KEY_S", 0.0)
    assert not interrupt.asked
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.asked
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_launcher_that_passes_the_key_on_does_not_make_it_a_second_one(interrupt):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.asked
