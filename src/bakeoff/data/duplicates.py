"""Pictures that are there more than once: pixel for pixel, or nearly.

Exact copies are found by a hash of their pixels. Near copies are found in two steps, as CleanVision does
(https://github.com/cleanlab/cleanvision): a hash of 8x8 bits brings together pictures that may be alike, and a second
look at the pixels decides. The hash is the Haar wavelet hash: which of 8x8 blocks are brighter than half of them.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.errors import StudyError
from bakeoff.files import write_atomically

NEAR = 0.03
"""Mean absolute difference, in shares of the range of a pixel, below which two pictures count as nearly the same."""

GRID = 8

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

UNSURE = 2
"""Blocks on each side of the median that may change sides when a picture is compressed again."""

COMPARED = 16
"""Others of the same hash that a picture is compared with at most, the next ones in brightness: many blank pictures
share one hash, and comparing all with all would take the square of their number."""

CHUNK_BYTES = 4 * 2**20
"""Pixels looked at at once."""

FILE = "duplicates.npz"
FORMAT = 1

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
        found = _found(_splits(dataset), on_progress or (lambda done, total: None))
        if dataset.folder.is_dir():
            _keep(kept, dataset.fingerprint, found)
    return found


def _splits(dataset: Dataset) -> list[Pictures]:
    return [split for split in (dataset.train, dataset.validation, dataset.test) if split is not None]


def _read(path: Path, fingerprint: str) -> Duplicates | None:
    """Read what was found before, or return None where that is missing, damaged or of other pictures."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["of"]) != _name(fingerprint):
                return None
            return Duplicates(stored["groups"], stored["near"])
    except (OSError, ValueError, KeyError, EOFError):
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


def _found(splits: list[Pictures], tell: Callable[[int, int], None]) -> Duplicates:
    total = sum(len(split) for split in splits)
    names: dict[bytes, int] = {}
    groups = np.empty(total, dtype=np.int64)
    firsts: list[int] = []  # the first picture of each group
    blocks: list[torch.Tensor] = []
    done = 0
    for pixels in _chunks(splits):
        fresh = []
        for place, picture in enumerate(pixels):
            group = names.setdefault(hashlib.blake2b(picture, digest_size=16).digest(), len(names))
            groups[done + place] = group
            if group == len(firsts):
                firsts.append(done + place)
                fresh.append(place)
        blocks.append(_blocks(pixels[fresh]))
        done += len(pixels)
        tell(done, total)
    near = _near(torch.cat(blocks), np.array(firsts), splits)
    return Duplicates(groups, near)


def _chunks(splits: list[Pictures]) -> Iterator[NDArray[np.uint8]]:
    for split in splits:
        step = max(1, CHUNK_BYTES // max(1, int(np.prod(split.pixels.shape[1:]))))
        for start in range(0, len(split), step):
            yield np.ascontiguousarray(split.pixels[start : start + step])


def _blocks(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Return the mean colours of 8x8 blocks, shape (pictures, 3, 8, 8), in [0, 255]."""
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return F.adaptive_avg_pool2d(planes, GRID)


def _near(blocks: torch.Tensor, firsts: Groups, splits: list[Pictures]) -> Groups:
    """Return the pairs of groups, shape (pairs, 2), whose first pictures are nearly the same."""
    pairs = _alike(blocks)
    # The means over blocks differ by no more than the pixels do: most pairs are settled without looking at those.
    rough = (blocks[pairs[:, 0]] - blocks[pairs[:, 1]]).abs().mean(dim=(1, 2, 3)) / 255
    pairs = pairs[(rough < NEAR).numpy()]
    close = [_difference(splits, firsts[a], firsts[b]) < NEAR for a, b in pairs]
    near: Groups = pairs[np.array(close, dtype=bool)]
    return near


def _alike(blocks: torch.Tensor) -> Groups:
    """Return the pairs, shape (pairs, 2), of pictures with one hash, or with one but for blocks that are near its median."""
    brightness = torch.einsum("nchw,c->nhw", blocks, torch.tensor(LUMA)).flatten(1).numpy()
    order = np.argsort(brightness, axis=1, kind="stable")
    half = GRID * GRID // 2
    bit = np.uint64(1) << np.arange(GRID * GRID, dtype=np.uint64)
    hashes = bit[order[:, half:]].sum(axis=1, dtype=np.uint64)
    ranked = np.lexsort((brightness.mean(axis=1), hashes))
    ordered = hashes[ranked]
    after_itself = np.argsort(ranked) + 1
    pairs = _following(ranked, after_itself, np.searchsorted(ordered, hashes, side="right"))
    for darker, brighter in itertools.product(range(UNSURE), repeat=2):
        swapped = hashes ^ bit[order[:, half - 1 - darker]] ^ bit[order[:, half + brighter]]
        first, end = (np.searchsorted(ordered, swapped, side=side) for side in ("left", "right"))
        pairs += _following(ranked, first, end)
    found = np.concatenate([np.empty((0, 2), dtype=np.int64), *pairs])
    return np.unique(np.sort(found, axis=1), axis=0)


def _following(ranked: Groups, first: Groups, end: Groups) -> list[Groups]:
    """Return pairs, each of shape (pairs, 2), of every picture with those at the ranks from `first` to `end`."""
    pairs = []
    for step in range(COMPARED):
        there = np.flatnonzero(first + step < end)
        pairs.append(np.stack([there, ranked[first[there] + step]], axis=1))
    return pairs


def _difference(splits: list[Pictures], first: int, second: int) -> float:
    """Return the mean absolute difference of two pictures, in shares of a pixel's range."""
    one, other = (_picture(splits, index).astype(np.int16) for index in (first, second))
    return float(np.abs(one - other).mean()) / 255


def _picture(splits: list[Pictures], index: int) -> NDArray[np.uint8]:
    for split in splits:
        if index < len(split):
            return np.asarray(split.pixels[index])
        index -= len(split)
    raise IndexError(index)
