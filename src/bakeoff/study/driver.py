"""Execute and record. The driver here is the only writer of the results database; workers only tell.

Every write is an upsert, so replaying a checkpoint's history after a crash is harmless.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from bakeoff.audit import kept
from bakeoff.errors import StudyError
from bakeoff.execution.local import EarlyWorker, LocalExecutor
from bakeoff.execution.messages import Ended, EpochDone, Event, Failed, Started, Stepped, Stopped, Warned
from bakeoff.records import EpochRecord, RunResult, RunStatus, StepReport
from bakeoff.spec import RunSpec
from bakeoff.store import PlannedRun, Store
from bakeoff.study.auditing import PROBES, conclude, examine, stop_if_wasted, told
from bakeoff.study.costs import measure_costs
from bakeoff.study.folder import DATABASE, Study, claimed, stored_study, write_study_file
from bakeoff.study.planned import Plan
from bakeoff.study.provenance import write_down
from bakeoff.study.tuning import choose_numerics

SETTLED = (RunStatus.DONE, RunStatus.DIVERGED)
"""What needs no further work. A failed run is tried again by the next command."""

WORKERS = "workers"
"""The key under which a study's database keeps how many runs the last command trained at once."""


class Watcher(Protocol):
    """Whoever shows a study's progress."""

    def stage(self, name: str, done: int, total: int | None) -> None:
        """Something before training is under way, such as decoding."""

    def start(self, total_runs: int, labels: dict[str, str]) -> None:
        """Training begins: so many runs, with a label for each."""

    def run_started(self, run_id: str, label: str, epochs: int) -> None:
        """A worker has begun a run."""

    def step(self, run_id: str, report: StepReport) -> None:
        """An epoch has come so far."""

    def epoch(self, run_id: str, record: EpochRecord) -> None:
        """An epoch has ended."""

    def run_finished(self, run_id: str, result: RunResult) -> None:
        """A run has ended."""

    def run_failed(self, run_id: str, message: str) -> None:
        """A run ended by an error."""

    def tell(self, message: str) -> None:
        """Something went as it should that the user wants to hear of."""

    def warn(self, message: str) -> None:
        """The user should know something."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command that ran a study ended."""

    interrupted: bool
    failed: int
    """Runs that ended by an error."""


def execute(
    planned: Plan, watcher: Watcher, early: EarlyWorker | None = None, *, written_down: bool = False
) -> tuple[Study, Outcome]:
    """Run what is left of a study, and record it.

    Ctrl-C (or SIGTERM) lets every run save itself within a step and ends early; the same command goes on. A second
    one ends at once. The study is audited before and after.

    Args:
        planned: What to run.
        watcher: Is told of the progress.
        early: A worker that was started while the study was planned.
        written_down: Whether the study knows of this command already, from a round before.

    Raises:
        AuditError: If the audit finds that training would be a waste, and the study does not insist.
        StudyError: If the folder holds other settings, is in use, or cannot be written to.
    """
    examination = examine(planned, watcher.stage)
    stop_if_wasted(planned, examination.findings)
    with claimed(planned.folder):
        write_study_file(planned.folder, planned.study)
        with Store.create_or_open(planned.folder / DATABASE) as store:
            store.set_note(PROBES, kept.probes_to_json(examination.probes))
            if not written_down:
                write_down(store)
            for words in told(examination.findings):
                watcher.warn(words)
            outcome = _drive(planned, store, watcher, early)
            conclude(planned, store, examination.probes)
    return Study(planned.folder), outcome


def runs_left(planned: Plan) -> list[RunSpec]:
    """Return the runs of a planned study that have not ended yet, in order.

    Raises:
        StudyError: If its folder's database is gone or damaged.
    """
    if stored_study(planned.folder) is None:
        return planned.runs()
    with Store.open_read_only(planned.folder / DATABASE) as store:
        statuses = store.statuses()
    return [run for run in planned.runs() if statuses.get(run.id) not in SETTLED]


