"""The smallest study that has all parts, and a watcher that takes notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bakeoff.records import EpochRecord, RunResult, StepReport
from bakeoff.spec import StudySpec
from bakeoff.study import Outcome, Plan, Study, execute, plan

TINY: dict[str, Any] = {
    "name": "tiny",
    "seeds": [0, 1],
    "stem": "original",
    "data": {"source": "digits", "validation": 20, "limit": 160},
    "recipe": {"epochs": 2, "batch_size": 35},
    "candidates": [{"model": "shufflenet_v2_x0_5", "learning_rate": [0.01, 0.001]}],
    "audit": {
        "subject": ["learning_rate"],
        "silence": dict.fromkeys(("P7", "H3"), "two epochs of 140 pictures: nothing is learnt here"),
    },
}


class Notes:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.told: list[str] = []
        self.warnings: list[str] = []
        self.failed: list[str] = []
        self.finished: list[RunResult] = []

    def stage(self, name: str, done: int, total: int | None) -> None: ...

    def start(self, total_runs: int, labels: dict[str, str]) -> None: ...

    def run_started(self, run_id: str, label: str, epochs: int) -> None:
        self.started.append(label)

    def step(self, run_id: str, report: StepReport) -> None: ...

    def epoch(self, run_id: str, record: EpochRecord) -> None: ...

    def run_finished(self, run_id: str, result: RunResult) -> None:
        self.finished.append(result)

    def run_failed(self, run_id: str, message: str) -> None:
        self.failed.append(message)

    def tell(self, message: str) -> None:
        self.told.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def tiny_plan(folder: Path, *, only: list[str] | None = None, costs: bool = False, **changes: Any) -> Plan:
    spec = StudySpec.from_mapping(TINY | changes)
    return plan(spec, out=folder, device="cpu", workers=2, only=only or [], costs=costs)


def run_tiny(folder: Path, *, only: list[str] | None = None, **changes: Any) -> tuple[Study, Outcome, Notes]:
    notes = Notes()
    study, outcome = execute(tiny_plan(folder, only=only, **changes), notes)
    return study, outcome, notes
