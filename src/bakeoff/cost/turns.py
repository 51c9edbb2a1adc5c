"""Measuring candidates by turns: each in a process of its own that rests while another works.

So the machine's slow minutes fall on all alike, and no candidate's memory is another's. The parent asks, the processes
(see `meter.py`) answer; they end with their standard input, however the parent dies.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bakeoff.cost.conditions import load_average, processor_time
from bakeoff.cost.effort import Effort, Span
from bakeoff.cost.figures import Measured, Surroundings, cost_of
from bakeoff.cost.messages import BatchTurn, EnergyTurn, LatencyTurn, Prepared, TrainTurn, Work, command, work_to_line
from bakeoff.cost_records import Cost
from bakeoff.execution import program
from bakeoff.execution.local import environment
from bakeoff.execution.machine import MEMORY_A_PROCESS, available_memory

ENOUGH = 1.05
"""Doubling a batch must bring so many times the pictures a second, or it is not worth it."""

FRUITLESS = 2
"""Doublings in a row that are not worth it, after which no more are tried."""

REST_SECONDS = 0.2
"""Seconds before each round in which all processes rest, and the work of others is read."""

MOST_TOGETHER = 8

STAGES = 2
"""Turns of each candidate besides the rounds: preparing, and trying batches."""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A candidate that could not be measured."""

    reason: str


def measure(
    works: Sequence[Work], effort: Effort, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Cost | Unmeasured]:
    """Measure what candidates cost, by turns.

    More candidates than memory allows at once are measured in groups, one after the other.

    Args:
        works: The candidates.
        effort: How much is measured of each.
        on_progress: Told of the progress: steps done, of how many.

    Returns:
        The cost of each, or why it could not be measured.
    """
    together, steps = _together(), (effort.rounds + STAGES) * len(works)
    found: list[Cost | Unmeasured] = []
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(done, steps)

    on_progress(0, steps)
    for start in range(0, len(works), together):
        found += _Turns(works[start : start + together], effort, step).run()
    return found


def _together() -> int:
    """Return how many processes may be alive at once."""
    free = available_memory()
    return MOST_TOGETHER if free is None else max(1, min(MOST_TOGETHER, free // MEMORY_A_PROCESS))


class _Turns:
    """Candidates that take turns."""

    def __init__(self, works: Sequence[Work], effort: Effort, on_step: Callable[[], None]) -> None:
        self._works, self._effort, self._on_step = works, effort, on_step
        self._busy: list[float] = []
        self._meters: list[_Meter] = []

    def run(self) -> list[Cost | Unmeasured]:
        date, load = datetime.now(UTC).isoformat(timespec="seconds"), load_average()
        try:
            for work in self._works:
                self._meters.append(_Meter(work, self._effort))  # all load torch at the same time
            self._each(_Meter.prepare)
            self._each(_Meter.try_batches)
            for number in range(self._effort.rounds):
                self._rest()
                self._each(_Meter.later_turn if number else _Meter.first_turn)
            for meter in self._meters:
                meter.attempt(lambda meter: meter.read_energy(users=len(self._meters)))
            busy = statistics.median(self._busy) if self._busy else None
            around = Surroundings(date=date, beside=len(self._meters) - 1, load=load, busy=busy)
            return [meter.result(around) for meter in self._meters]
        finally:
            for meter in self._meters:
                meter.end()

    def _each(self, do: Callable[[_Meter], None]) -> None:
        """Let every candidate have its turn."""
        for meter in self._meters:
            meter.attempt(do)
            self._on_step()

    def _rest(self) -> None:
        before = processor_time()
        time.sleep(REST_SECONDS)
        after = processor_time()
        if before is not None and after is not None:
            busy = after.busy_since(before)
            self._busy += [] if busy is None else [busy]


class _EndedError(Exception):
    """A measuring process has ended; the message carries its last words."""


class _Meter:
    """A measuring process, and what it has told so far."""

    def __init__(self, work: Work, effort: Effort) -> None:
        self._work, self._effort = work, effort
        self._measured = Measured()
        self._failure: str | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        self._process = subprocess.Popen(
            # -P keeps the current folder, which may hold anything, from being searched for modules.
            program.command("bakeoff.cost.meter"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
            encoding="utf-8",
            env=environment(work.numerics.threads),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which ends its processes
        )

    def attempt(self, do: Callable[[_Meter], None]) -> None:
        """Do something, unless it has failed before; a failure is kept, and does not touch the others."""
        if self._failure is None:
            try:
                do(self)
            except _EndedError as error:
                self._failure = str(error)

    def result(self, around: Surroundings) -> Cost | Unmeasured:
        if self._failure is not None:
            return Unmeasured(self._failure)
        return cost_of(self._work, self._measured, self._effort, around)

    def prepare(self) -> None:
        self._say(work_to_line(self._work))
        told = self._asked("prepare", steps=self._effort.train_warm_up)
        self._measured.prepared = Prepared(**told)

    def try_batches(self) -> None:
        """Double the batch until that brings little, or memory or the effort sets an end."""
        self._measured.peak = self._asked("peak")["macs_per_second"]
        batch, best, fruitless, room = 1, 0.0, 0, True
        while room and batch <= self._effort.largest_batch and fruitless < FRUITLESS:
            turn = self._batch(batch, self._effort.batch)
            if not turn.seconds:
                break
            speed = batch / statistics.median(turn.seconds)
            self._measured.curve.append((batch, speed))
            if speed > ENOUGH * best:
                self._measured.best_batch, fruitless = batch, 0
            else:
                fruitless += 1
            # A call that takes longer than the whole span is slow enough; a batch twice as large adds nothing but time.
            room = turn.room and turn.seconds[0] < self._effort.batch.most_seconds
            batch, best = 2 * batch, max(best, speed)

    def first_turn(self) -> None:
        self._turn(self._effort.warm_up)

    def later_turn(self) -> None:
        self._turn(self._effort.later_warm_up)

    def _turn(self, warm_up: Span) -> None:
        effort, measured = self._effort, self._measured
        measured.latency.append(LatencyTurn(**self._asked("latency", warm_up=warm_up, calls=effort.latency)))
        measured.batch_seconds += self._batch(measured.best_batch, effort.batch).seconds
        measured.train.append(TrainTurn(**self._asked("train", calls=effort.train)))

    def read_energy(self, users: int) -> None:
        seconds = self._effort.energy_seconds
        told = self._asked("energy", batch=self._measured.best_batch, seconds=seconds, users=users)
        if "reason" in told:
            self._measured.no_energy = told["reason"]
        else:
            self._measured.energy = EnergyTurn(**told)

    def _batch(self, batch: int, calls: Span) -> BatchTurn:
        return BatchTurn(**self._asked("forward", batch=batch, calls=calls))

    def _asked(self, do: str, **values: Any) -> dict[str, Any]:
        """Return the answer to a command."""
        self._say(command(do, **values))
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise _EndedError(self._last_words())
        told: dict[str, Any] = json.loads(line)
        return told

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead, which is noticed when no answer comes
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip().splitlines()
        if words:
            return words[-1]
        killed = "it was killed, most often for lack of memory"
        return killed if code < 0 else f"its process ended with exit code {code}"

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()
        self._words.close()