def _drive(planned: Plan, store: Store, watcher: Watcher, early: EarlyWorker | None) -> Outcome:
    store.add_runs(_planned_rows(planned))
    store.set_note(WORKERS, str(planned.workers))
    statuses = store.statuses()
    left = [run for run in planned.runs() if statuses[run.id] not in SETTLED]
    # What decides a run's last bits stays from its first start on; until then it is this command's to say.
    started = store.started()
    numerics = {run.id: known for run in left if run.id in started and (known := store.numerics(run.id)) is not None}
    new = choose_numerics(planned, [run for run in left if run.id not in numerics], watcher.stage)
    for run_id, decided in new.items():
        store.set_numerics(run_id, decided)
    tasks = [planned.task(run, (numerics | new)[run.id]) for run in left]
    names = {run.id: f"{planned.labels[run.candidate.id]} seed {run.seed}" for run in planned.study.runs()}
    by_id = {run.id: run for run in left}
    watcher.start(len(left), {run.id: names[run.id] for run in left})
    executor = LocalExecutor(planned.workers, planned.threads, early)
    failed = 0
    with _stop_on_signal(executor) as asked:
        for event in executor.run(tasks):
            failed += isinstance(event, Failed)
            _record(event, store)
            _show(event, watcher, names, by_id)
    interrupted = bool(asked)  # even where the last run ended all the same: costs and further seeds are left
    if planned.costs and not interrupted:
        try:
            measure_costs(planned, store, on_stage=watcher.stage, warn=watcher.warn)
        except KeyboardInterrupt:  # every run is saved; the same command measures what is left
            interrupted = True
    return Outcome(interrupted=interrupted, failed=failed)


def _planned_rows(planned: Plan) -> Iterator[PlannedRun]:
    for run in planned.study.runs():
        candidate = run.candidate
        yield PlannedRun(
            run_id=run.id,
            candidate_id=candidate.id,
            label=planned.labels[candidate.id],
            model=candidate.model,
            seed=run.seed,
            spec_json=run.model_dump_json(),
            parameters=planned.parameters[candidate.id],
            macs=planned.macs[candidate.id],
            changes=planned.changes[candidate.id],
        )


def _record(event: Event, store: Store) -> None:
    match event:
        case Started(run_id):
            store.mark(run_id, RunStatus.RUNNING)
        case EpochDone(run_id, record):
            store.record_epoch(run_id, record)
        case Ended(run_id, result):
            if result.health is not None:
                store.set_health(run_id, dict(result.health))
            store.finish(run_id, result)
        case Stopped(run_id):
            store.mark(run_id, RunStatus.PENDING)
        case Failed(run_id, message, _, fatal=True):
            store.mark(run_id, RunStatus.PENDING)
            raise StudyError(message)
        case Failed(run_id, message, traceback):
            store.mark(run_id, RunStatus.FAILED, message=message, traceback=traceback)


def _show(event: Event, watcher: Watcher, names: dict[str, str], runs: dict[str, RunSpec]) -> None:
    match event:
        case Started(run_id):
            watcher.run_started(run_id, names[run_id], runs[run_id].candidate.recipe.epochs)
        case Stepped(run_id, report):
            watcher.step(run_id, report)
        case EpochDone(run_id, record):
            watcher.epoch(run_id, record)
        case Ended(run_id, result):
            watcher.run_finished(run_id, result)
        case Failed(run_id, message):
            watcher.run_failed(run_id, message)
        case Warned(run_id, message):
            watcher.warn(f"{names[run_id]}: {message}")


@contextmanager
def _stop_on_signal(executor: LocalExecutor) -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; the second ends the process as usual.

    Yields:
        The signals that came, in a list that fills as they come.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        executor.stop()

    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals can only be handled in the main thread; elsewhere the caller has its own way to stop
        return
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
