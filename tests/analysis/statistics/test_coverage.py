"""Intervals cover the truth as often as they say, and verdicts err as rarely, on simulated networks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import special

from bakeoff.analysis.comparison import compare
from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.decision import Decision, decide
from bakeoff.analysis.statistics.differences import gap_on_new_pictures
from bakeoff.analysis.statistics.intervals import accuracy_interval, seed_interval
from bakeoff.analysis.verdict import judge
from tests.analysis.statistics.worlds import NODES, WEIGHTS, World

STABLE, USUAL, UNSTABLE = World(), World(unstable=0.05), World(unstable=0.3)
"""At 1,000 pictures their seeds lie 0.6 to 0.7 points apart by chance, and differ in quality by 0, 0.3 and 1.6 points."""


def share(hits: Iterator[bool]) -> float:
    return float(np.mean(list(hits)))


def about(low: float, high: float, repetitions: int) -> tuple[float, float]:
    """Return bounds widened by twice what the number of repetitions leaves open."""
    margin = 2 * math.sqrt(0.05 * 0.95 / repetitions)
    return low - margin, high + margin


def gap_covers(world: World, *, pictures: int, seeds: int, repetitions: int) -> float:
    def hits() -> Iterator[bool]:
        generator = np.random.default_rng(seeds)
        for _ in range(repetitions):
            seen = world.pictures(generator, pictures)
            first, second = (world.networks(generator, seen, seeds) for _ in "ab")
            yield 0 in gap_on_new_pictures(first, second).interval()  # type: ignore[union-attr]

    return share(hits())


def accuracy_covers(world: World, *, pictures: int, seeds: int, repetitions: int) -> float:
    def hits() -> Iterator[bool]:
        generator = np.random.default_rng(seeds)
        for _ in range(repetitions):
            networks = world.networks(generator, world.pictures(generator, pictures), seeds)
            yield world.accuracy in accuracy_interval(networks)

    return share(hits())


def seeds_cover(world: World, *, pictures: int, seeds: int, repetitions: int) -> float:
    """How often the t interval over seeds covers the accuracy of all seeds, on the same pictures."""
    generator = np.random.default_rng(seeds)
    ease = world.ease + world.pictures(generator, pictures)
    truth = float((special.expit(ease[:, None] + world.unstable * NODES) @ WEIGHTS).mean())

    def hits() -> Iterator[bool]:
        for _ in range(repetitions):
            quality = generator.normal(0, world.unstable, (seeds, 1))
            networks = generator.random((seeds, pictures)) < special.expit(ease + quality)
            interval = seed_interval(networks.mean(axis=1))
            if interval is not None:  # seeds that meet by chance say nothing
                yield truth in interval

    return share(hits())


@pytest.mark.parametrize("world", [STABLE, USUAL, UNSTABLE], ids=["stable", "usual", "unstable"])
def test_the_interval_for_new_pictures_covers_the_true_gap(world: World) -> None:
    low, high = about(0.93, 0.97, 600)
    assert low <= gap_covers(world, pictures=1000, seeds=5, repetitions=600) <= high


def test_the_interval_of_an_accuracy_covers_the_true_one() -> None:
    low, high = about(0.93, 0.97, 600)
    assert low <= accuracy_covers(USUAL, pictures=1000, seeds=5, repetitions=600) <= high


def test_the_interval_over_seeds_covers_the_accuracy_on_the_same_pictures() -> None:
    low, high = about(0.93, 0.97, 600)
    assert low <= seeds_cover(USUAL, pictures=1000, seeds=5, repetitions=600) <= high


def test_the_interval_over_seeds_does_not_cover_the_accuracy_on_new_pictures() -> None:
    # What makes the other interval needed: more seeds make this one surer of what it does not know.
    generator = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        networks = STABLE.networks(generator, STABLE.pictures(generator, 1000), 10)
        hits.append(STABLE.accuracy in seed_interval(networks.mean(axis=1)))  # type: ignore[operator]
    assert np.mean(hits) < 0.7


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("world", [STABLE, USUAL, UNSTABLE], ids=["stable", "usual", "unstable"])
def test_every_interval_covers_93_to_97_percent(world: World, seeds: int) -> None:
    repetitions = 4000
    low, high = about(0.93, 0.97, repetitions)
    # At three seeds the excess spread is often estimated as none or far too large: wide rather than too narrow.
    slack = 0.01 if seeds == 3 else 0.0
    assert low <= gap_covers(world, pictures=2000, seeds=seeds, repetitions=repetitions) <= high + slack
    assert low - slack <= accuracy_covers(world, pictures=2000, seeds=seeds, repetitions=repetitions) <= high + slack
    assert low <= seeds_cover(world, pictures=2000, seeds=seeds, repetitions=repetitions) <= high


# Verdicts


def contender(name: str, correct: np.ndarray) -> Contender:
    seeds = len(correct)
    means = correct.mean(axis=1)
    return Contender(
        candidate_id=name, label=name, attempted=seeds, seeds=tuple(range(seeds)), test=means, validation=means, correct=correct
    )  # fmt: skip


def decisions(
    first: World, second: World, *, repetitions: int, seeds: int = 5, smallest: float = 0.005
) -> list[Decision]:
    """Return what is decided of pairs of candidates on 10,000 test pictures, new ones for each pair."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(repetitions):
        seen = first.pictures(generator, 10_000)
        pair = [
            contender(name, world.networks(generator, seen, seeds)) for name, world in (("a", first), ("b", second))
        ]
        found.append(decide(compare(pair)[0], pairs=1, smallest=smallest).decision)
    return found


