"""Signals, as one process hears them."""

import os
import signal

import pytest

from fairseq_budget.run import interrupt as module
from fairseq_budget.run.interrupt import CTRL_C, EXIT_CODES, REQUEUE, Interrupt


@pytest.fixture
def interrupt():
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    heard = Interrupt()
    heard.listen()
    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_may_ask_as_often_as_it_likes_and_the_job_comes_back(interrupt, number):
    for _ in range(3):
        os.kill(os.getpid(), number)
    assert interrupt.asked == REQUEUE


def test_what_came_first_is_answered(interrupt):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupt.asked == CTRL_C
