"""Runs in real processes: their events, their deaths, their stops."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import torch

from bakeoff.data import Dataset, prepare
from bakeoff.execution import local
from bakeoff.execution.local import EarlyWorker, LocalExecutor
from bakeoff.execution.messages import (
    Ended,
    EpochDone,
    Event,
    Failed,
    Started,
    Stepped,
    Stopped,
    Task,
    Warned,
    event_from_line,
    event_to_line,
    task_from_line,
    task_to_line,
)
from bakeoff.execution.worker import STOP
from bakeoff.records import EpochRecord, RunResult, RunStatus, StepReport
from bakeoff.training import checkpoint
from tests.builders import numerics, one_run

pytestmark = pytest.mark.slow

RECORD = EpochRecord(
    epoch=1,
    steps=3,
    images=10,
    learning_rate=1 / 3,
    train_loss=0.1 + 0.2,
    train_accuracy=0.5,
    val_loss=float("inf"),
    val_accuracy=None,
    seconds_train=1.0,
    seconds_evaluate=0.5,
    seconds_wait=0.1,
    micro_batch=4,
)


@pytest.mark.parametrize(
    "event",
    [
        Started("a"),
        Stepped("a", StepReport(1, 2, 3, 0.1, 0.2, 300.0)),
        EpochDone("a", RECORD),
        Ended(
            "a",
            RunResult(
                status=RunStatus.DIVERGED,
                test_loss=None,
                test_accuracy=None,
                seconds_test=0.0,
                message="loss became nan",
            ),
        ),
        Stopped("a"),
        Failed("a", 'line\nbreaks and "quotes"', "trace", fatal=True),
        Warned("a", "ünïcode"),
    ],
)
def test_an_event_survives_the_way_to_the_driver_to_the_last_bit(event: Event) -> None:
    line = event_to_line(event)
    assert "\n" not in line
    assert event_from_line(line) == event


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare("digits", cache_dir=tmp_path_factory.mktemp("cache"))


def task(digits: Dataset, folder: Path, seed: int = 0, **recipe: object) -> Task:
    study = {"data": {"validation": 20, "limit": 160}}
    run = one_run(digits, seed=seed, study=study, **({"epochs": 2, "batch_size": 35} | recipe))
    return Task(
        run=run,
        dataset=digits.folder,
        numerics=numerics(run),
        checkpoints=folder / run.id,
        predictions=folder / f"{run.id}.npz",
    )


def test_a_task_survives_the_way_to_the_worker(digits: Dataset, tmp_path: Path) -> None:
    wanted = task(digits, tmp_path)
    assert task_from_line(task_to_line(wanted)) == wanted


def test_two_workers_train_three_runs_and_tell_each_in_order(digits: Dataset, tmp_path: Path) -> None:
    tasks = [task(digits, tmp_path, seed) for seed in range(3)]
    told: dict[str, list[str]] = {}
    for event in LocalExecutor(2, 1).run(tasks):
        if not isinstance(event, Stepped):
            told.setdefault(event.run_id, []).append(type(event).__name__)
    assert told == {one.run.id: ["Started", "EpochDone", "EpochDone", "Ended"] for one in tasks}


def test_a_killed_worker_is_replaced_and_its_run_goes_on(digits: Dataset, tmp_path: Path) -> None:
    executor, wanted = LocalExecutor(1, 1), task(digits, tmp_path, epochs=3)
    epochs, warnings, killed = [], [], False
    for event in executor.run([wanted]):
        if isinstance(event, EpochDone):
            epochs.append(event.record.epoch)
            if not killed:
                os.kill(executor._workers[0].process.pid, signal.SIGKILL)
                killed = True
        warnings += [event.message] if isinstance(event, Warned) else []
        ended = event
    assert isinstance(ended, Ended)
    assert epochs[-1] == 3
    assert len(warnings) == 1
    assert "SIGKILL" in warnings[0]


def test_a_run_whose_worker_is_killed_again_and_again_fails_and_the_next_goes_on(
    digits: Dataset, tmp_path: Path
) -> None:
    executor, doomed, next_one = LocalExecutor(1, 1), task(digits, tmp_path, 0), task(digits, tmp_path, 1)
    failed: list[Failed] = []
    ended: list[str] = []
    for event in executor.run([doomed, next_one]):
        if isinstance(event, Started) and event.run_id == doomed.run.id:
            os.kill(executor._workers[0].process.pid, signal.SIGKILL)
        failed += [event] if isinstance(event, Failed) else []
        ended += [event.run_id] if isinstance(event, Ended) else []
    assert [one.run_id for one in failed] == [doomed.run.id]
    assert "memory" in failed[0].message
    assert ended == [next_one.run.id]


@pytest.mark.parametrize(
    ("line", "then"),
    [('{"kind": "Started", "run', "os.kill(os.getpid(), 9)"), ("no event\\n", "sys.stdin.read()")],
    ids=["cut off by death", "of a worker that lives on"],
)
def test_a_line_that_cannot_be_read_is_its_workers_death(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, then: str
) -> None:
    program = f"import os, sys; sys.stdin.readline(); print('{line}', end='', flush=True); {then}"
    monkeypatch.setattr(local, "command", lambda module: [sys.executable, "-c", program])
    told: list[Event] = []
    wanted = task(digits, tmp_path)
    driver = threading.Thread(target=lambda: told.extend(LocalExecutor(1, 1).run([wanted])), daemon=True)
    driver.start()
    driver.join(60)
    assert not driver.is_alive()
    assert [type(event) for event in told] == [Warned, Failed]
    assert isinstance(told[1], Failed)
    assert "SIGKILL twice" in told[1].message


def test_stop_saves_within_a_step_and_starts_nothing_new(digits: Dataset, tmp_path: Path) -> None:
    executor, tasks = LocalExecutor(1, 1), [task(digits, tmp_path, seed, epochs=500) for seed in range(2)]
    told = []
    for event in executor.run(tasks):
        told.append(event)
        if isinstance(event, EpochDone) and event.record.epoch == 2:
            executor.stop()
    assert isinstance(told[-1], Stopped)
    assert {event.run_id for event in told} == {tasks[0].run.id}
    assert (tmp_path / tasks[0].run.id / "last.ckpt").exists()


def test_a_stop_in_the_middle_of_a_line_to_a_worker_is_told_after_it(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, writing, lines = LocalExecutor(1, 1), [], []
    send = local._Worker.send

    def interrupted(worker: local._Worker, line: str) -> None:
        assert not writing, "a line within a line, which Python's files refuse"
        writing.append(line)
        if line != STOP:
            executor.stop()  # as a signal's handler does, which may come at any moment
        send(worker, line)
        lines.append(writing.pop())

    monkeypatch.setattr(local._Worker, "send", interrupted)
    events = list(executor.run([task(digits, tmp_path, epochs=500)]))
    assert isinstance(events[-1], Stopped)
    assert lines[1:] == [STOP]


def test_an_error_in_a_run_is_told_with_its_traceback_and_the_worker_lives_on(digits: Dataset, tmp_path: Path) -> None:
    broken, fine = task(digits, tmp_path, 0), task(digits, tmp_path, 1)
    (tmp_path / broken.run.id).mkdir()
    (tmp_path / broken.run.id / "last.ckpt").mkdir()  # cannot be read as a file
    events = [event for event in LocalExecutor(1, 1).run([broken, fine]) if isinstance(event, Failed | Ended)]
    assert isinstance(events[0], Failed)
    assert "Traceback" in events[0].traceback
    assert isinstance(events[1], Ended)


def test_a_checkpoint_of_another_run_ends_its_run_alone(digits: Dataset, tmp_path: Path) -> None:
    broken, fine = task(digits, tmp_path, 0), task(digits, tmp_path, 1)
    other = checkpoint.Progress(run_id="another", micro_batch=1)
    state = checkpoint.Checkpoint(progress=other, network={}, optimizer={}, rng={}, sums=torch.zeros(2))
    checkpoint.save(tmp_path / broken.run.id, state)
    events = [event for event in LocalExecutor(1, 1).run([broken, fine]) if isinstance(event, Failed | Ended)]
    assert isinstance(events[0], Failed)
    assert "a checkpoint must belong to its run" in events[0].message
    assert not events[0].fatal
    assert isinstance(events[1], Ended)


def test_leaving_early_ends_the_workers(digits: Dataset, tmp_path: Path) -> None:
    executor = LocalExecutor(1, 1)
    events = executor.run([task(digits, tmp_path, epochs=500)])
    next(events)
    process = executor._workers[0].process
    events.close()
    assert process.poll() is not None


def test_a_worker_that_was_started_early_trains_the_first_run(digits: Dataset, tmp_path: Path) -> None:
    with EarlyWorker() as early:
        process = early._process
        assert process is not None
        executor = LocalExecutor(1, 1, early)
        trainers = {executor._workers[0].process for event in executor.run([task(digits, tmp_path)])}
    assert trainers == {process}
    assert process.returncode == 0


def test_a_worker_that_was_started_early_for_nothing_is_ended() -> None:
    with EarlyWorker() as early:
        process = early._process
    assert process is not None
    assert process.returncode == -signal.SIGKILL
