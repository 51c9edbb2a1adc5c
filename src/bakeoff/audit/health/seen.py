"""What was seen of the runs of a study, by candidate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pandas as pd

from bakeoff.audit.evidence import AbsentError
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule
from bakeoff.audit.words import named
from bakeoff.records import ENDED, Health, RunStatus
from bakeoff.spec import ResolvedStudy

TRAINED = (RunStatus.DONE, RunStatus.DIVERGED)
"""How runs end that trained as far as they got; one that failed may have failed before it began."""


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run that has ended, and what was seen of it."""

    id: str
    seed: int
    status: RunStatus
    health: Health
    tested: float | None
    """Its test accuracy, a share; None where it was not tested."""


def seen_runs(runs: pd.DataFrame) -> dict[str, list[SeenRun]]:
    """Return the runs that have ended and were looked at, by candidate id.

    Raises:
        AbsentError: If there is none.
    """
    found: dict[str, list[SeenRun]] = {}
    ended = runs[runs["status"].isin(TRAINED)]
    for run in ended.to_dict("records"):
        if isinstance(run["health"], Mapping):
            health = cast(Health, run["health"])
            tested = None if pd.isna(run["test_accuracy"]) else float(run["test_accuracy"])
            seen = SeenRun(run["run_id"], int(run["seed"]), RunStatus(run["status"]), health, tested)
            found.setdefault(run["candidate_id"], []).append(seen)
    if not found:
        raise AbsentError(
            "no run has been trained to an end"
            if ended.empty
            else "its runs were trained before bakeoff kept what it sees of training"
        )
    return found


def unseen(
    asking: Rule, *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame, seen: Collection[str]
) -> Iterator[Finding]:
    """Say of which candidates no run was looked at though some have ended. Of one that was not trained yet there is nothing to say.

    Args:
        asking: The rule that asks.
        study: The study.
        labels: A short name by candidate id.
        runs: As `Store.runs_frame` gives them.
        seen: Ids of the candidates that were looked at.
    """
    ended = set(runs.loc[runs["status"].isin(ENDED), "candidate_id"])
    trained = set(runs.loc[runs["status"].isin(TRAINED), "candidate_id"])
    missing = [one.id for one in study.candidates if one.id in ended and one.id not in seen]
    failed = [one for one in missing if one not in trained]
    before = [one for one in missing if one in trained]
    if failed:
        yield asking.not_run(f"{named(failed, study, labels)}: all runs that have ended failed", candidates=failed)
    if before:
        yield asking.not_run(
            f"{named(before, study, labels)}: trained before bakeoff kept what it sees of training", candidates=before
        )


def graded(touched: Sequence[object], all_runs: Sequence[object]) -> Severity:
    """Return an error where it touches half of a candidate's runs or more, else a warning.

    A candidate that fails with one seed of five has a mean, whose message must be told; one that mostly fails has none.
    """
    return Severity.ERROR if 2 * len(touched) >= len(all_runs) else Severity.WARNING


def of_runs(touched: Sequence[object], all_runs: Sequence[object]) -> str:
    """Return how many of a candidate's runs are meant, in words."""
    if len(all_runs) == 1:
        return "its run"
    return f"all {len(all_runs)} runs" if len(touched) == len(all_runs) else f"{len(touched)} of {len(all_runs)} runs"
