"""Dividing pictures: stratified by class, by seed, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bakeoff.errors import DataError

Indices = NDArray[np.int64]


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
    validation = _chosen(labels, count, seed, leave=1)
    kept = np.ones(len(labels), dtype=bool)
    kept[validation] = False
    return np.flatnonzero(kept).astype(np.int64), validation


def stratified_subset(labels: Indices, count: int, seed: int) -> Indices:
    """Return ascending indices of about the same shares of each class, `count` in all (all of them if fewer).

    Args:
        labels: Class of each picture, shape (pictures,).
        count: How many to choose; at least one of each class.
        seed: Decides which.

    Raises:
        DataError: If the count is below the number of classes.
    """
    if count >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    return _chosen(labels, count, seed, leave=0)


def _chosen(labels: Indices, count: int, seed: int, *, leave: int) -> Indices:
    classes, sizes = np.unique(labels, return_counts=True)
    if not len(classes) <= count <= len(labels) - leave * len(classes) or sizes.min() <= leave:
        raise DataError(
            f"a stratified choice must take at least one picture of each class and leave {leave}, but {count} of {len(labels)} "
            f"pictures in {len(classes)} classes (smallest: {sizes.min()}) were asked for; ask for another number"
        )
    takes = _apportioned(sizes, count, leave)
    random = np.random.default_rng(seed)
    chosen = [random.permutation(np.flatnonzero(labels == one))[:take] for one, take in zip(classes, takes, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _apportioned(sizes: Indices, count: int, leave: int) -> Indices:
    """Return how many to take of each class: in proportion, by largest remainder, within [1, size - leave]."""
    exact = count * sizes / sizes.sum()
    takes = np.clip(np.floor(exact).astype(np.int64), 1, sizes - leave)
    while takes.sum() != count:
        missing = int(np.sign(count - takes.sum()))
        possible = takes < sizes - leave if missing > 0 else takes > 1
        # Farthest behind its exact share goes first (farthest ahead when taking away); ties by class order.
        behind = np.where(possible, (exact - takes) * missing, -np.inf)
        takes[int(np.argmax(behind))] += missing
    return takes
