"""The rule of the verdict: each of its conditions alone keeps a candidate from being called better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bakeoff.analysis.comparison import Comparison, compare
from bakeoff.analysis.decision import Decision, decide
from bakeoff.analysis.statistics.differences import Gap, Superiority, Welch, gap_on_new_pictures, welch
from bakeoff.analysis.statistics.intervals import SeedNoise
from tests.analysis.people import contender
from tests.stored import bits

QUIET = SeedNoise(5, 0.002, 0.002, 0.0)

CLEAR = Comparison(
    first="a",
    second="b",
    accuracies=(0.93, 0.92),
    seeds=(5, 5),
    welch=Welch(0.01, 8.0, 0.0001),
    p_adjusted=0.001,
    new_pictures=Gap(0.01, 0.002, 100.0, 4e-6, (QUIET, QUIET), 10_000),
    superiority=Superiority(1.0, None),
)
"""A gap that nothing is wrong with."""


def test_all_conditions_together_make_a_candidate_better() -> None:
    judged = decide(CLEAR, pairs=1)
    assert (judged.decision, judged.lacking, judged.settling) == (Decision.BETTER, (), None)


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"seeds": (5, 4)}, "4 of the 5 seeds"),
        ({"p_adjusted": 0.05}, "p = 0.05 after Holm"),
        ({"accuracies": (0.93, 0.9255)}, "less than 0.5 points"),
        ({"new_pictures": None}, "no predictions"),
    ],
)
def test_without_one_of_them_it_is_not(change: dict[str, object], lacking: str) -> None:
    judged = decide(replace(CLEAR, **change), pairs=1)  # type: ignore[arg-type]
    assert judged.decision is Decision.NO_WINNER
    assert len(judged.lacking) == 1
    assert lacking in judged.lacking[0]
    assert judged.settling is not None


def test_a_gap_of_exactly_the_smallest_difference_counts_however_it_is_rounded() -> None:
    accuracies = (0.9148, 0.9098)
    assert accuracies[0] - accuracies[1] < 0.005
    assert decide(replace(CLEAR, accuracies=accuracies), pairs=1, smallest=0.005).decision is Decision.BETTER


def test_three_seeds_do_for_a_gap_above_two_points() -> None:
    wide = replace(CLEAR, accuracies=(0.95, 0.92), seeds=(3, 3))
    assert decide(wide, pairs=1).decision is Decision.BETTER
    assert decide(replace(wide, seeds=(2, 3)), pairs=1).decision is Decision.NO_WINNER
    assert decide(replace(wide, accuracies=(0.94, 0.92)), pairs=1).decision is Decision.NO_WINNER


def test_a_gap_within_the_smallest_difference_is_equivalence() -> None:
    alike = replace(
        CLEAR,
        accuracies=(0.921, 0.92),
        p_adjusted=0.4,
        new_pictures=Gap(0.001, 0.002, 100.0, 4e-6, (QUIET, QUIET), 10_000),
    )
    assert decide(alike, pairs=1).decision is Decision.EQUIVALENT
    assert decide(alike, pairs=1, smallest=0.004).decision is Decision.NO_WINNER
    assert decide(replace(alike, seeds=(4, 5)), pairs=1).decision is Decision.NO_WINNER
    # Shown to be different, and shown to be too little to count.
    assert decide(replace(alike, p_adjusted=0.001), pairs=1).decision is Decision.EQUIVALENT


@pytest.mark.parametrize("agree", [True, False])
def test_the_p_of_a_pair_is_the_larger_of_seeds_and_pictures(agree: bool) -> None:
    # Candidates that find the same pictures difficult differ as surely on new ones; those that do not, less surely.
    generator = np.random.default_rng(0)
    first, second = bits(0.92, seed=1, pictures=2000), bits(0.9, seed=2, pictures=2000)
    second = second if agree else second[:, generator.permutation(2000)]
    (pair,) = compare([contender("a", first), contender("b", second)])
    by_seeds, by_pictures = welch(first.mean(axis=1), second.mean(axis=1)), gap_on_new_pictures(first, second)
    assert by_seeds is not None and by_pictures is not None  # noqa: PT018
    assert pair.p == pair.p_adjusted == max(by_seeds.p, by_pictures.p)
    assert (by_pictures.p > 100 * by_seeds.p) == (not agree)


def test_all_pairs_are_compared_and_adjusted_for_their_number() -> None:
    people = [contender(name, bits(0.9, seed=place, pictures=500)) for place, name in enumerate("abcd")]
    found = compare(people)
    assert len(found) == 6
    assert all(pair.gap >= 0 for pair in found)
    smallest = min(found, key=lambda pair: pair.p or 0)
    assert smallest.p_adjusted == pytest.approx(min(1.0, 6 * (smallest.p or 0)))


def test_single_networks_are_compared_by_mcnemar_alone() -> None:
    (pair,) = compare([contender("a", bits(0.9, seeds=1)), contender("b", bits(0.8, seeds=5))])
    assert pair.networks is not None
    assert pair.networks.only_first > pair.networks.only_second
    assert (pair.welch, pair.p, pair.p_adjusted, pair.new_pictures) == (None, None, None, None)
    judged = decide(pair, pairs=0)
    assert judged.decision is Decision.NO_WINNER
    assert judged.settling is not None
    assert (judged.settling.seeds, judged.settling.at_least) == (3, True)


def test_without_predictions_seeds_are_compared_and_nothing_is_decided() -> None:
    (pair,) = compare([contender("a", test=[0.9] * 4 + [0.91]), contender("b", test=[0.5] * 4 + [0.51])])
    assert pair.p is not None
    assert pair.p < 1e-6
    assert decide(pair, pairs=1).decision is Decision.NO_WINNER


def test_a_test_set_of_one_picture_decides_nothing() -> None:
    one = np.ones((5, 1), bool)
    (pair,) = compare([contender("a", one), contender("b", ~one)])
    assert decide(pair, pairs=1).decision is Decision.NO_WINNER
