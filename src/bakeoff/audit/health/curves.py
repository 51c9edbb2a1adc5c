"""Curves of validation accuracy, and which candidates they select."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.audit.evidence import AbsentError, DataProbe
from bakeoff.audit.finding import Finding
from bakeoff.audit.rule import Rule
from bakeoff.audit.settings import subjects
from bakeoff.audit.words import named
from bakeoff.records import ENDED, RunStatus
from bakeoff.spec import CandidateSpec, ResolvedStudy

SMOOTHED_EPOCHS = 3
"""Epochs averaged in a curve."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidationCurve:
    """The validation of one finished run."""

    candidate: str
    seed: int
    accuracy: NDArray[np.float64]
    """By epoch."""

    loss: NDArray[np.float64]

    @property
    def smooth(self) -> NDArray[np.float64]:
        """The accuracy, averaged over three epochs at a time."""
        return smoothed(self.accuracy)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of each so many neighbouring epochs."""
    return np.convolve(values, np.ones(SMOOTHED_EPOCHS) / SMOOTHED_EPOCHS, mode="valid")


def curves(runs: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, list[ValidationCurve]]:
    """Return the curves of finished runs, by candidate id.

    Raises:
        AbsentError: If there is none.
    """
    done = runs[runs["status"] == RunStatus.DONE]
    if done.empty:
        raise AbsentError("no run has finished")
    groups = dict(iter(epochs.dropna(subset=["val_accuracy"]).groupby("run_id", sort=False)))
    found: dict[str, list[ValidationCurve]] = {}
    for run in done.to_dict("records"):
        if run["run_id"] in groups:
            group = groups[run["run_id"]].sort_values("epoch")
            curve = ValidationCurve(
                candidate=run["candidate_id"],
                seed=int(run["seed"]),
                accuracy=group["val_accuracy"].to_numpy(float),
                loss=group["val_loss"].to_numpy(float),
            )
            found.setdefault(curve.candidate, []).append(curve)
    if not found:
        raise AbsentError("the study keeps no validation split, and fit cannot be judged without one")
    return found


def selected(study: ResolvedStudy, known: Mapping[str, Sequence[ValidationCurve]]) -> dict[str, CandidateSpec]:
    """Return, of each thing that is compared, the candidate that validation accuracy selects, by its name in words."""
    chosen = {}
    for name, group in subjects(study).items():
        trained = [candidate for candidate in group if candidate.id in known]
        if trained:
            chosen[name] = max(trained, key=lambda one: last(known[one.id]))
    return chosen


def unselected(
    asking: Rule,
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame,
    known: Mapping[str, Sequence[ValidationCurve]],
) -> Iterator[Finding]:
    """Say of which things that are compared no run has finished though some have ended otherwise."""
    ended = set(runs.loc[runs["status"].isin(ENDED), "candidate_id"])
    groups = [[one.id for one in group] for group in subjects(study).values()]
    lost = [one for group in groups if not known.keys() & set(group) for one in group if one in ended]
    if lost:
        yield asking.not_run(f"{named(lost, study, labels)}: no run has finished", candidates=lost)


def last(of: Sequence[ValidationCurve]) -> float:
    """Return the mean validation accuracy at the end of a candidate's runs."""
    return float(np.mean([curve.accuracy[-1] for curve in of]))


def standard_error(accuracy: float, pictures: int | None) -> float:
    """Return the standard error of an accuracy on so many pictures; 0 where their number is not known.

    As if two more had been answered rightly and two wrongly (Agresti & Coull 1998): all of a few pictures right is no
    accuracy without error.
    """
    if not pictures:
        return 0.0
    share = (accuracy * pictures + 2) / (pictures + 4)
    return math.sqrt(share * (1 - share) / (pictures + 4))


def validation_pictures(study: ResolvedStudy, data: DataProbe | None) -> int | None:
    """Return how many pictures validate, or None where it is not known."""
    if data is not None and "validation" in data.counts:
        return sum(data.counts["validation"])
    return study.validation or None
