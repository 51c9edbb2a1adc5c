"""Class by class: what each candidate takes for what."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.errors import StudyError
from bakeoff.predictions import load_predicted
from bakeoff.records import RunStatus

Labels = NDArray[np.int64]

MOST_CLASSES = 1_000
"""Classes of the largest confusion matrix that is made: ImageNet's. A larger one takes too much memory and nobody can read it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassFacts:
    """What one candidate takes for what, over its finished seeds."""

    candidate_id: str
    label: str
    classes: tuple[str, ...]
    """Names as the data set has them, text from strangers; numbers where it has none."""

    confusion: NDArray[np.int64]
    """Shape (classes, classes): test pictures, summed over the seeds; rows the true class, columns the predicted one."""

    recall: NDArray[np.float64]
    """Shape (classes,): share of each class's pictures that are right; NaN for a class without test pictures."""


def per_class(runs: pd.DataFrame, paths: Mapping[str, Path], names: Sequence[str] = ()) -> list[ClassFacts]:
    """Return the confusion matrices of the candidates that have predictions, in the study's order.

    A finished run whose predictions are missing, damaged or of another accuracy than was recorded is left out; the
    verdict says of which that is true. With more than `MOST_CLASSES` classes there are none.

    Args:
        runs: As `Store.runs_frame` gives them.
        paths: By run id, where its predictions are.
        names: Of the classes; numbers stand for those not named.
    """
    found: dict[str, list[tuple[Labels, Labels]]] = {}
    labels: dict[str, str] = {}
    for run in runs[runs["status"] == RunStatus.DONE].to_dict("records"):
        pair = _usable(run, paths)
        if pair is not None:
            found.setdefault(run["candidate_id"], []).append(pair)
            labels[run["candidate_id"]] = run["label"]
    if not found:
        return []
    seen = max(int(array.max()) + 1 for pairs in found.values() for pair in pairs for array in pair)
    classes = (*names, *map(str, range(len(names), seen)))
    if len(classes) > MOST_CLASSES:
        return []
    return [_facts(candidate, labels[candidate], classes, pairs) for candidate, pairs in found.items()]


def _usable(run: Mapping[Hashable, Any], paths: Mapping[str, Path]) -> tuple[Labels, Labels] | None:
    """Return a run's true and predicted classes, or None where they cannot be used."""
    try:
        _, truth, predicted = load_predicted(paths[run["run_id"]])
    except (KeyError, StudyError):
        return None
    as_recorded = abs(float((truth == predicted).mean()) - run["test_accuracy"]) <= 0.5 / len(truth)
    return (truth, predicted) if as_recorded and min(truth.min(), predicted.min()) >= 0 else None


def _facts(candidate: str, label: str, classes: tuple[str, ...], seeds: list[tuple[Labels, Labels]]) -> ClassFacts:
    counts = sum(
        (confusion(truth, predicted, len(classes)) for truth, predicted in seeds),
        start=np.zeros((len(classes), len(classes)), np.int64),
    )
    pictures = counts.sum(axis=1)
    recall = np.divide(counts.diagonal(), pictures, out=np.full(len(classes), np.nan), where=pictures > 0)
    return ClassFacts(
        candidate_id=candidate,
        label=label,
        classes=classes,
        confusion=counts,
        recall=recall,
    )


def confusion(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Return how often each class is taken for each.

    Args:
        truth: Shape (pictures,), from 0 to `classes` - 1.
        predicted: Likewise.
        classes: How many there are.

    Returns:
        Shape (classes, classes): rows the true class, columns the predicted one.
    """
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
