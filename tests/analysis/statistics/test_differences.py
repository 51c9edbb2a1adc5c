"""Differences of two candidates, against SciPy and counts by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bakeoff.analysis.statistics.differences import (
    gap_on_new_pictures,
    holm,
    mcnemar,
    permutation_p,
    superiority,
    welch,
)

accuracies = st.lists(st.integers(0, 1000).map(lambda right: right / 1000), min_size=2, max_size=8)


@given(accuracies, accuracies)
def test_welchs_test_is_that_of_scipy(first: list[float], second: list[float]) -> None:
    assume(np.std(first) > 0 and np.std(second) > 0)
    found, expected = welch(first, second), stats.ttest_ind(first, second, equal_var=False)
    assert found is not None
    assert (found.p, found.freedom) == pytest.approx((expected.pvalue, expected.df))
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second))


def test_seeds_that_do_not_differ_at_all_differ_in_the_mean_or_not() -> None:
    assert welch([0.5, 0.5], [0.4, 0.4]).p == 0  # type: ignore[union-attr]
    assert welch([0.5, 0.5], [0.5, 0.5]).p == 1  # type: ignore[union-attr]


def test_seeds_that_differ_by_rounding_alone_do_not_differ() -> None:
    third = [0.1 + 0.2, 0.3, 1 - 0.7]
    assert len({*third}) > 1
    assert welch(third, [0.3, 0.3, 0.3]).p == 1  # type: ignore[union-attr]
    assert welch(third, [0.4, 0.4]).p == 0  # type: ignore[union-attr]
    one_picture_of_a_million = welch([0.3, 0.300001], [0.3, 0.3])
    assert one_picture_of_a_million is not None
    assert one_picture_of_a_million.p == pytest.approx(stats.t.sf(1, 1) * 2)  # t = 1, of the only spread there is


@given(accuracies, st.floats(0, 1), st.integers(2, 5))
def test_a_candidate_whose_seeds_are_equal_is_compared_without_a_warning(
    first: list[float], same: float, seeds: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one, other in ((first, [same] * seeds), ([same] * seeds, first), ([same] * seeds, [same] * 2)):
            found = welch(one, other)
            assert found is not None
            assert 0 <= found.p <= 1
            assert found.freedom >= 1


def test_one_seed_cannot_be_tested() -> None:
    assert welch([0.5], [0.4, 0.3]) is None


@given(
    st.lists(st.integers(0, 50).map(float), min_size=4, max_size=5),
    st.lists(st.integers(0, 50).map(float), min_size=4, max_size=6),
)
def test_the_permutation_test_is_that_of_scipy(first: list[float], second: list[float]) -> None:
    def difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(one, axis=axis) - np.mean(other, axis=axis)

    expected = stats.permutation_test((first, second), difference, n_resamples=np.inf, vectorized=True)
    assert permutation_p(first, second) == pytest.approx(expected.pvalue)


def test_the_permutation_test_reaches_two_of_all_divisions() -> None:
    assert permutation_p([5.0, 6, 7, 8], [1.0, 2, 3, 4]) == pytest.approx(2 / math.comb(8, 4))
    assert permutation_p([5.0, 6, 7], [1.0, 2, 3]) is None
    assert permutation_p(range(11), range(11)) is None  # 705,432 divisions


def test_the_gap_on_new_pictures_by_hand() -> None:
    first = np.array([[1, 1, 1, 0, 1], [1, 1, 0, 0, 1]], bool)
    second = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
    # Means by picture 1 1 .5 0 1 and 0 .5 0 0 .5: differences 1 .5 .5 0 .5, mean 0.5, squares 0.5, one picture added.
    found = gap_on_new_pictures(first, second)
    assert found is not None
    of_pictures = (0.5 + 1) / 4 / 5
    # Seeds of the first: 0.8, 0.6, variance 0.02, expected 2 x 0.25 / 25 = 0.02, no excess; of the second: 0.4, 0,
    # variance 0.08, expected 2 x 0.5 / 25 = 0.04, excess 0.04.
    assert found.value == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(math.sqrt(of_pictures + 0.04 / 2))
    total = of_pictures + 0.02
    assert found.freedom == pytest.approx(total**2 / (of_pictures**2 / 4 + 0.01**2 + 0.04**2))
    assert found.floor_variance == pytest.approx(max(0, of_pictures - 0.02 / 2 - 0.04 / 2))
    assert found.p == pytest.approx(2 * stats.t.sf(0.5 / found.standard_error, found.freedom))
    low, high = stats.t.interval(0.9, found.freedom, 0.5, found.standard_error)
    assert (found.interval(0.9).low, found.interval(0.9).high) == pytest.approx((max(low, -1), min(high, 1)))
    assert found.interval(0.5).high < 1 < high  # at the higher level alone it would reach beyond what can be


def test_without_seed_noise_the_gap_is_agrestis_and_mins_up_to_their_two_pictures() -> None:
    # b = 30 and c = 10 of n = 400; their Wald + 2: (b + c + 1 - (b - c)^2 / (n + 2)) / (n + 2)^2.
    first, second = np.zeros((2, 400), bool), np.zeros((2, 400), bool)
    first[:, :30] = second[:, 30:40] = True
    found = gap_on_new_pictures(first, second)
    assert found is not None
    assert found.standard_error**2 == pytest.approx((41 - 400 / 402) / 402**2, rel=0.02)
    assert found.value == pytest.approx(20 / 400)


def test_networks_that_agree_on_a_few_pictures_are_not_equal_beyond_doubt() -> None:
    agreeing = np.ones((5, 40), bool)
    found = gap_on_new_pictures(agreeing, agreeing)
    assert found is not None
    assert found.interval().high > 0.03
    assert not found.equivalent_within(0.005)


def test_candidates_that_err_alike_are_as_certain_as_their_seeds() -> None:
    # The very same networks: their differences say nothing of how far seeds lie apart, which stays unsure.
    networks = np.random.default_rng(0).random((5, 1000)) < 0.9
    found = gap_on_new_pictures(networks, networks)
    assert found is not None
    assert found.freedom >= 4
    assert found.interval().high < 0.01


def test_the_gap_turns_its_sign_with_the_candidates() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((3, 50)) < 0.8, generator.random((4, 50)) < 0.6
    there, back = gap_on_new_pictures(first, second), gap_on_new_pictures(second, first)
    assert there is not None and back is not None  # noqa: PT018
    assert (there.value, there.standard_error, there.freedom) == pytest.approx(
        (-back.value, back.standard_error, back.freedom)
    )


def test_a_gap_takes_two_seeds_of_each_and_the_same_pictures() -> None:
    assert gap_on_new_pictures(np.ones((1, 9), bool), np.ones((5, 9), bool)) is None
    with pytest.raises(ValueError, match="same"):
        gap_on_new_pictures(np.ones((2, 9), bool), np.ones((2, 8), bool))
    with pytest.raises(ValueError, match="two at least"):
        gap_on_new_pictures(np.ones((2, 1), bool), np.ones((2, 1), bool))


def test_equivalence_is_two_one_sided_tests() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.random((5, 4000)) < 0.9, generator.random((5, 4000)) < 0.9
    found = gap_on_new_pictures(first, second)
    assert found is not None
    for bound in (0.001, 0.004, 0.006, 0.02):
        sides = [stats.t.sf((bound + sign * found.value) / found.standard_error, found.freedom) for sign in (1, -1)]
        assert found.equivalent_within(bound) == (max(sides) < 0.05)


def test_mcnemars_test_by_hand() -> None:
    first = np.array([1] * 10 + [0] * 2 + [1] * 5, bool)
    second = np.array([0] * 10 + [1] * 2 + [1] * 5, bool)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (10, 2)
    assert found.p == pytest.approx(2 * sum(math.comb(12, count) for count in range(3)) / 2**12)
    assert mcnemar(first, first).p == 1


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemars_p_is_twice_the_binomial_tail(only_first: int, only_second: int) -> None:
    first = np.array([1] * only_first + [0] * only_second, bool)
    tail = stats.binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
    assert mcnemar(first, ~first).p == pytest.approx(min(1.0, 2 * tail))


def test_superiority_counts_pairs_and_halves_ties() -> None:
    found = superiority([0.9, 0.7], [0.7, 0.6])
    assert found.share == (1 + 1 + 0.5 + 1) / 4
    assert found.interval is not None
    assert found.share in found.interval
    assert superiority([0.9], [0.7, 0.6]).interval is None
    assert superiority([0.9, 0.8], [0.7, 0.6]).interval.low == 1  # type: ignore[union-attr]


def test_superiority_gives_the_same_interval_each_time() -> None:
    values = list(np.random.default_rng(0).random(10))
    assert superiority(values, values[::-1]) == superiority(values, values[::-1])


def test_holms_adjustment_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_step_by_step(p_values: list[float]) -> None:
    # Rejecting from the smallest up, each against alpha over how many are left, until one stays.
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for place, index in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[index] * (len(p_values) - place) > alpha:
                break
            rejected.add(int(index))
        assert {index for index, p in enumerate(adjusted) if p <= alpha} == rejected
