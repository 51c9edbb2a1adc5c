"""How long training takes to reach an accuracy, seeds that never do among them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bakeoff.analysis.ranking import curves
from bakeoff.errors import SpecError
from bakeoff.records import ENDED

COLUMNS = ["candidate", "candidate_id", "target", "seconds", "epoch", "hits", "seeds"]

SHARES = (0.9, 0.95, 0.99)
"""The targets where none was fixed beforehand, as shares of the best candidate's accuracy."""


def time_to_accuracy(runs: pd.DataFrame, epochs: pd.DataFrame, targets: Sequence[float]) -> pd.DataFrame:
    """Return how long each candidate takes to reach validation accuracies.

    A seed that ended without reaching one counts as infinity, and the median is taken over all that ended or reached
    it: a median over the successful ones alone would flatter whoever fails more often. Seconds are of training and of
    waiting for data up to the end of the epoch, evaluation excluded. Which target is taken can decide who wins: show
    two or three, fixed before training.

    Args:
        runs: One row a run, as `Store.runs_frame` gives them.
        epochs: One row an epoch record, as `Store.epochs_frame` gives them.
        targets: Validation accuracies in (0, 1].

    Returns:
        One row a candidate and target: candidate, candidate_id, target, seconds and epoch (medians, infinity where
        half of the seeds miss it), hits (seeds that reach it), seeds (that ended, or reached it before). Empty
        without a validation split.

    Raises:
        SpecError: If a target is no share.
    """
    wrong = [target for target in targets if not 0 < target <= 1]
    if wrong:
        raise SpecError(f"a target must be an accuracy above 0 and at most 1, but got {wrong[0]:g}; 80 % is 0.8")
    records = curves(runs, epochs)
    rows = []
    if records["val_accuracy"].notna().any():
        by_run = {str(run): group for run, group in records.groupby("run_id", sort=False)}
        for candidate, group in runs.groupby("candidate_id", sort=False):
            rows += [_row(str(candidate), group, by_run, target) for target in sorted(set(targets))]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(candidate: str, runs: pd.DataFrame, records: dict[str, pd.DataFrame], target: float) -> dict[str, object]:
    reached = [_first(records.get(run["run_id"]), target) for run in runs.to_dict("records")]
    counted = [
        first
        for first, status in zip(reached, runs["status"], strict=True)
        if math.isfinite(first[0]) or status in ENDED
    ]
    medians = np.median(counted, axis=0) if counted else (math.nan, math.nan)
    return {
        "candidate": str(runs["label"].iloc[0]),
        "candidate_id": candidate,
        "target": target,
        "seconds": float(medians[0]),
        "epoch": float(medians[1]),
        "hits": sum(math.isfinite(seconds) for seconds, _ in counted),
        "seeds": len(counted),
    }


def _first(records: pd.DataFrame | None, target: float) -> tuple[float, float]:
    """Return the seconds and the epoch at which a run first reached a target."""
    if records is None or not (records["val_accuracy"] >= target).any():
        return math.inf, math.inf
    first = records[records["val_accuracy"] >= target].sort_values("epoch").iloc[0]
    return float(first["seconds"]), float(first["epoch"])


def usual_targets(table: pd.DataFrame) -> list[float]:
    """Return three targets for a study that fixed none: 90, 95 and 99 % of the best candidate's validation accuracy.

    They were chosen after the fact, so they describe and decide nothing. There are none where the best candidate got
    nothing right.

    Args:
        table: One row a candidate, as `ranking.rank` gives them.
    """
    best = table["val_accuracy"].max()
    return [] if math.isnan(best) else [target for share in SHARES if (target := round(share * best, 3)) > 0]