GOOD = World(unstable=0.02).with_accuracy(0.91)
BETTER = World(unstable=0.02).with_accuracy(0.92)
CLOSE = World(unstable=0.02).with_accuracy(0.915)
"""Seeds of these lie about 0.2 points apart on 10,000 pictures."""


def rate(found: list[Decision], decision: Decision) -> float:
    return found.count(decision) / len(found)


def test_equal_candidates_are_rarely_called_different() -> None:
    assert rate(decisions(GOOD, GOOD, repetitions=150), Decision.BETTER) <= 0.05
    # Not for the smallest difference alone: with that near 0 it still holds, within what 150 repetitions can tell.
    assert rate(decisions(GOOD, GOOD, repetitions=150, smallest=1e-6), Decision.BETTER) <= about(0, 0.05, 150)[1]


def test_a_point_of_difference_is_found() -> None:
    assert rate(decisions(BETTER, GOOD, repetitions=100), Decision.BETTER) >= 0.8


def test_candidates_as_far_apart_as_counts_are_rarely_called_equivalent() -> None:
    assert rate(decisions(CLOSE, GOOD, repetitions=150), Decision.EQUIVALENT) <= 0.05


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", [3, 5])
def test_verdicts_err_as_rarely_as_they_say_over_2000_pairs(seeds: int) -> None:
    assert rate(decisions(GOOD, GOOD, seeds=seeds, repetitions=2000), Decision.BETTER) <= 0.05
    assert (
        rate(decisions(GOOD, GOOD, seeds=seeds, repetitions=2000, smallest=1e-6), Decision.BETTER)
        <= about(0, 0.05, 2000)[1]
    )
    assert rate(decisions(CLOSE, GOOD, seeds=seeds, repetitions=2000), Decision.EQUIVALENT) <= 0.05
    if seeds == 5:
        assert rate(decisions(BETTER, GOOD, repetitions=2000), Decision.BETTER) >= 0.8


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_among_five_equal_candidates_hardly_a_study_names_a_better_one() -> None:
    generator, named = np.random.default_rng(0), 0
    for _ in range(400):
        seen = GOOD.pictures(generator, 5000)
        verdict = judge(
            [contender(name, GOOD.networks(generator, seen, 5)) for name in "abcde"], smallest_difference=1e-6
        )
        named += any(pair.decision is Decision.BETTER for pair in verdict.pairs)
    assert named / 400 <= about(0, 0.05, 400)[1]
