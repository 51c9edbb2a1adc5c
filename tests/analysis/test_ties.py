"""Tie groups, against a published example and all groups tried one by one; rank intervals."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.analysis.ties import RANK_DRAWS, letters, rank_intervals, tie_groups
from tests.stored import bits


def largest_groups(members: str, separated: Collection[tuple[str, str]]) -> set[frozenset[str]]:
    """Every group without a separated pair that lies within no other, found by trying all."""
    apart = {frozenset(pair) for pair in separated}
    free = [
        frozenset(group)
        for size in range(1, len(members) + 1)
        for group in itertools.combinations(members, size)
        if not any(frozenset(pair) in apart for pair in itertools.combinations(group, 2))
    ]
    return {group for group in free if not any(group < other for other in free)}


@given(st.sets(st.sampled_from(list(itertools.combinations("abcdef", 2)))))
def test_the_groups_are_the_largest_without_a_separated_pair(separated: set[tuple[str, str]]) -> None:
    found = tie_groups("abcdef", separated)
    assert {frozenset(group) for group in found} == largest_groups("abcdef", separated)
    assert len(found) == len({frozenset(group) for group in found})


@given(st.sets(st.sampled_from(list(itertools.combinations("abcdef", 2)))))
def test_two_candidates_share_a_letter_unless_one_is_better(separated: set[tuple[str, str]]) -> None:
    shown = letters(tie_groups("abcdef", separated))
    for one, other in itertools.combinations("abcdef", 2):
        assert bool(set(shown[one]) & set(shown[other])) == ((one, other) not in separated)


def test_the_example_of_piepho_2004() -> None:
    # Example 3: eight treatments, five separated pairs.
    separated = [("1", "7"), ("1", "8"), ("2", "4"), ("2", "5"), ("3", "5")]
    assert {frozenset(group) for group in tie_groups("12345678", separated)} == largest_groups("12345678", separated)


def test_ties_are_not_transitive() -> None:
    groups = tie_groups("abc", [("a", "c")])
    assert groups == [["a", "b"], ["b", "c"]]
    assert letters(groups) == {"a": "a", "b": "ab", "c": "b"}


def test_no_candidates_and_one_have_groups_too() -> None:
    assert tie_groups("", []) == []
    assert letters(tie_groups("a", [])) == {"a": "a"}


def test_more_groups_than_letters_are_told_apart() -> None:
    members = [f"m{number:02}" for number in range(40)]
    shown = letters(tie_groups(members, list(itertools.combinations(members, 2))))
    assert len(set(shown.values())) == 40
    assert shown["m39"] == "an"


def test_candidates_far_apart_have_one_rank_each_and_equal_ones_share_them() -> None:
    far = rank_intervals([bits(accuracy, seed=place) for place, accuracy in enumerate((0.95, 0.9, 0.8))])
    assert far == [(1, 1), (2, 2), (3, 3)]
    generator = np.random.default_rng(0)
    alike = [generator.random((3, 300)) < 0.8 for _ in range(3)]
    assert rank_intervals(alike)[0] == (1, 3)


def test_rank_intervals_are_the_same_each_time() -> None:
    generator = np.random.default_rng(0)
    people = [generator.random((5, 200)) < share for share in (0.8, 0.78, 0.7)]
    assert rank_intervals(people) == rank_intervals(people)


@pytest.mark.parametrize("seeds", [2, 5])
def test_drawing_one_seed_less_makes_the_spread_of_a_mean_what_it_is(seeds: int) -> None:
    # Whole networks that are right or wrong everywhere: all spread is between seeds, s^2 / k.
    generator = np.random.default_rng(0)
    values = generator.random(seeds)
    drawn = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), 100_000) @ values / (seeds - 1)
    assert drawn.var() == pytest.approx(values.var(ddof=1) / seeds, rel=0.02)


def test_rank_intervals_are_those_of_draws_taken_one_by_one() -> None:
    source = np.random.default_rng(1)
    people = [source.random((seeds, 61)) < share for seeds, share in ((5, 0.8), (3, 0.75), (1, 0.7))]
    generator = np.random.default_rng(0)
    drawn = [np.bincount(generator.integers(61, size=61), minlength=61) for _ in range(RANK_DRAWS)]
    means = []
    for one in people:
        by_seed = np.array([one.astype(float) @ counts for counts in drawn]) / 61
        taken = max(1, len(one) - 1)
        weights = generator.multinomial(taken, np.full(len(one), 1 / len(one)), RANK_DRAWS) / taken
        means.append((by_seed * weights).sum(axis=1))
    expected = []
    for mine in means:
        ranks = sorted(1 + sum(other > mine + 1e-9 for other in means))
        expected.append((ranks[24], ranks[974]))  # 2.5 and 97.5 % of a thousand
    assert rank_intervals(people) == expected
