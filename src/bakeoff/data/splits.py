"""Dividing pictures: stratified by class, by seed, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bakeoff.errors import DataError

if TYPE_CHECKING:
    from bakeoff.data.dataset import Dataset
    from bakeoff.spec import RunSpec

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SplitIndices:
    """Which pictures of a data set's splits take part in a run."""

    train: Indices
    validation: Indices
    """Into the training split, or into the data set's own validation split if it has one; may be empty."""

    test: Indices


def split_indices(dataset: Dataset, run: RunSpec) -> SplitIndices:
    """Return the pictures of each split: the limit taken first, then the validation split off the training set."""
    train = np.arange(len(dataset.train), dtype=np.int64)
    test = np.arange(len(dataset.test), dtype=np.int64)
    if run.limit is not None and run.limit < len(train):
        share = run.limit / len(train)
        train = stratified_subset(dataset.train.labels, run.limit, run.split_seed)
        test = stratified_subset(
            dataset.test.labels, max(len(dataset.classes), round(share * len(test))), run.split_seed
        )
    if dataset.validation is not None:
        return SplitIndices(train, np.arange(len(dataset.validation), dtype=np.int64), test)
    if run.validation == 0:
        return SplitIndices(train, np.empty(0, dtype=np.int64), test)
    kept, held_out = split_validation(dataset.train.labels[train], run.validation, run.split_seed)
    return SplitIndices(train[kept], train[held_out], test)


def split_validation(labels: Indices, count: int, seed: int) -> tuple[Indices, Indices]:
    """Divide pictures into those to train on and those to validate on.

    Each class gives its share, rounded so that the shares add up (largest remainder), and at least one picture to
    each side.

    Args:
        labels: Class of each picture, shape (pictures,).
        count: How many to validate on.
        seed: Decides which.

    Returns:
        Ascending indices to train on, and to validate on: disjoint, and together all.

    Raises:
        DataError: If a class has fewer than two pictures, or the count cannot give each class one on each side.
    """
    validation = _chosen(labels, count, seed, least=1, leave=1)
    kept = np.ones(len(labels), dtype=bool)
    kept[validation] = False
    return np.flatnonzero(kept).astype(np.int64), validation


def stratified_subset(labels: Indices, count: int, seed: int) -> Indices:
    """Return ascending indices of about the same shares of each class, `count` in all (all of them if fewer).

    Each class gives at least one picture, and two where it has them and the count allows, so that the subset can be
    divided again.

    Args:
        labels: Class of each picture, shape (pictures,).
        count: How many to choose; at least one of each class.
        seed: Decides which.

    Raises:
        DataError: If the count is below the number of classes.
    """
    if count >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    sizes = np.unique(labels, return_counts=True)[1]
    return _chosen(labels, count, seed, least=2 if count >= np.minimum(sizes, 2).sum() else 1, leave=0)


def _chosen(labels: Indices, count: int, seed: int, *, least: int, leave: int) -> Indices:
    classes, sizes = np.unique(labels, return_counts=True)
    if not len(classes) <= count <= len(labels) - leave * len(classes) or sizes.min() <= leave:
        raise DataError(
            f"a stratified choice must take at least one picture of each class and leave {leave}, but {count} of "
            f"{len(labels)} pictures in {len(classes)} classes (smallest: {sizes.min()}) were asked for; "
            "ask for another number"
        )
    takes = _apportioned(sizes, count, np.minimum(sizes - leave, least), sizes - leave)
    # The bits of PCG64 are the same in every version of numpy and on every machine; what its generators make of them
    # (permutations among it) is not promised to be.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    by_class = order[np.argsort(labels[order], kind="stable")]
    firsts = np.cumsum(sizes) - sizes
    chosen = [by_class[first : first + take] for first, take in zip(firsts, takes, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _apportioned(sizes: Indices, count: int, least: Indices, most: Indices) -> Indices:
    """Return how many to take of each class: in proportion, by largest remainder, within [least, most]."""
    exact = count * sizes / sizes.sum()
    takes: Indices = np.clip(np.floor(exact).astype(np.int64), least, most)
    while takes.sum() != count:
        missing = int(np.sign(count - takes.sum()))
        possible = takes < most if missing > 0 else takes > least
        # Farthest behind its exact share goes first (farthest ahead when taking away); ties by class order.
        behind = np.where(possible, (exact - takes) * missing, -np.inf)
        takes[int(np.argmax(behind))] += missing
    return takes
