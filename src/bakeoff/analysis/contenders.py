"""What the statistics need of each candidate: its finished seeds' accuracies, and which pictures they got right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.analysis.cube import Cube
from bakeoff.analysis.ranking import last_epochs
from bakeoff.analysis.statistics.intervals import Bits
from bakeoff.records import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """A candidate's finished seeds."""

    candidate_id: str
    label: str
    attempted: int
    """Seeds planned, those that failed or have not finished among them."""

    seeds: tuple[int, ...]
    """Seeds that finished; where predictions of some are missing, only those that have theirs, so that means, tests and
    intervals are of the same runs."""

    test: NDArray[np.float64]
    """Shape (seeds,): test accuracy."""

    validation: NDArray[np.float64]
    """Shape (seeds,): validation accuracy of the last epoch; NaN without a validation split."""

    correct: Bits
    """Shape (seeds, pictures); of no seeds where none has predictions."""


def contenders(table: pd.DataFrame, runs: pd.DataFrame, epochs: pd.DataFrame, cube: Cube) -> list[Contender]:
    """Return the candidates in the order of the ranking, those without a finished seed last.

    Args:
        table: The ranking, as `ranking.rank` gives it.
        runs: One row a run, as `Store.runs_frame` gives them.
        epochs: One row an epoch record, as `Store.epochs_frame` gives them.
        cube: Of the finished runs.
    """
    last = last_epochs(epochs).set_index("run_id")["val_accuracy"]
    mine = dict(iter(runs.groupby("candidate_id", sort=False)))
    return [_contender(mine[candidate], last, cube) for candidate in table["candidate_id"].tolist()]


def _contender(runs: pd.DataFrame, validation: pd.Series, cube: Cube) -> Contender:
    done = runs[runs["status"] == RunStatus.DONE]
    pictured = done[done["run_id"].isin(cube.correct.keys())]
    done = done if pictured.empty else pictured
    return Contender(
        candidate_id=str(runs["candidate_id"].iloc[0]),
        label=str(runs["label"].iloc[0]),
        attempted=len(runs),
        seeds=tuple(int(seed) for seed in done["seed"]),
        test=done["test_accuracy"].to_numpy(np.float64),
        validation=validation.reindex(done["run_id"]).to_numpy(np.float64),
        correct=cube.of(done["run_id"].tolist()),
    )
