"""Decoded pictures, memory-mapped: what the rest of bakeoff knows of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one split."""

    pixels: NDArray[np.uint8]
    """Shape (pictures, size, size, 3), red, green, blue; memory-mapped, read-only."""

    labels: NDArray[np.int64]
    """Shape (pictures,): indices into the data set's classes."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set in the cache, ready to train on."""

    name: str
    """`digits`, `cifar10`, ... or the folder's name."""

    folder: Path
    """Its entry in the cache; `open_cached(folder)` opens it again in another process."""

    fingerprint: str
    """A hash of the decoded pixels, labels and class names: equal content, equal fingerprint."""

    classes: tuple[str, ...]
    train: Pictures
    validation: Pictures | None
    """A split that came with the pictures; None when validation is to be split off `train`."""

    test: Pictures
    mean: tuple[float, float, float]
    """Mean of each channel over all training pixels, scaled to [0, 1]."""

    std: tuple[float, float, float]
    flippable: bool
    """Whether a mirrored picture still shows its class."""

    notes: tuple[str, ...]
    """What a reader of the results should know of these pictures: conversions, splits made here, imbalance."""

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.train.pixels.shape[1])
