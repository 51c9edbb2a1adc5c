"""How far a study has come and what is left of it, judged by its records alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bakeoff.records import ENDED, RunStatus
from bakeoff.spec import ResolvedStudy, labels
from bakeoff.study.machine import makespan
from bakeoff.words import clean, duration, plural

SILENCE = 60.0
"""Seconds without any record that are nothing to speak of."""

SILENT_EPOCHS = 3
"""How many of its epochs a run may take for one before it is asked whether somebody still works at it. A guess: epochs of
one run take about the same time, unless the machine has been given other work."""

SHOWN_ENDS = 20
"""Runs that ended badly which are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStanding:
    """How far one run has come."""

    run_id: str
    label: str
    """The candidate's."""

    seed: int
    status: RunStatus
    message: str | None
    """Why it ended badly."""

    epochs: int
    """Planned."""

    done: int
    """Epochs recorded."""

    seconds_an_epoch: float | None
    """Mean over the candidate's records of all seeds, else over all candidates'; None before the first record."""

    seconds_left: float | None
    """Seconds that its own training and evaluation will take; 0 for what has ended, None before there is anything to go by."""

    @property
    def name(self) -> str:
        """The candidate's label with the seed, fit to be shown."""
        return clean(f"{self.label} seed {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStanding:
    """How far a study has come."""

    study: str
    """The study's name."""

    runs: tuple[RunStanding, ...]
    """Runs in the study's order."""

    seconds_left: float | None
    """Until the last run ends, if as many go at once as now; None before there is anything to go by."""

    silent_for: float | None
    """Seconds without any record, where these are suspiciously many; else None."""

    @property
    def share(self) -> float:
        """How much of all epochs is done, in [0, 1]; what ended early counts in full."""
        planned = sum(run.epochs for run in self.runs)
        done = sum(run.epochs if run.status in ENDED else min(run.done, run.epochs) for run in self.runs)
        return done / planned if planned else 0.0

    def count(self, *statuses: RunStatus) -> int:
        """Return how many runs stand so."""
        return sum(run.status in statuses for run in self.runs)


def rows_of(study: ResolvedStudy) -> pd.DataFrame:
    """Return a study that has no records yet as `Store.progress_frame` tells one."""
    short = labels(study.candidates)
    rows = [
        {
            "run_id": run.id,
            "candidate_id": run.candidate.id,
            "label": short[run.candidate.id],
            "seed": run.seed,
            "status": RunStatus.PENDING.value,
            "message": None,
            "epochs": run.candidate.recipe.epochs,
            "done": 0,
            "seconds": 0.0,
        }
        for run in study.runs()
    ]
    return pd.DataFrame(rows)


def standing(
    study: str, rows: pd.DataFrame, *, workers: int | None, since: Mapping[str, float], silent_for: float
) -> StudyStanding:
    """Return how far a study has come.

    An epoch of a candidate is taken to last as long as the mean of those recorded of it; where there are none, as the
    mean of those of the other candidates.

    Args:
        study: Its name.
        rows: One a run, as `Store.progress_frame` gives them.
        workers: Runs at once; None to take as many as are running.
        since: Seconds since the last record of runs that are under way, by run id, as far as they are known.
        silent_for: Seconds since anything was recorded.
    """
    known = rows[rows["done"] > 0].groupby("candidate_id")[["seconds", "done"]].sum()
    pace = {str(key): float(row["seconds"] / row["done"]) for key, row in known.iterrows()}
    usual = sum(pace.values()) / len(pace) if pace else None
    runs = tuple(_run(row, pace.get(str(row["candidate_id"]), usual), since) for row in _records(rows))
    at_once = max(1, workers or sum(run.status is RunStatus.RUNNING for run in runs))
    return StudyStanding(
        study=study,
        runs=runs,
        seconds_left=_seconds_left(runs, at_once),
        silent_for=_suspicious(runs, silent_for),
    )


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _run(row: Mapping[str, Any], seconds_an_epoch: float | None, since: Mapping[str, float]) -> RunStanding:
    status, run_id = RunStatus(row["status"]), str(row["run_id"])
    epochs, done = int(row["epochs"]), int(row["done"])
    left: float | None = 0.0
    if status not in ENDED:
        left = None if seconds_an_epoch is None else max(0, epochs - done) * seconds_an_epoch
    if left and seconds_an_epoch and status is RunStatus.RUNNING:
        left -= min(since.get(run_id, 0.0), seconds_an_epoch)  # of the epoch under way
    return RunStanding(
        run_id=run_id,
        label=str(row["label"]),
        seed=int(row["seed"]),
        status=status,
        message=row["message"],
        epochs=epochs,
        done=done,
        seconds_an_epoch=seconds_an_epoch,
        seconds_left=left,
    )


def _seconds_left(runs: Sequence[RunStanding], workers: int) -> float | None:
    under_way = [run.seconds_left for run in runs if run.status is RunStatus.RUNNING]
    waiting = [run.seconds_left for run in runs if run.status is RunStatus.PENDING]
    left = [seconds for seconds in (*under_way, *waiting) if seconds is not None]
    return makespan(left, workers) if len(left) == len(under_way) + len(waiting) else None


def _suspicious(runs: Sequence[RunStanding], silent_for: float) -> float | None:
    """Return the silence if a driver at work would have broken it; before the first record nobody can say."""
    paces = [run.seconds_an_epoch or math.inf for run in runs if run.status is RunStatus.RUNNING]
    return silent_for if paces and silent_for > max(SILENCE, SILENT_EPOCHS * max(paces)) else None


def told(standing: StudyStanding) -> dict[str, Any]:
    """Return a standing as the page shows it, in plain JSON values: shares as numbers, all else in words."""
    badly = [run for run in standing.runs if run.status in (RunStatus.DIVERGED, RunStatus.FAILED)]
    return {
        "study": clean(standing.study),
        "share": standing.share,
        "summary": summary(standing),
        "doubt": _doubt(standing),
        "running": [_told_run(run) for run in standing.runs if run.status is RunStatus.RUNNING],
        "badly": [clean(f"{run.name}: {run.status} ({run.message})") for run in badly[:SHOWN_ENDS]],
        "badly_more": max(0, len(badly) - SHOWN_ENDS),
    }


def summary(standing: StudyStanding) -> str:
    """Return in one sentence how far a study has come."""
    total, done, running = len(standing.runs), standing.count(RunStatus.DONE), standing.count(RunStatus.RUNNING)
    ends = [f"{standing.count(end)} {end}" for end in (RunStatus.DIVERGED, RunStatus.FAILED) if standing.count(end)]
    parts = [f"{done} of {plural(total, 'run')} done", *ends]
    if standing.count(*ENDED) == total:
        return f"{', '.join(parts)}: every run has ended"
    parts.append(f"{running} in training" if running else "none in training now")
    left = standing.seconds_left
    if left is not None:
        parts.append(f"about {duration(left)} left" + ("" if running else " of training"))
    return ", ".join(parts)


def _doubt(standing: StudyStanding) -> str | None:
    if standing.silent_for is None:
        return None
    paces = [run.seconds_an_epoch or 0.0 for run in standing.runs if run.status is RunStatus.RUNNING]
    return (
        f"Nothing was recorded for {duration(standing.silent_for)}, though an epoch takes about {duration(max(paces))}. If no "
        "`bakeoff run` is at work any more, the same command goes on where it stopped."
    )


def _told_run(run: RunStanding) -> dict[str, Any]:
    share = min(1.0, run.done / run.epochs)
    if run.done >= run.epochs:
        return {"name": run.name, "share": share, "words": f"all {plural(run.epochs, 'epoch')}, being tested"}
    pace = None if run.seconds_an_epoch is None else f"{duration(run.seconds_an_epoch)} an epoch"
    left = None if run.seconds_left is None else f"about {duration(run.seconds_left)} left"
    words = [f"{run.done} of {plural(run.epochs, 'epoch')}", *(part for part in (pace, left) if part)]
    return {"name": run.name, "share": share, "words": ", ".join(words)}
