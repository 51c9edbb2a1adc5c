"""Splits are disjoint, complete, stratified and the same everywhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bakeoff.data import split_validation, stratified_subset
from bakeoff.errors import DataError


def shuffled(sizes: list[int], seed: int) -> NDArray[np.int64]:
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    np.random.default_rng(seed).shuffle(labels)
    return labels


Case = tuple[NDArray[np.int64], int]


@st.composite
def divisible(draw: st.DrawFn) -> Case:
    """Labels with at least two pictures a class, and a count that gives each class one on each side."""
    sizes = draw(st.lists(st.integers(2, 60), min_size=2, max_size=12))
    count = draw(st.integers(len(sizes), sum(sizes) - len(sizes)))
    return shuffled(sizes, draw(st.integers(0, 9))), count


@given(divisible(), st.integers(0, 2**32 - 1))
def test_a_split_is_disjoint_and_complete_and_of_the_size_asked_for(case: Case, seed: int) -> None:
    labels, count = case
    train, validation = split_validation(labels, count, seed)
    assert len(validation) == count
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert list(train) == sorted(train)
    assert list(validation) == sorted(validation)


@given(divisible(), st.integers(0, 9))
def test_each_class_gives_its_share_within_one_picture(case: Case, seed: int) -> None:
    labels, count = case
    _, validation = split_validation(labels, count, seed)
    sizes, taken = np.bincount(labels), np.bincount(labels[validation], minlength=len(np.bincount(labels)))
    assert (taken >= 1).all()
    assert (taken < sizes).all()
    # A class is off by a whole picture or more only if another had to be given its one picture, or left its one.
    exact = [Fraction(int(count * size), len(labels)) for size in sizes]
    bound = any(share < 1 or share > size - 1 for share, size in zip(exact, sizes, strict=True))
    assert bound or all(abs(int(number) - share) < 1 for number, share in zip(taken, exact, strict=True))


@given(divisible(), st.integers(0, 9))
def test_the_same_seed_gives_the_same_split(case: Case, seed: int) -> None:
    labels, count = case
    first, second = split_validation(labels, count, seed), split_validation(labels.copy(), count, seed)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_another_seed_gives_another_split() -> None:
    labels = shuffled([100, 100], 0)
    assert set(split_validation(labels, 40, 0)[1]) != set(split_validation(labels, 40, 1)[1])


def test_every_picture_is_equally_likely_to_be_held_out() -> None:
    labels = shuffled([10, 10], 0)
    times = np.zeros(20)
    for seed in range(2000):
        times[split_validation(labels, 6, seed)[1]] += 1
    # 2000 draws with p = 0.3: a standard deviation of 20.5; 5 of them for 20 pictures at once
    assert np.abs(times - 600).max() < 5 * 20.5


def test_a_split_is_the_same_on_every_machine_and_version() -> None:
    labels = np.arange(12, dtype=np.int64) % 3
    raw = np.random.PCG64(0).random_raw(12)
    # The doubles that default_rng(0).random(3) has given since numpy 1.17.
    published = [0.6369616873214543, 0.2697867137638703, 0.04097352393619469]
    assert [(int(number) >> 11) * 2.0**-53 for number in raw[:3]] == published
    # Each class gives its picture with the smallest number.
    expected = sorted(int(np.argmin(np.where(labels == one, raw, np.iinfo(np.uint64).max))) for one in range(3))
    assert list(split_validation(labels, 3, 0)[1]) == expected


def test_largest_remainders_get_the_pictures_that_are_left_over() -> None:
    labels = shuffled([50, 31, 19], 0)
    taken = np.bincount(labels[split_validation(labels, 10, 0)[1]])
    assert list(taken) == [5, 3, 2]  # exact shares 5.0, 3.1, 1.9


@pytest.mark.parametrize(("sizes", "count"), [([5, 1], 2), ([5, 5], 1), ([5, 5], 9), ([5, 5], 0)])
def test_a_split_that_leaves_a_class_without_pictures_is_refused(sizes: list[int], count: int) -> None:
    with pytest.raises(DataError, match="ask for another number"):
        split_validation(shuffled(sizes, 0), count, 0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.data())
def test_a_subset_has_pictures_of_every_class(sizes: list[int], data: st.DataObject) -> None:
    labels = shuffled(sizes, 1)
    count = data.draw(st.integers(len(sizes), 2 * len(labels)))
    chosen = stratified_subset(labels, count, 3)
    assert len(set(chosen)) == len(chosen) == min(count, len(labels))
    taken = np.bincount(labels[chosen], minlength=len(sizes))
    assert (taken >= 1).all()
    if count >= np.minimum(sizes, 2).sum():
        assert (taken >= np.minimum(sizes, 2)).all()


def test_a_subset_of_uneven_classes_can_be_split_again() -> None:
    labels = shuffled([1000, 5], 0)
    subset = labels[stratified_subset(labels, 50, 0)]
    assert set(subset[split_validation(subset, 5, 0)[1]]) == {0, 1}


def test_a_subset_below_one_picture_a_class_is_refused() -> None:
    with pytest.raises(DataError, match="2 of 15"):
        stratified_subset(shuffled([5, 5, 5], 0), 2, 0)
