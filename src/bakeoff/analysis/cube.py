"""Which test pictures each run got right: candidates x seeds x pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.analysis.statistics.intervals import Bits
from bakeoff.errors import StudyError
from bakeoff.predictions import load_correct


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Which test pictures each run of a study got right. All runs saw the same pictures, in the same order here."""

    indices: NDArray[np.int64]
    """Shape (pictures,), ascending: which pictures of the test split."""

    labels: NDArray[np.int64]
    """Shape (pictures,): the true classes."""

    correct: dict[str, NDArray[np.bool_]]
    """By run id, shape (pictures,)."""

    missing: dict[str, str]
    """Runs whose predictions cannot be used, by id, with the reason."""

    @classmethod
    def empty(cls) -> Cube:
        """Return that of a study without predictions."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), {}, {})

    def of(self, runs: Sequence[str]) -> Bits:
        """Return shape (seeds, pictures): those of these runs that are here, in this order."""
        here = [self.correct[run] for run in runs if run in self.correct]
        return np.stack(here) if here else np.empty((0, len(self.indices)), bool)


def load_cube(paths: Mapping[str, Path], accuracies: Mapping[str, float]) -> Cube:
    """Read the predictions of finished runs.

    A run whose file is missing, damaged or of other numbers than the database is left out and named in `missing`.

    Args:
        paths: By run id, where its predictions are.
        accuracies: By run id, the test accuracy that was recorded.

    Raises:
        StudyError: If two runs were tested on different pictures.
    """
    indices = labels = np.empty(0, np.int64)
    correct: dict[str, NDArray[np.bool_]] = {}
    missing: dict[str, str] = {}
    for run, path in paths.items():
        try:
            its_indices, its_labels, right = load_correct(path)
        except StudyError as error:
            missing[run] = "no predictions were kept" if not path.exists() else str(error)
            continue
        if abs(right.mean() - accuracies[run]) > 0.5 / len(right):
            missing[run] = (
                f"the predictions in {path} give {100 * right.mean():.2f} % right, but {100 * accuracies[run]:.2f} % was recorded"
            )
            continue
        if not correct:
            indices, labels = its_indices, its_labels
        elif not (np.array_equal(indices, its_indices) and np.array_equal(labels, its_labels)):
            raise StudyError(
                f"runs that are compared must be tested on the same pictures, but {path} holds {len(its_indices)} pictures that are "
                f"not the {len(indices)} of the runs before it; delete the predictions that came from elsewhere"
            )
        correct[run] = right
    return Cube(indices, labels, correct, missing)
