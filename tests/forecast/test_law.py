"""A law is found again in the losses that it makes."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from fairseq_budget.forecast.law import (
    TYPICAL_REPEATS,
    Law,
    Sample,
    effective_frames,
    fit_law,
)
from tests.forecast.pilots import TRUE, points


def test_a_law_is_found_in_losses_without_noise():
    law = fit_law(Sample.of(points()))
    for name in ("irreducible", "size_factor", "size_exponent", "data_factor", "data_exponent"):
        assert getattr(law, name) == pytest.approx(getattr(TRUE, name), rel=1e-3), name
    assert law.repeats == TYPICAL_REPEATS
    assert not law.is_repeats_fitted
    assert not law.is_at_bounds


def test_one_loss_that_is_off_does_not_move_the_others():
    sample = Sample.of(points())
    off = sample.log_loss.copy()
    off[5] += 0.05
    law = fit_law(Sample(sample.parameters, sample.frames, sample.unique, off))
    assert law.size_exponent == pytest.approx(TRUE.size_exponent, rel=0.02)


def test_repeats_are_fitted_where_runs_repeat_differently():
    true = Law(1.7, 400.0, 0.34, 2000.0, 0.37, repeats=6.0)
    short = 2e7  # of which the runs hear from four times to twenty
    made = [
        *points(true, unique=1e12)[::2],
        *points(true, unique=short)[1::2],
    ]
    law = fit_law(Sample.of(made))
    assert law.is_repeats_fitted
    assert law.repeats == pytest.approx(6.0, rel=0.01)


def test_a_loss_that_data_do_not_change_has_no_exponent():
    flat = Law(1.7, 400.0, 0.34, 1e-9, 0.3)
    assert fit_law(Sample.of(points(flat))).data_factor < 1e-2


def test_a_law_that_is_steeper_than_any_is_at_its_bounds():
    assert fit_law(Sample.of(points(Law(1e-3, 1e16, 2.5, 2000.0, 0.37)))).is_at_bounds


def test_frames_count_less_the_more_often_they_were_heard():
    worth = effective_frames(100.0 * np.array([0.5, 1, 5, 1000]), 100.0, 15.39)
    assert worth[:2].tolist() == [50, 100]
    assert worth[2] == pytest.approx(100 + 100 * 15.39 * (1 - np.exp(-4 / 15.39)))
    assert worth[3] == pytest.approx(100 * (1 + 15.39))  # all that repetitions are worth


def test_runs_that_show_no_effect_of_size_have_a_law_without_it():
    rising = [
        replace(point, valid_loss=(1 + 1e-9 * point.parameters) * point.valid_loss)
        for point in points(Law(1.7, 1e-9, 0.34, 2000.0, 0.37))
    ]
    law = fit_law(Sample.of(rising))
    assert (law.knows_size, law.size_factor, law.num_parameters) == (False, 0, 3)
    assert law.data_exponent == pytest.approx(0.37, rel=0.05)
    assert asdict(fit_law(Sample.of(rising), law)) == pytest.approx(asdict(law), rel=1e-3)


def test_an_effect_of_size_that_noise_makes_is_no_term():
    generator = np.random.default_rng(4)
    noisy = [
        replace(point, valid_loss=point.valid_loss * float(np.exp(0.01 * error)))
        for point, error in zip(
            points(Law(1e-3, 3e12, 2.5, 12.0, 0.11)), generator.standard_normal(12), strict=True
        )
    ]
    law = fit_law(Sample.of(noisy))
    assert not law.knows_size
    assert law.data_exponent == pytest.approx(0.11, rel=0.2)
