"""Quantiles and their intervals hold what they promise, and drift and spread are seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.cost.samples import drift, quantile, quantile_interval, spread


def below(count: int, share: float, most: int) -> float:
    """The chance that at most so many of `count` draws lie below a quantile, summed by hand."""
    return math.fsum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(most + 1))


@given(count=st.integers(1, 300), share=st.sampled_from([0.5, 0.9, 0.95]))
def test_each_end_of_an_interval_is_missed_with_at_most_a_fortieth(count: int, share: float) -> None:
    low, high = quantile_interval(list(range(1, count + 1)), share)  # the samples are their own ranks
    if low is not None:  # missed if fewer than `low` draws lie below the quantile
        assert below(count, share, int(low) - 1) <= 0.025
        assert below(count, share, int(low)) > 0.025, "a nearer end would do"
    else:
        assert below(count, share, 0) > 0.025
    if high is not None:  # missed if `high` draws or more lie below it
        assert 1 - below(count, share, int(high) - 1) <= 0.025 + 1e-12
        assert 1 - below(count, share, int(high) - 2) > 0.025, "a nearer end would do"
    else:
        assert share**count > 0.025


def test_the_95th_percentile_has_an_upper_bound_from_72_calls_on() -> None:
    assert quantile_interval([1.0] * 71, 0.95)[1] is None
    assert quantile_interval([1.0] * 72, 0.95)[1] == 1.0


def test_intervals_cover_the_true_median_of_a_skewed_distribution_as_often_as_they_say() -> None:
    draws = np.random.default_rng(0).exponential(size=(2000, 75))
    held = [low <= math.log(2) <= high for low, high in (quantile_interval(list(row), 0.5) for row in draws)]
    assert 0.94 <= np.mean(held) <= 0.98  # at least 95 %; ranks are whole, so a little more


def test_the_order_of_samples_does_not_matter_to_a_quantile() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile_interval([5.0, 1.0, 4.0, 2.0, 3.0, 6.0], 0.5) == quantile_interval(
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.5
    )


def test_a_sleep_in_every_third_call_shows_as_spread_and_not_as_drift() -> None:
    steady = [0.010] * 60
    disturbed = [0.010 + 0.005 * (place % 3 == 0) for place in range(60)]
    assert spread(steady) == 0.0
    assert spread(disturbed) == pytest.approx(0.5)
    assert drift(disturbed) == 0.0


def test_a_machine_that_slows_down_shows_as_drift() -> None:
    assert drift([0.010 * (1 + place / 100) for place in range(61)]) > 0.3
    assert drift([1.0, 1.0, 1.0, 1.2, 1.2, 1.2]) == pytest.approx(0.2)
    assert drift([1.0, 2.0]) == 0.0
