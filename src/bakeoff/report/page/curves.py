"""Training curves against epochs, seconds and arithmetic spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bakeoff.analysis.ranking import METRICS, training_seconds
from bakeoff.cost_records import PASSES
from bakeoff.report.figure_facts import Curve, curve_facts, runs_shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one candidate's training came to, epoch by epoch; means over the seeds that its curves are of."""

    candidate_id: str
    runs: int
    """Seeds that the means are over."""

    complete: bool
    """Whether these have finished; else it is the longest run so far, alone."""

    epochs: tuple[int, ...]
    seconds: tuple[float, ...]
    """Seconds of training up to the end of each epoch, waiting for data included."""

    macs: tuple[float, ...] | None
    """Multiply-accumulates of training up to the end of each epoch; half of what is called FLOPs. None where the first
    epochs have smaller inputs: only the mean over all of them is known."""

    curves: Mapping[str, Curve]
    """By metric; one may end earlier than the epochs, before a value that is not finite."""


def courses(
    runs: pd.DataFrame, epochs: pd.DataFrame, order: Sequence[str], macs: Mapping[str, int] | None = None
) -> list[Course]:
    """Return how each candidate's training went.

    Args:
        runs: As `Store.runs_frame` gives them.
        epochs: As `Store.epochs_frame` gives them.
        order: Candidates' ids, as they are to come; those with nothing to show are left out.
        macs: Of training on one picture once, by candidate id; of whoever is missing, three forward passes are taken.
    """
    by_metric = {metric: {one.configuration.id: one for one in curve_facts(runs, epochs, metric)} for metric in METRICS}
    spent = epochs.assign(
        seconds=training_seconds(epochs).groupby(epochs["run_id"]).cumsum(),
        pictures=epochs["images"].groupby(epochs["run_id"]).cumsum(),
    )
    of_candidate = {str(one): group for one, group in runs.groupby("candidate_id", sort=False)}
    found, came_far = [], epochs["run_id"].value_counts()
    for candidate in order:
        curves = {metric: known[candidate] for metric, known in by_metric.items() if candidate in known}
        if curves:
            mine = of_candidate[candidate]
            first = mine.iloc[0]
            grows = bool(first["spec"]["candidate"]["recipe"].get("early_sizes"))
            a_picture = None if grows else (macs or {}).get(candidate, PASSES * int(first["macs"]))
            shown, _ = runs_shown(mine, came_far)
            found.append(_course(candidate, spent[spent["run_id"].isin(shown)], curves, a_picture))
    return found


def _course(candidate: str, spent: pd.DataFrame, curves: Mapping[str, Curve], macs: int | None) -> Course:
    longest = max(curves.values(), key=lambda curve: len(curve.epochs))
    means = spent[spent["epoch"].isin(longest.epochs)].groupby("epoch")[["seconds", "pictures"]].mean()
    return Course(
        candidate_id=candidate,
        runs=longest.runs,
        complete=longest.complete,
        epochs=longest.epochs,
        seconds=tuple(float(value) for value in means["seconds"]),
        macs=None if macs is None else tuple(macs * float(value) for value in means["pictures"]),
        curves=curves,
    )
