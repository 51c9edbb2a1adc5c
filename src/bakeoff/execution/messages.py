"""What a driver and its workers say to each other: one JSON document a line, nothing that could run code."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus, StepReport
from bakeoff.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A run to train, and where."""

    run: RunSpec
    dataset: Path
    """The data set's entry in the cache."""

    numerics: Numerics
    checkpoints: Path
    """The run's folder of checkpoints."""

    predictions: Path
    """The file for its test predictions."""


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has begun (or gone on with) a run."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Stepped:
    """A run tells how far its epoch has come."""

    run_id: str
    report: StepReport


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch has ended and is saved."""

    run_id: str
    record: EpochRecord


@dataclass(frozen=True, slots=True)
class Ended:
    """A run has ended and is saved."""

    run_id: str
    result: RunResult


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run was asked to stop and is saved."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A run ended by an error."""

    run_id: str
    message: str
    traceback: str
    fatal: bool = False
    """Whether the cause would meet every run alike (a full disk, a read-only folder), so that going on is useless."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something about a run that the user should know."""

    run_id: str
    message: str


Event = Started | Stepped | EpochDone | Ended | Stopped | Failed | Warned

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Started, Stepped, EpochDone, Ended, Stopped, Failed, Warned)
}


def task_to_line(task: Task) -> str:
    """Write a task as one line."""
    return json.dumps(
        {
            "run": task.run.model_dump(mode="json"),
            "dataset": str(task.dataset),
            "numerics": asdict(task.numerics),
            "checkpoints": str(task.checkpoints),
            "predictions": str(task.predictions),
        }
    )


def task_from_line(line: str) -> Task:
    """Read what `task_to_line` wrote."""
    plain = json.loads(line)
    return Task(
        run=RunSpec.model_validate(plain["run"]),
        dataset=Path(plain["dataset"]),
        numerics=Numerics(**plain["numerics"]),
        checkpoints=Path(plain["checkpoints"]),
        predictions=Path(plain["predictions"]),
    )


def event_to_line(event: Event) -> str:
    """Write an event as one line; numbers that are not finite become `NaN` and `Infinity`, which Python reads back."""
    return json.dumps({"kind": type(event).__name__} | asdict(event))


def event_from_line(line: str) -> Event:
    """Read what `event_to_line` wrote.

    Raises:
        ValueError: If the line is cut off or no JSON.
    """
    plain = json.loads(line)
    kind = _KINDS[plain.pop("kind")]
    if kind is Stepped:
        plain["report"] = StepReport(**plain["report"])
    elif kind is EpochDone:
        plain["record"] = EpochRecord(**plain["record"])
    elif kind is Ended:
        plain["result"] = RunResult(**plain["result"] | {"status": RunStatus(plain["result"]["status"])})
    event: Event = kind(**plain)
    return event


def claim_standard_output() -> TextIO:
    """Keep standard output for events, and send whatever else is printed to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events
