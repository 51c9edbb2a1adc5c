"""Kills a study again and again, for the test that nothing is lost by it: `killing.py STUDY.toml OUT SEED KILLS`.

Starting Python and torch takes seconds, in which a kill proves little. So this program loads them once and forks: each
child runs the whole driver (plan, database, checkpoints, predictions) with its runs in the same process, on one thread,
and is killed with SIGKILL at a random moment: every other one early, maybe before it trains, the rest once they have
saved an epoch, however slow the machine. At the end one child may finish. It prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from bakeoff import study
from bakeoff.data import open_cached
from bakeoff.execution.messages import Ended, EpochDone, Event, Started, Task
from bakeoff.report.progress import StudyProgress
from bakeoff.spec import StudySpec
from bakeoff.study import driver
from bakeoff.training.loop import train


class SameProcess:
    """Trains tasks one after the other in the process that asks."""

    def __init__(self, workers: int, threads: int, early: object = None) -> None:
        """Take what the executor of processes takes."""

    def stop(self) -> None:
        """Nothing to stop."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            task.checkpoints.mkdir(parents=True, exist_ok=True)
            yield Started(task.run.id)
            records = train(
                task.run,
                open_cached(task.dataset),
                numerics=task.numerics,
                folder=task.checkpoints,
                predictions=task.predictions,
            )
            try:
                while True:
                    yield EpochDone(task.run.id, next(records))
            except StopIteration as end:
                yield Ended(task.run.id, end.value)


def child(planned: study.Plan) -> int:
    """Fork a process that runs the study, and return its id."""
    process = os.fork()
    if process:
        return process
    study.execute(planned, StudyProgress(quiet=True))
    os._exit(0)


def newest_checkpoint(out: Path) -> int:
    """When a run's state was last saved, in nanoseconds; 0 if never."""
    return max((path.stat().st_mtime_ns for path in out.glob("checkpoints/*/last.ckpt")), default=0)


def wait_until_it_trains(process: int, out: Path, before: int) -> None:
    """Wait until the child has saved an epoch of its own, or has ended."""
    while newest_checkpoint(out) == before:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.005)


def main() -> None:
    """Kill, then let it finish."""
    toml, out, seed, kills = sys.argv[1:]
    torch.set_num_threads(1)
    driver.LocalExecutor = SameProcess  # type: ignore[assignment,misc]
    planned = study.plan(StudySpec.from_file(Path(toml)), out=Path(out), device="cpu", workers=2, costs=False)
    examined = driver.examine(planned)  # once, so that kills come while something is trained
    driver.examine = lambda *_: examined  # type: ignore[assignment]
    moment, killed, while_training = random.Random(int(seed)), 0, 0
    while killed < int(kills):
        before = newest_checkpoint(Path(out))
        process = child(planned)
        if killed % 2:
            wait_until_it_trains(process, Path(out), before)
            time.sleep(moment.uniform(0, 0.1))
        else:
            time.sleep(moment.uniform(0, 0.4))
        training = newest_checkpoint(Path(out)) != before
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            while_training += training
        else:
            break  # it was done before the moment came
    _, status = os.waitpid(child(planned), 0)
    sys.stdout.write(json.dumps({"killed": killed, "while_training": while_training}))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
