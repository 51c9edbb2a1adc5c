"""Studies made up in memory, stored and read back as real ones are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bakeoff.records import EpochRecord, RunResult, RunStatus
from bakeoff.store import PlannedRun, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as a test tells it; its accuracies rise to the last given value."""

    candidate: str = "alpha"
    label: str | None = None
    """As tables show it; default the candidate's id."""

    model: str = "resnet18"
    optimizer: str = "adam"
    learning_rate: float = 0.001
    seed: int = 0
    status: RunStatus = RunStatus.DONE
    train: Sequence[float] = (0.5, 0.6, 0.7)
    """Training accuracy of each epoch; the loss is its complement times two."""

    val: Sequence[float | None] | None = (0.4, 0.5, 0.6)
    test: float | None = 0.55
    test_loss: float | None = None
    """The accuracy's complement unless it is given."""

    loss: Sequence[float] | None = None
    seconds: float = 10.0
    """Of training in one epoch; waiting takes a quarter more."""

    micro_batch: int = 64
    message: str | None = None
    changes: tuple[str, ...] = ()
    parameters: int = 11_173_962
    macs: int = 37_000_000

    @property
    def id(self) -> str:
        return f"{self.candidate}/{self.seed}"

    def records(self) -> list[EpochRecord]:
        losses = self.loss if self.loss is not None else [2 * (1 - accuracy) for accuracy in self.train]
        vals = self.val if self.val is not None else [None] * len(self.train)
        return [
            EpochRecord(
                epoch=place + 1,
                steps=10,
                images=640,
                learning_rate=self.learning_rate,
                train_loss=losses[place],
                train_accuracy=self.train[place],
                val_loss=None if vals[place] is None else 1.0,
                val_accuracy=vals[place],
                seconds_train=self.seconds,
                seconds_evaluate=100.0,
                seconds_wait=self.seconds / 4,
                micro_batch=self.micro_batch,
            )
            for place in range(len(self.train))
        ]


def planned(run: Run) -> PlannedRun:
    recipe = {
        "optimizer": run.optimizer,
        "learning_rate": run.learning_rate,
        "batch_size": 64,
        "epochs": max(1, len(run.train)),  # of a run that failed before its first
    }
    return PlannedRun(
        run_id=run.id,
        candidate_id=run.candidate,
        label=run.label or run.candidate,
        model=run.model,
        seed=run.seed,
        spec_json=json.dumps({"candidate": {"model": run.model, "recipe": recipe}, "seed": run.seed}),
        parameters=run.parameters,
        macs=run.macs,
        changes=run.changes,
    )


def fill(store: Store, runs: Sequence[Run]) -> None:
    """Write runs as the driver does."""
    store.add_runs(planned(run) for run in runs)
    for run in runs:
        if run.status is RunStatus.PENDING:
            continue
        store.mark(run.id, RunStatus.RUNNING)
        for record in run.records():
            store.record_epoch(run.id, record)
        if run.status in (RunStatus.DONE, RunStatus.DIVERGED):
            loss = run.test_loss if run.test is None or run.test_loss is not None else 1 - run.test
            store.finish(
                run.id,
                RunResult(
                    status=run.status, test_loss=loss, test_accuracy=run.test, seconds_test=1.0, message=run.message
                ),
            )
        elif run.status is RunStatus.FAILED:
            store.mark(run.id, RunStatus.FAILED, message=run.message, traceback="Traceback ...")


def frames(path: Path, *runs: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs and epochs tables of these runs, through a database in a folder."""
    with Store.create_or_open(path / "results.sqlite") as store:
        fill(store, runs)
        return store.runs_frame(), store.epochs_frame()
