"""Seeds and the differences that they show, against known figures and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bakeoff.analysis.statistics.power import (
    first_that_holds,
    pairs,
    power,
    seeds_needed,
    smallest_difference,
)

GAPS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02)


@pytest.mark.parametrize(
    ("sd", "two", "three"),
    [
        (0.0015, (37, 10, 6, 3, 2, 2), (49, 14, 7, 4, 3, 2)),
        (0.0020, (64, 17, 9, 4, 3, 2), (86, 23, 11, 6, 3, 2)),
        (0.0030, (143, 37, 17, 7, 3, 2), (190, 49, 23, 10, 4, 3)),
        (0.0050, (394, 100, 45, 17, 6, 3), (525, 133, 60, 23, 7, 4)),
    ],
)
def test_seeds_needed_for_two_and_three_candidates(sd: float, two: tuple[int, ...], three: tuple[int, ...]) -> None:
    assert tuple(seeds_needed(gap, sd) for gap in GAPS) == two
    assert tuple(seeds_needed(gap, sd, alpha=0.05 / pairs(3)) for gap in GAPS) == three


@pytest.mark.parametrize(("seeds", "multiple"), [(2, 5.65), (3, 3.07), (4, 2.38), (5, 2.02), (10, 1.32), (20, 0.91)])
def test_the_smallest_difference_in_units_of_the_spread(seeds: int, multiple: float) -> None:
    assert round(smallest_difference(seeds, 1.0), 2) == multiple
    assert smallest_difference(seeds, 0.003) == pytest.approx(0.003 * smallest_difference(seeds, 1.0))


def test_the_smallest_difference_has_the_power_asked_for() -> None:
    for seeds, alpha, chance in ((2, 0.001, 0.9), (5, 0.05, 0.8), (7, 0.05, 0.5), (40, 0.005, 0.99)):
        found = smallest_difference(seeds, 0.01, alpha=alpha, chance=chance)
        assert power(seeds, found, 0.01, alpha=alpha) == pytest.approx(chance, abs=1e-6)


def test_the_power_of_no_difference_is_alpha() -> None:
    assert power(5, 0.0, 1.0, alpha=0.05) == pytest.approx(0.05)


def test_power_is_how_often_the_test_sees_it() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, (20_000, 5)), generator.normal(1.5, 1, (20_000, 5))
    seen = (stats.ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert power(5, 1.5, 1.0) == pytest.approx(seen, abs=0.01)


def test_power_is_a_number_wherever_one_may_look() -> None:
    for seeds in (2, 3, 7, 50, 1000):
        for gap in np.linspace(0, 12, 60):
            assert 0 <= power(seeds, gap, 1.0, alpha=0.05 / 45) <= 1


def test_differences_beyond_all_noise_take_two_seeds_and_ones_below_it_too_many() -> None:
    assert seeds_needed(1.0, 1e-9) == 2
    assert seeds_needed(1e-9, 1.0) is None


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 99, 100])
def test_the_first_number_that_holds_is_found(bound: int) -> None:
    assert first_that_holds(lambda number: number >= bound, start=1, most=100) == bound
    assert first_that_holds(lambda number: number >= bound, start=50, most=100) == max(50, bound)
    assert first_that_holds(lambda number: number > 100, start=1, most=100) is None
