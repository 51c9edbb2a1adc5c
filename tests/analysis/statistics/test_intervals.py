"""Intervals and seed noise, against SciPy, counts by hand and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bakeoff.analysis.statistics.intervals import (
    Interval,
    accuracy_interval,
    satterthwaite,
    seed_chances,
    seed_interval,
    seed_noise,
    wilson,
)


@given(right=st.integers(0, 500), more=st.integers(0, 500), level=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilsons_interval_is_that_of_scipy(right: int, more: int, level: float) -> None:
    pictures = max(1, right + more)
    mine = wilson(right, pictures, level=level)
    theirs = stats.binomtest(right, pictures).proportion_ci(level, method="wilson")
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(
    ("right", "pictures", "low", "high"),
    [
        (9400, 10_000, 93.52, 94.45),
        (9000, 10_000, 89.40, 90.57),
        (7000, 10_000, 69.09, 70.89),
        (940, 1000, 92.35, 95.31),
    ],
)
def test_wilsons_interval_at_usual_accuracies(right: int, pictures: int, low: float, high: float) -> None:
    found = wilson(right, pictures)
    assert (round(100 * found.low, 2), round(100 * found.high, 2)) == (low, high)


@pytest.mark.parametrize(("right", "pictures"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(right: int, pictures: int) -> None:
    with pytest.raises(ValueError, match="right <= pictures"):
        wilson(right, pictures)


@given(st.lists(st.floats(0.3, 0.7), min_size=2, max_size=12))
def test_the_seed_interval_is_scipys_t_interval(accuracies: list[float]) -> None:
    found = seed_interval(accuracies)
    error = stats.sem(accuracies)
    assert (found is None) == (min(accuracies) == max(accuracies))
    if found is not None and error > 1e-9:
        low, high = stats.t.interval(0.95, len(accuracies) - 1, np.mean(accuracies), error)
        assert (found.low, found.high) == pytest.approx((max(0, low), min(1, high)), abs=1e-9)


@pytest.mark.parametrize(("seeds", "multiplier"), [(2, 8.98), (3, 2.48), (4, 1.59), (5, 1.24), (10, 0.72)])
def test_the_seed_interval_widens_fast_with_fewer_seeds(seeds: int, multiplier: float) -> None:
    accuracies = 0.5 + 0.001 * np.linspace(-1, 1, seeds)
    found = seed_interval(accuracies)
    assert found is not None
    assert (found.high - found.low) / 2 / np.std(accuracies, ddof=1) == pytest.approx(multiplier, abs=0.006)


def test_equal_seeds_have_no_seed_interval() -> None:
    """On few pictures seeds often meet; an interval without width would claim that all seeds do."""
    assert seed_interval([0.9, 0.9]) is None
    assert seed_interval([1.0, 1.0, 1.0]) is None
    assert seed_interval([0.9, 0.9, 0.9 + 1e-9]) is not None


def test_one_seed_has_no_seed_interval_and_none_leaves_what_is_possible() -> None:
    assert seed_interval([0.5]) is None
    assert seed_interval([0.99, 0.9]) == Interval(pytest.approx(0.945 - 12.7062 * 0.045, abs=1e-4), 1.0, 0.95)


def test_seed_noise_by_hand() -> None:
    # Two seeds, four pictures: shares right 1, 0.5, 0.5, 0. p(1-p) sums to 0.5; times 2/(2-1), over 16.
    noise = seed_noise(np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool))
    assert noise.sd == pytest.approx(np.std([0.75, 0.25], ddof=1))
    assert noise.expected_sd == pytest.approx(math.sqrt(2 * 0.5 / 16))
    assert noise.excess_sd == pytest.approx(math.sqrt(0.125 - 0.0625))
    assert noise.ratio == pytest.approx(2.0)


def test_seeds_that_err_independently_lie_as_far_apart_as_expected() -> None:
    generator = np.random.default_rng(0)
    share = generator.beta(4, 1, 2000)
    networks = generator.random((400, 2000)) < share
    noise = seed_noise(networks)
    assert noise.expected_sd == pytest.approx(math.sqrt((share * (1 - share)).sum()) / 2000, rel=0.02)
    assert noise.ratio == pytest.approx(1, abs=0.25)


def test_equal_seeds_have_no_noise_and_no_ratio() -> None:
    for networks in (np.ones((3, 5), bool), np.tile(np.arange(200) > 0, (5, 1))):
        noise = seed_noise(networks)
        assert (noise.sd, noise.expected_sd, noise.excess_sd) == (0, 0, 0)
        assert math.isnan(noise.ratio)


def test_one_seed_has_no_noise() -> None:
    with pytest.raises(ValueError, match="two at least"):
        seed_noise(np.ones((1, 5), bool))


@given(only_first=st.integers(0, 40), only_second=st.integers(0, 40), shared=st.integers(0, 10))
def test_the_chances_of_two_seeds_are_mcnemars_exact_p(only_first: int, only_second: int, shared: int) -> None:
    first = np.repeat([True, False, True, False], [only_first, only_second, shared, shared])
    second = np.repeat([False, True, True, False], [only_first, only_second, shared, shared])
    found = seed_chances(np.array([first, second]))
    disputed = only_first + only_second
    p = stats.binomtest(only_first, disputed).pvalue if disputed else 1.0
    assert found == pytest.approx((p, p), rel=1e-6, abs=1e-12)


def test_the_chances_of_a_seed_are_those_of_answers_dealt_out_at_random() -> None:
    generator = np.random.default_rng(3)
    networks = generator.random((4, 60)) < generator.beta(3, 1, 60)
    networks[2, :12] = False
    dealt = np.stack([generator.permuted(networks, axis=0).sum(axis=1) for _ in range(20_000)])[:, 0]
    for own, found in zip(networks.sum(axis=1), seed_chances(networks), strict=True):
        drawn = min(1.0, 2 * min((dealt <= own).mean(), (dealt >= own).mean()))
        assert found == pytest.approx(drawn, abs=0.015)


def test_seeds_that_agree_on_every_picture_are_what_chance_brings() -> None:
    assert seed_chances(np.ones((3, 5), bool)) == (1, 1, 1)


def test_the_chances_of_far_tails_keep_their_size() -> None:
    networks = np.ones((5, 10_000), bool)
    networks[0, :40] = False  # all forty wrong answers on one of five seeds: twice 0.2 ** 40 is next to nothing
    assert 0 <= seed_chances(networks)[0] < 1e-9


def test_satterthwaites_freedom_is_welchs_for_two_variances() -> None:
    first, second = [0.1, 0.4, 0.3, 0.9], [0.5, 0.2, 0.6]
    parts = [(np.var(one, ddof=1) / len(one), len(one) - 1.0) for one in (first, second)]
    found = satterthwaite(sum(variance for variance, _ in parts), parts)
    assert found == pytest.approx(stats.ttest_ind(first, second, equal_var=False).df)


def test_one_networks_interval_is_wilsons() -> None:
    network = np.arange(100)[None, :] < 83
    assert accuracy_interval(network) == wilson(83, 100)


@pytest.mark.parametrize("right", [True, False])
def test_networks_that_never_differ_are_no_surer_than_one(right: bool) -> None:
    assert accuracy_interval(np.full((5, 100), right)) == wilson(100 * right, 100)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 60))
def test_the_interval_holds_the_mean_and_stays_within_what_is_possible(seed: int, seeds: int, pictures: int) -> None:
    networks = np.random.default_rng(seed).random((seeds, pictures)) < 0.8
    found = accuracy_interval(networks)
    assert 0 <= found.low <= found.high <= 1
    assert networks.mean() in Interval(found.low - 1e-9, found.high + 1e-9, 0.95)
