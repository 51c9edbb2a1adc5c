"""How many seeds would settle a pair: the promise is kept when they are added."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff.analysis.comparison import compare
from bakeoff.analysis.decision import Decision, decide
from bakeoff.analysis.settling import seeds_asked, settling
from bakeoff.analysis.statistics.differences import Gap
from bakeoff.analysis.statistics.intervals import SeedNoise
from bakeoff.analysis.statistics.power import WORTHWHILE_SEEDS, seeds_needed
from tests.analysis.people import contender
from tests.analysis.statistics.worlds import World


def gap(value: float, *, sd: float, floor: float, seeds: int = 3) -> Gap:
    """A gap whose seeds differ by chance alone and whose pictures leave this standard error."""
    noise = SeedNoise(seeds, sd, sd, 0.0)
    variance = floor**2 + 2 * sd**2 / seeds
    return Gap(value, math.sqrt(variance), 50.0, variance, (noise, noise), 10_000)


def ask(known: Gap, *, seeds: int = 3, pairs: int = 1, smallest: float = 0.005):  # type: ignore[no-untyped-def]
    return settling(known.value, known, seeds=(seeds, seeds), pairs=pairs, smallest=smallest, alpha=0.05)


def test_a_verdict_asks_for_five_seeds_or_three_for_a_wide_gap() -> None:
    assert [seeds_asked(size) for size in (0.0, 0.01, 0.02, 0.021, -0.03)] == [5, 5, 5, 3, 3]


def test_with_pictures_without_number_the_seeds_are_those_of_the_power_of_welchs_test() -> None:
    # Then only the seeds' own interval can ask for more than Welch's test does.
    found = ask(gap(0.006, sd=0.005, floor=0.0))
    needed = seeds_needed(0.006, 0.005)
    assert needed is not None
    assert needed <= found.seeds <= needed + 3
    assert found.further == found.seeds - 3


def test_a_gap_that_seeds_may_bring_below_the_smallest_is_told_as_that_near() -> None:
    # Of two means over k seeds a fifth lies 0.8416 * sd * sqrt(2 / k) or more below.
    for value, sd, near in ((0.0051, 0.004, True), (0.0502, 0.002, False), (0.006, 0.003, True)):
        found = ask(gap(value, sd=sd, floor=0.0))
        assert found.seeds is not None
        assert found.near == near == (value - 0.8416 * sd * math.sqrt(2 / found.seeds) < 0.005)


def test_seeds_that_lie_wildly_apart_are_no_fault_of_the_pictures() -> None:
    for value in (0.0, 0.002):
        found = ask(gap(value, sd=0.06, floor=0.0005))  # far more than a thousand seeds
        assert (found.seeds, found.pictures, found.out_of_reach) == (None, None, True)


def test_more_pairs_take_more_seeds() -> None:
    known = gap(0.008, sd=0.005, floor=0.0005)
    seeds = [ask(known, pairs=pairs).seeds for pairs in (1, 3, 10, 45)]
    assert seeds == sorted(seeds)
    assert seeds[0] < seeds[-1]


def test_where_the_pictures_are_the_limit_no_number_of_seeds_is_promised() -> None:
    found = ask(gap(0.008, sd=0.002, floor=0.006))
    assert (found.seeds, found.further) == (None, None)
    # 1.96 x 0.006 = 0.0118 has to come down to 0.008: 2.16 times as many pictures.
    assert found.pictures == pytest.approx(21_600, rel=0.01)


def test_a_gap_at_the_bound_itself_is_not_settled_by_anything() -> None:
    found = ask(gap(0.00499, sd=0.02, floor=0.001), smallest=0.005)
    assert found.seeds is None


def test_what_takes_more_seeds_than_are_worthwhile_is_out_of_reach_and_no_fault_of_the_pictures() -> None:
    needed = seeds_needed(0.006, 0.02)
    assert needed is not None
    assert needed > WORTHWHILE_SEEDS
    found = ask(gap(0.006, sd=0.02, floor=0.0))
    assert (found.seeds, found.further, found.pictures, found.out_of_reach) == (None, None, None, True)
    near = ask(gap(0.006, sd=0.009, floor=0.0))
    assert near.seeds is not None
    assert not near.out_of_reach


def test_a_small_gap_is_settled_as_equivalent() -> None:
    found = ask(gap(0.0005, sd=0.004, floor=0.001))
    assert found.seeds is not None
    assert found.seeds > 3


def test_a_gap_of_exactly_the_smallest_difference_is_one_that_counts_however_it_is_rounded() -> None:
    for right in (9037, 9185, 9000):
        exact = (right + 50) / 10_000 - right / 10_000  # 0.00499999... or 0.00500000...
        assert ask(gap(exact, sd=0.005, floor=0.0)) == ask(gap(0.005, sd=0.005, floor=0.0))
        assert ask(gap(exact, sd=0.005, floor=0.0)).seeds is not None


@pytest.mark.parametrize(("value", "smallest"), [(0.004_999_9, 0.005), (0.0, 1e-200), (math.nan, 0.005)])
def test_no_number_of_pictures_is_told_that_nobody_has(value: float, smallest: float) -> None:
    found = ask(gap(value, sd=0.02, floor=0.006), smallest=smallest)
    assert (found.seeds, found.pictures) == (None, None)


def test_an_equivalence_is_promised_with_the_seeds_that_it_asks_for() -> None:
    known = gap(0.025, sd=0.002, floor=0.001)
    assert ask(known, smallest=0.05).seeds == 5  # three would do for a gap of this size that counts
    assert ask(known, smallest=0.005).seeds == 4


def test_unequal_seeds_are_counted_from_the_fewer() -> None:
    known = gap(0.008, sd=0.003, floor=0.0005)
    found = settling(0.008, known, seeds=(3, 9), pairs=1, smallest=0.005, alpha=0.05)
    assert found.further == found.seeds - 3  # type: ignore[operator]


def test_one_seed_is_told_the_least_that_a_verdict_asks_for() -> None:
    found = settling(0.05, None, seeds=(1, 1), pairs=1, smallest=0.005, alpha=0.05)
    assert (found.seeds, found.further, found.at_least) == (3, 2, True)


@pytest.mark.parametrize(("better", "start"), [(0.918, 3), (0.916, 4)])
def test_the_seeds_that_are_promised_settle_most_pairs(better: float, start: int) -> None:
    generator = np.random.default_rng(5)
    good, other = World(own=0.6).with_accuracy(0.91), World(own=0.6).with_accuracy(better)
    kept, promised = 0, 0
    for _ in range(60):
        seen = good.pictures(generator, 10_000)
        first, second = other.networks(generator, seen, 60), good.networks(generator, seen, 60)
        (before,) = compare([contender("a", first[:start]), contender("b", second[:start])])
        needed = decide(before, pairs=1).settling
        if needed is None or needed.seeds is None or needed.seeds > 60:
            continue
        promised += 1
        (after,) = compare([contender("a", first[: needed.seeds]), contender("b", second[: needed.seeds])])
        kept += decide(after, pairs=1).decision is not Decision.NO_WINNER
    assert promised > 20
    assert kept / promised > 0.8
