"""A worker process: reads tasks from standard input, trains them, and writes events to standard output.

A program of its own (`execution.program`). It ends when its input ends, so no worker outlives its driver, however the driver died.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bakeoff.errors import DataError, RunError, StudyError
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
    claim_standard_output,
    event_to_line,
    task_from_line,
)
from bakeoff.files import unwritable

STOP = "stop"
"""The line that asks a worker to save its run and go on to the next task."""

LOCK_SECONDS = 60.0
"""How long to wait for a worker of a driver that has just died to let go of a run."""


def main() -> None:
    """Serve until standard input ends."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    events = claim_standard_output()
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_read_input, args=(tasks, stop), daemon=True).start()

    def tell(event: Event) -> None:
        events.write(event_to_line(event) + "\n")
        events.flush()

    # Before there is a task, for a worker that was started early; and here, so that Ctrl-C is already the driver's.
    importlib.import_module("bakeoff.training.loop")
    while True:
        task = task_from_line(tasks.get())
        try:
            _train(task, stop, tell)
        except Exception as error:  # a run's failure is reported and must not end the study
            message = str(error) or type(error).__name__
            tell(Failed(task.run.id, message, traceback.format_exc(), fatal=_meets_every_run(error)))


def _meets_every_run(error: Exception) -> bool:
    """Whether what ended a run would end the others too: its folder or its pictures, which they share."""
    return isinstance(error, StudyError | DataError) and not isinstance(error, RunError)


def _read_input(tasks: queue.SimpleQueue[str], stop: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == STOP:
            stop.set()
        else:
            tasks.put(line)
    # The driver is gone or done with us. Checkpoints are whole at every moment, so nothing needs to be finished.
    os._exit(0)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process alone, and make it if it is not there.

    Raises:
        RunError: If another process holds it.
        StudyError: If it cannot be written to.
    """
    lock = FileLock(folder / "lock", timeout=LOCK_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"a run is trained by one process at a time, but another has held {folder} for {LOCK_SECONDS:g} s; end that "
            "one, then give the same command again"
        ) from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _train(task: Task, stop: threading.Event, tell: Callable[[Event], None]) -> None:
    from bakeoff.data import open_cached
    from bakeoff.training.loop import train
    from bakeoff.training.trainer import Hooks, Interrupted

    run_id = task.run.id
    hooks = Hooks(
        stop=stop.is_set,
        on_step=lambda report: tell(Stepped(run_id, report)),
        warn=lambda message: tell(Warned(run_id, message)),
    )
    with _claimed(task.checkpoints):
        tell(Started(run_id))
        records = train(
            task.run,
            open_cached(task.dataset),
            numerics=task.numerics,
            folder=task.checkpoints,
            predictions=task.predictions,
            hooks=hooks,
        )
        try:
            while True:
                tell(EpochDone(run_id, next(records)))
        except StopIteration as end:
            tell(Ended(run_id, end.value))
        except Interrupted:
            tell(Stopped(run_id))
