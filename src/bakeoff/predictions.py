"""What a run predicted for each test picture: the raw material of every comparison between two candidates."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.errors import StudyError
from bakeoff.files import write_atomically


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
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Predictions(stored["logits"], stored["predicted"], stored["labels"], stored["indices"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StudyError(
            f"predictions must be readable, but {path}: {error}; delete the study's folder and run it again"
        ) from error
