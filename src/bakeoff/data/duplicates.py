"""Pictures that are there more than once: pixel for pixel, by a hash of their pixels, or nearly (`near_copies`)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.near_copies import Small, joined, near_copies, small
from bakeoff.errors import StudyError
from bakeoff.files import DAMAGED_ARRAYS, write_atomically

CHUNK_BYTES = 4 * 2**20
"""Pixels looked at at once."""

FILE = "duplicates.npz"
FORMAT = 2

Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Which pictures of a data set are the same. Pictures are counted through its splits: train, validation, test."""

    groups: Groups
    """Shape (pictures,): equal numbers for pictures that are equal pixel for pixel."""

    near: Groups
    """Shape (pairs, 2): groups whose pictures are nearly the same."""


def find_duplicates(dataset: Dataset, on_progress: Callable[[int, int], None] | None = None) -> Duplicates:
    """Find the pictures that a data set has more than once, in time proportional to their number.

    What is found is kept beside the decoded pictures and read from there the next time.

    Args:
        dataset: The pictures.
        on_progress: Told how many pictures have been looked at, and of how many.
    """
    kept = dataset.folder / FILE
    found = _read(kept, dataset.fingerprint)
    if found is None:
        found = _found(_splits(dataset), dataset.flippable, on_progress or (lambda done, total: None))
        if dataset.folder.is_dir():
            _keep(kept, dataset.fingerprint, found)
    return found


def _splits(dataset: Dataset) -> list[Pictures]:
    return [split for split in (dataset.train, dataset.validation, dataset.test) if split is not None]


def _read(path: Path, fingerprint: str) -> Duplicates | None:
    """Read what was found before, or return None where that is missing, damaged or of other pictures."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["of"]) != _name(fingerprint):
                return None
            return Duplicates(stored["groups"], stored["near"])
    except DAMAGED_ARRAYS:
        return None


def _keep(path: Path, fingerprint: str, found: Duplicates) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, of=_name(fingerprint), groups=found.groups, near=found.near)
    try:
        write_atomically(path, buffer.getvalue())
    except StudyError:
        return  # a cache that others share may be read-only: then it is found again the next time


def _name(fingerprint: str) -> str:
    return json.dumps([FORMAT, fingerprint])


def _found(splits: list[Pictures], flippable: bool, tell: Callable[[int, int], None]) -> Duplicates:
    total = sum(len(split) for split in splits)
    names: dict[bytes, int] = {}
    groups = np.empty(total, dtype=np.int64)
    parts: list[Small] = []  # the first picture of each group
    done = 0
    for pixels in _chunks(splits):
        fresh = []
        for place, picture in enumerate(pixels):
            known = len(names)
            groups[done + place] = names.setdefault(hashlib.blake2b(picture, digest_size=16).digest(), known)
            if len(names) > known:
                fresh.append(place)
        parts.append(small(pixels[fresh], flippable=flippable))
        done += len(pixels)
        tell(done, total)
    return Duplicates(groups, near_copies(joined(parts)))


def _chunks(splits: list[Pictures]) -> Iterator[NDArray[np.uint8]]:
    for split in splits:
        step = max(1, CHUNK_BYTES // max(1, int(np.prod(split.pixels.shape[1:]))))
        for start in range(0, len(split), step):
            yield np.ascontiguousarray(split.pixels[start : start + step])
