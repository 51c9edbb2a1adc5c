"""The pictures that a data set has more than once, by name: those that the audit counts, to look at and to remove."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bakeoff.data import cifar, folder
from bakeoff.data.cache import cache_root
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.sources import KNOWN_SOURCES, _say_nothing, place_of, prepare
from bakeoff.records import OnStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Two pictures that are the same."""

    first: str
    """A path below the data set's folder; of a data set without files, its split and place from 0."""

    second: str
    exact: bool
    """Whether they are equal pixel for pixel; else but for compression, brightness, a pixel's shift or mirroring."""

    across: bool
    """Whether they are in two splits that came with the data set, or were split off for the test."""

    contradicting: bool
    """Whether they are in two classes."""


def named_copies(
    source: str, *, data_dir: Path | None = None, cache_dir: Path | None = None, on_progress: OnStage | None = None
) -> list[Copy]:
    """Return the pictures that are there more than once, each with the first of its kind: those across splits first.

    Raises:
        SpecError: If there is nothing of that name.
        DataError: If the pictures cannot be used.
    """
    from bakeoff.data.duplicates import find_duplicates  # torch loads here

    tell = on_progress or _say_nothing
    dataset = prepare(source, data_dir=data_dir, cache_dir=cache_dir, on_progress=on_progress)
    found = find_duplicates(dataset, lambda done, total: tell("looking for copies of pictures", done, total))
    names, splits = _names(source, dataset, cache_dir, tell)
    labels = np.concatenate([pictures.labels for pictures in _splits(dataset).values()])
    _, firsts = np.unique(found.groups, return_index=True)
    others = np.setdiff1d(np.arange(len(found.groups)), firsts)
    pairs = [(int(firsts[found.groups[place]]), int(place), True) for place in others]
    pairs += [(int(firsts[one]), int(firsts[other]), False) for one, other in found.near]
    copies = [
        Copy(
            first=names[one],
            second=names[other],
            exact=exact,
            across=splits[one] != splits[other],
            contradicting=bool(labels[one] != labels[other]),
        )
        for one, other, exact in pairs
    ]
    return sorted(copies, key=lambda copy: (not copy.across, not copy.exact, not copy.contradicting))


def _splits(dataset: Dataset) -> dict[str, Pictures]:
    every = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {split: pictures for split, pictures in every.items() if pictures is not None}


def _names(source: str, dataset: Dataset, cache_dir: Path | None, tell: OnStage) -> tuple[list[str], list[str]]:
    """Return each picture's name and split, in the order in which copies count them."""
    splits = [split for split, pictures in _splits(dataset).items() for _ in range(len(pictures))]
    place = None if source in KNOWN_SOURCES else place_of(source, cache_root(cache_dir), tell)
    if place is None or cifar.recognised(place) is not None:
        return [f"{split} {at}" for split, pictures in _splits(dataset).items() for at in range(len(pictures))], splits
    layout = folder.scan(place)
    return [
        folder.shown(Path(path), layout.root) for split in _splits(dataset) for path, _ in layout.files[split]
    ], splits
