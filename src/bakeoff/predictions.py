"""What a run predicted for each test picture: the raw material of every comparison between two candidates."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.errors import StudyError
from bakeoff.files import DAMAGED_ARRAYS, write_atomically

REPAIR = "restore the folder `predictions` from a copy of the study, or delete the study and run it again"

LARGEST = 2**31
"""Bytes of one array: the logits of a million pictures of a thousand classes."""

MOST_CLASSES = 30_000
"""More than ImageNet's 21,841."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The test pictures of a run as its network saw them."""

    logits: NDArray[np.float16]
    """Shape (pictures, classes)."""

    predicted: NDArray[np.int64]
    """Shape (pictures,): the class of the largest logit before rounding to float16."""

    labels: NDArray[np.int64]
    """Shape (pictures,): the true class."""

    indices: NDArray[np.int64]
    """Shape (pictures,): which pictures of the test split."""


def save_predictions(
    path: Path, logits: NDArray[np.float32], indices: NDArray[np.int64], labels: NDArray[np.int64]
) -> None:
    """Write a run's test predictions, logits as float16.

    Raises:
        StudyError: If the disk is full or the folder cannot be written to.
    """
    largest = np.finfo(np.float16).max
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        logits=logits.clip(-largest, largest).astype(np.float16),
        predicted=logits.argmax(axis=1).astype(np.int64),
        labels=labels,
        indices=indices,
    )
    write_atomically(path, buffer.getvalue())


def load_predictions(path: Path) -> Predictions:
    """Read what `save_predictions` wrote.

    Raises:
        StudyError: If the file is missing or damaged.
    """
    return Predictions(*_arrays(path, ("logits", "predicted", "labels", "indices")))


def load_correct(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Read which pictures a run got right, without its logits.

    Returns:
        By picture, in the order of the test split: which picture it is, its true class, whether the run was right.

    Raises:
        StudyError: If the file is missing or damaged.
    """
    indices, labels, predicted = load_predicted(path)
    return indices, labels, predicted == labels


def load_predicted(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Read which classes a run predicted, without its logits.

    Returns:
        By picture, in the order of the test split: which picture it is, its true class, the predicted one.

    Raises:
        StudyError: If the file is missing or damaged.
    """
    predicted, labels, indices = _arrays(path, ("predicted", "labels", "indices"))
    if not predicted.shape == labels.shape == indices.shape == (len(np.unique(indices)),) or not indices.size:
        raise StudyError(f"predictions must hold each test picture once, but {path} does not; {REPAIR}")
    order = np.argsort(indices)
    return indices[order], labels[order], predicted[order]


def _arrays(path: Path, names: tuple[str, ...]) -> list[NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            classes = _classes(stored)
            arrays = [_array(stored, name, classes) for name in names]
    except DAMAGED_ARRAYS as error:
        raise StudyError(f"predictions must be readable, but {path}: {error}; {REPAIR}") from error
    expected = [2 if name == "logits" else 1 for name in names]
    if [array.ndim for array in arrays] != expected or len({len(array) for array in arrays}) != 1:
        raise StudyError(f"predictions must hold each test picture once, but {path} does not; {REPAIR}")
    return arrays


def _classes(stored: Any) -> int:
    """Return for how many classes there are logits, without unpacking them."""
    with stored.zip.open("logits.npy") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape = header(file)[0]
    return min(MOST_CLASSES, shape[-1]) if shape else 0


def _array(stored: Any, name: str, classes: int) -> NDArray[Any]:
    """Read one array; nothing is unpacked that no study would hold."""
    packed = stored.zip.getinfo(f"{name}.npy")
    if packed.file_size > LARGEST:
        raise ValueError(f"{name} would take {packed.file_size:,} bytes")
    array: NDArray[Any] = stored[name]
    if array.dtype.kind not in ("f" if name == "logits" else "iu"):
        raise ValueError(f"{name} are of the type {array.dtype}")
    if name in ("predicted", "labels") and array.size and not 0 <= array.min() <= array.max() < classes:
        raise ValueError(f"{name} are classes from {array.min()} to {array.max()}, and there are logits of {classes}")
    return array
