"""Updates of equal audio: by hand, and by trying all others."""

from __future__ import annotations

import itertools

import pytest

from fairseq_budget.budget.accumulation import accumulate, fit_update
from fairseq_budget.papers.match_to_win import PAPER_UPDATE_S


def test_an_update_holds_what_was_asked_where_that_divides():
    assert accumulate(30, length_s=5, batch=3) == (3, 2, 30)
    assert accumulate(PAPER_UPDATE_S, length_s=1, batch=12, gpus=20) == (12, 24, 5760)


def test_otherwise_it_is_the_nearest_and_says_what_it_holds():
    assert accumulate(16, length_s=10, batch=1) == (1, 2, 20)
    assert accumulate(16, length_s=15, batch=1) == (1, 1, 15)


def test_twice_the_gpus_take_half_the_batches():
    one, two = (accumulate(960, length_s=5, batch=4, gpus=gpus) for gpus in (1, 2))
    assert one.audio_s == two.audio_s == 960
    assert one.update_freq == 2 * two.update_freq


def test_more_gpus_than_an_update_feeds_make_it_larger():
    assert accumulate(10, length_s=5, batch=1, gpus=4) == (1, 1, 20)
    assert fit_update(10, length_s=5, max_batch=3, gpus=4) == (1, 1, 20)


@pytest.mark.parametrize("wanted_s", [30, 87.5, 700, PAPER_UPDATE_S])
@pytest.mark.parametrize("max_batch", [1, 3, 17])
@pytest.mark.parametrize("gpus", [1, 2, 20])
def test_full_batches_are_as_few_as_memory_allows_and_nearest_to_what_was_asked(
    wanted_s, max_batch, gpus
):
    found = fit_update(wanted_s, length_s=5.0, max_batch=max_batch, gpus=gpus)
    assert 1 <= found.batch <= max_batch
    assert found.audio_s == found.batch * found.update_freq * gpus * 5
    enough = (n for n in itertools.count(1) if n * max_batch * gpus * 5 >= wanted_s)
    assert found.update_freq == next(enough)
    others = [abs(b * found.update_freq * gpus * 5 - wanted_s) for b in range(1, max_batch + 1)]
    assert abs(found.audio_s - wanted_s) == min(others)
