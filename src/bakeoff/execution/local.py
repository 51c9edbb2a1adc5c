"""Runs in parallel processes on this machine."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from bakeoff.execution.machine import usable_cores
from bakeoff.execution.messages import (
    Ended,
    Event,
    Failed,
    Stopped,
    Task,
    Warned,
    event_from_line,
    task_to_line,
)
from bakeoff.execution.program import command
from bakeoff.execution.worker import STOP

ATTEMPTS = 2
"""How often a run is started whose process dies without a word."""

KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
"""Keeps glibc from giving each step's large tensors back to the system and mapping them anew, zeroed page by page:
AlexNet's step on 8x8 pictures takes 0.31 s instead of 0.40 s on two cores. Other C libraries ignore it."""


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that trains with so many threads; what the user has set of it stays."""
    return KEEP_FREED_MEMORY | os.environ | {"OMP_NUM_THREADS": str(threads)}


def _started(threads: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("bakeoff.execution.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(threads),
        start_new_session=True,  # Ctrl-C reaches the driver alone, which asks its workers to stop
    )


class EarlyWorker:
    """A worker process that loads what training needs while its study is still being planned.

    Use it as a context, and give it to the executor, which makes it its first worker. If no executor has taken
    it by the end of the context, it is ended.
    """

    def __enter__(self) -> Self:
        self._process: subprocess.Popen[str] | None = _started(usable_cores())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self.taken()
        if process is not None:
            process.kill()
            with process:  # waits, and closes the pipes
                return

    def taken(self) -> subprocess.Popen[str] | None:
        """Give the process away, to the first who asks."""
        process, self._process = self._process, None
        return process


class _Worker:
    """A worker process with at most one task."""

    def __init__(
        self,
        number: int,
        inbox: queue.SimpleQueue[tuple[_Worker, Event | None]],
        process: subprocess.Popen[str],
    ) -> None:
        self.number = number
        self.task: Task | None = None
        self.process = process
        self._inbox = inbox
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self._inbox.put((self, event_from_line(line)))
        except ValueError:  # a line cut off where the process died, or one after which nothing it says can be trusted
            self.process.kill()
        finally:
            self._inbox.put((self, None))

    def send(self, line: str) -> None:
        """Write a line to the worker; one that is dead is noticed by its reader."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return

    def start(self, task: Task) -> None:
        self.task = task
        self.send(task_to_line(task))

    def close(self, *, kill: bool = False) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if kill:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            self.process.stdin.close()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()


class LocalExecutor:
    """Trains tasks in worker processes, each with its own threads.

    Args:
        workers: Processes at once.
        threads: Threads in each; the tasks' own numerics decide, this only keeps libraries from claiming more.
        early: A process that was started for it before; it becomes the first worker.
    """

    def __init__(self, workers: int, threads: int, early: EarlyWorker | None = None) -> None:
        self._count = workers
        self._early = early
        self._threads = threads
        self._workers: list[_Worker] = []
        self._stopping = False
        self._told_to_stop = False

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Train the tasks in order, as many at once as there are workers, and yield what they tell.

        A run whose process dies without a word is started once more from its checkpoint; the second time it fails.
        """
        waiting = deque(tasks)
        attempts: dict[str, int] = {}
        inbox: queue.SimpleQueue[tuple[_Worker, Event | None]] = queue.SimpleQueue()
        try:
            for number in range(min(self._count, len(waiting))):
                process = self._early.taken() if self._early is not None else None
                self._workers.append(_Worker(number, inbox, process or _started(self._threads)))
            while True:
                if self._stopping:
                    waiting.clear()
                    self._tell_to_stop()
                for worker in self._workers:
                    if worker.task is None and waiting:
                        worker.start(waiting.popleft())
                if not any(worker.task for worker in self._workers):
                    return
                try:
                    worker, event = inbox.get(timeout=0.2)
                except queue.Empty:
                    continue  # so that signals are handled while nothing happens
                if event is not None:
                    if isinstance(event, Ended | Failed | Stopped):
                        worker.task = None
                    yield event
                elif worker in self._workers:
                    yield from self._replace(worker, waiting, attempts, inbox)
        finally:
            self._close()

    def stop(self) -> None:
        """Ask every worker to save its run and stop; `run` ends when they have.

        It may be called by a signal's handler, which may interrupt `run` anywhere, in the middle of a line to a worker
        too. So `run` itself tells the workers, within a fifth of a second.
        """
        self._stopping = True

    def _tell_to_stop(self) -> None:
        if not self._told_to_stop:
            self._told_to_stop = True
            for worker in self._workers:
                worker.send(STOP)

    def _replace(
        self,
        dead: _Worker,
        waiting: deque[Task],
        attempts: dict[str, int],
        inbox: queue.SimpleQueue[tuple[_Worker, Event | None]],
    ) -> Iterator[Event]:
        """Put a fresh process in a dead one's place, and its task back into the queue."""
        task = dead.task
        dead.close()
        code = dead.process.returncode
        self._workers[self._workers.index(dead)] = _Worker(dead.number, inbox, _started(self._threads))
        if task is None:
            return
        run_id = task.run.id
        attempts[run_id] = attempts.get(run_id, 1) + 1
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if attempts[run_id] > ATTEMPTS:
            yield Failed(
                run_id,
                f"its process ended {how} twice, most often for lack of memory; lower --workers or the batch size",
                "",
            )
        elif not self._stopping:
            yield Warned(run_id, f"its process ended {how}; it goes on from its last checkpoint")
            waiting.appendleft(task)
        else:
            yield Stopped(run_id)

    def _close(self) -> None:
        for worker in self._workers:
            worker.close(kill=worker.task is not None)
        self._workers.clear()
