"""What a study's pictures are like: counts, copies between splits, and how far a linear classifier comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bakeoff.audit.evidence import Baseline, DataProbe, Overlap
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.splits import SplitIndices
from bakeoff.errors import StudyError
from bakeoff.files import write_atomically
from bakeoff.spec import content_id

if TYPE_CHECKING:
    from bakeoff.data.duplicates import Duplicates

Indices = NDArray[np.int64]

BASELINE_FORMAT = 1


def data_probe(
    dataset: Dataset, indices: SplitIndices, on_progress: Callable[[int, int], None] | None = None
) -> DataProbe:
    """Look at the pictures that take part in a study."""
    from bakeoff.data.duplicates import find_duplicates  # torch loads here

    places = _places(dataset, indices)
    held_out = dataset.train if dataset.validation is None else dataset.validation
    splits = {
        "train": (dataset.train, indices.train),
        "validation": (held_out, indices.validation),
        "test": (dataset.test, indices.test),
    }
    splits = {name: (pictures, chosen) for name, (pictures, chosen) in splits.items() if len(chosen)}
    labels = np.concatenate([pictures.labels[chosen] for pictures, chosen in splits.values()])
    found = find_duplicates(dataset, on_progress)
    pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
    return DataProbe(
        name=dataset.name,
        size=dataset.size,
        classes=dataset.classes,
        own_validation=dataset.validation is not None,
        counts={name: _by_class(pictures, chosen, dataset) for name, (pictures, chosen) in splits.items()},
        constant={name: _constant(pictures, chosen) for name, (pictures, chosen) in splits.items()},
        overlaps=tuple(
            overlap(found, places[first], places[second], first, second)
            for first, second in pairs
            if first in splits and second in splits
        ),
        contradicting=contradicting(found.groups[np.concatenate([places[name] for name in splits])], labels),
    )


def _places(dataset: Dataset, indices: SplitIndices) -> dict[str, Indices]:
    """Return where each split's pictures are when a data set's are counted through."""
    after_train = len(dataset.train)
    own = 0 if dataset.validation is None else len(dataset.validation)
    return {
        "train": indices.train,
        "validation": indices.validation + (after_train if own else 0),
        "test": indices.test + after_train + own,
    }


def overlap(found: Duplicates, first: Indices, second: Indices, name: str, other: str) -> Overlap:
    """Count the pictures of one split that another holds too.

    Args:
        found: The copies in the data set.
        first: Places of the pictures that are learnt from or chosen by, shape (pictures,).
        second: Places of the pictures that are counted.
        name: Of the first split.
        other: Of the second.
    """
    theirs, ours = found.groups[first], found.groups[second]
    same = np.isin(ours, theirs)
    both_ways = np.concatenate([found.near, found.near[:, ::-1]])
    near = np.isin(ours, both_ways[np.isin(both_ways[:, 0], theirs), 1]) & ~same
    return Overlap(first=name, second=other, same=int(same.sum()), near=int(near.sum()), pictures=len(second))


def contradicting(groups: Indices, labels: Indices) -> int:
    """Return how many pictures have an exact copy with another label."""
    _, group = np.unique(groups, return_inverse=True)
    kinds = np.unique(np.stack([group, labels], axis=1), axis=0)[:, 0]
    return int((np.bincount(kinds)[group] > 1).sum())


def _by_class(pictures: Pictures, chosen: Indices, dataset: Dataset) -> tuple[int, ...]:
    counts = np.bincount(pictures.labels[chosen], minlength=len(dataset.classes))
    return tuple(int(count) for count in counts)


def _constant(pictures: Pictures, chosen: Indices) -> int:
    """Return how many pictures show one colour everywhere."""
    size = pictures.pixels.shape[1]
    # Few have the same colour at the corner, in the middle and between: only those are looked at whole.
    first, *others = (pictures.pixels[chosen, place, place] for place in (0, size // 4, size // 2))
    alike = chosen[np.logical_and.reduce([(first == other).all(axis=1) for other in others])]
    return sum(
        int((batch == batch[:, :1, :1]).all(axis=(1, 2, 3)).sum())
        for batch in (pictures.pixels[alike[start : start + 512]] for start in range(0, len(alike), 512))
    )


def baseline(dataset: Dataset, indices: SplitIndices) -> Baseline:
    """Return how well a linear softmax does on a study's pictures; kept beside the decoded pictures."""
    from bakeoff.training.baseline import linear_score

    name = content_id([BASELINE_FORMAT, dataset.fingerprint, indices.train.tolist(), indices.test.tolist()])
    kept = dataset.folder / f"linear-{name}.json"
    try:
        return Baseline(**json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there yet, or damaged
        scored = linear_score(dataset, indices.train, indices.test)
    found = Baseline(
        accuracy=scored.accuracy,
        train_pictures=scored.train_pictures,
        test_pictures=scored.test_pictures,
        size=scored.side,
    )
    if dataset.folder.is_dir():
        try:
            write_atomically(kept, json.dumps(asdict(found)).encode())
        except StudyError:
            return found  # a cache that others share may be read-only
    return found
