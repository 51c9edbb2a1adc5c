"""A short trial of runs in processes of their own: seconds a step, seconds a scored picture, memory, checkpoint size.

A program of its own (`execution.program`), which tries one task after another from standard input: it says when it
is ready, waits to be told to go, so that several processes measure at the same time, and writes what it found. In a
fresh process the peak of memory is that of its first task and no other. Nothing is trained to keep.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bakeoff.errors import StudyError
from bakeoff.execution.local import environment
from bakeoff.execution.machine import peak_memory
from bakeoff.execution.messages import Task, task_from_line, task_to_line
from bakeoff.execution.program import command

if TYPE_CHECKING:
    import torch

    from bakeoff.training.trainer import Trainer

WARM_UP_STEPS = 2
TIMED_STEPS = 20
"""Steps that are timed, at most; slow networks are timed for `TIMED_SECONDS` and at least `LEAST_STEPS`."""

TIMED_SECONDS = 4.0
LEAST_STEPS = 3

READY = "ready"
GO = "go"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a short trial measured."""

    seconds_a_step: float
    """Median of the timed steps, of whole batches alone: assembling, forward, backward, update. Where the first epochs have
    smaller inputs, the mean over the whole training."""

    steps_timed: int
    seconds_a_scored_picture: float
    peak_memory: int | None
    """Bytes: the process's peak resident size, or the allocator's peak on a GPU; None where the system has no counter."""

    checkpoint: int
    """Bytes of the weights with the optimizer's state."""


class Trials:
    """Processes that try tasks: each task in all of them at the same time, as workers would keep each other busy.

    Use it as a context. One task after another may be tried; `Probe.peak_memory` is the first one's alone.

    Args:
        at_once: How many processes.
        threads: Of each.
    """

    def __init__(self, at_once: int, threads: int) -> None:
        self._words = [tempfile.TemporaryFile() for _ in range(at_once)]  # noqa: SIM115 (closed by __exit__)
        self._processes = [
            subprocess.Popen(
                command("bakeoff.execution.probe"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                encoding="utf-8",
                env=environment(threads),
            )
            for words in self._words
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, words in zip(self._processes, self._words, strict=True):
            process.kill()
            with process:  # waits, and closes the pipes
                words.close()

    def measure(self, task: Task) -> Probe:
        """Try a task for a few steps, in all processes at once.

        Returns:
            What the first process measured, but the times are means over all.

        Raises:
            StudyError: If the trial fails; the message carries its last words.
        """
        self._tell(task, task_to_line(task))
        for number in range(len(self._processes)):
            self._heard(task, number)
        self._tell(task, GO)
        found = [Probe(**json.loads(self._heard(task, number))) for number in range(len(self._processes))]
        return replace(
            found[0],
            seconds_a_step=statistics.fmean(one.seconds_a_step for one in found),
            seconds_a_scored_picture=statistics.fmean(one.seconds_a_scored_picture for one in found),
        )

    def _tell(self, task: Task, line: str) -> None:
        for number, process in enumerate(self._processes):
            assert process.stdin is not None
            try:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                raise self._failure(task, number) from None

    def _heard(self, task: Task, number: int) -> str:
        stdout = self._processes[number].stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise self._failure(task, number)
        return line

    def _failure(self, task: Task, number: int) -> StudyError:
        code = self._processes[number].wait()
        self._words[number].seek(0)
        said = self._words[number].read().decode("utf-8", errors="replace").strip().splitlines()
        last_words = said[-1] if said else f"exit code {code}"
        return StudyError(f"the trial of {task.run.candidate.model} failed: {last_words}")


def probe(task: Task) -> Probe:
    """Try a task for a few steps in a fresh process.

    Raises:
        StudyError: If the trial fails; the message carries its last words.
    """
    with Trials(1, task.numerics.threads) as trials:
        return trials.measure(task)


def main() -> None:
    """Try the tasks that come, until no more do."""

    def tell(words: str) -> None:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()

    def wait() -> None:
        tell(READY)
        if sys.stdin.readline().strip() != GO:
            sys.exit()  # whoever asked is gone

    for line in iter(sys.stdin.readline, ""):
        tell(json.dumps(asdict(measure(task_from_line(line), wait))))


def measure(task: Task, wait: Callable[[], None] = lambda: None) -> Probe:
    """Try a task for a few steps in this process, in smaller parts where memory is short, as training would.

    Args:
        task: What to try.
        wait: Called once, when everything is warm for the first time, before anything is timed.
    """
    import torch

    from bakeoff.data import open_cached
    from bakeoff.training.memory import MemoryShortError
    from bakeoff.training.trainer import Hooks, Trainer

    torch.set_num_threads(task.numerics.threads)
    dataset, micro_batch, waits = open_cached(task.dataset), task.numerics.micro_batch, [wait]
    while True:
        trainer = Trainer(task.run, dataset, task.numerics, micro_batch, None, task.checkpoints, Hooks())
        try:
            return _tried(trainer, waits)
        except MemoryShortError:
            micro_batch = trainer.micro_batch // 2
            del trainer  # before the next one takes memory


def _tried(trainer: Trainer, waits: list[Callable[[], None]]) -> Probe:
    """Try a training; who waits is called once it is warm, and leaves the list."""
    import torch

    trainer.network.train()
    batches, recipe = _endless(trainer), trainer.recipe
    phases = recipe.phases()
    for side, _ in phases:
        trainer.recipe = recipe.at_side(side)
        for _ in range(WARM_UP_STEPS):
            _seconds(trainer, batches)
    while waits:
        waits.pop()()
    mean, timed = 0.0, 0
    for side, share in phases:
        trainer.recipe = recipe.at_side(side)
        seconds = _timed(trainer, batches, TIMED_SECONDS * share)
        mean, timed = mean + share * statistics.median(seconds), timed + len(seconds)
    scored = trainer.score_once()
    state = [*trainer.network.state_dict().values()]
    state += [value for slots in trainer.optimizer.state.values() for value in slots.values() if torch.is_tensor(value)]
    return Probe(
        seconds_a_step=mean,
        steps_timed=timed,
        seconds_a_scored_picture=scored,
        peak_memory=peak_memory(trainer.device),
        checkpoint=sum(value.numel() * value.element_size() for value in state),
    )


def _endless(trainer: Trainer) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
    """Yield batches with their steps, epoch after epoch, without the short ones at an epoch's end.

    What an epoch takes is found from a batch's pictures and the seconds of its step: where an epoch has few batches, those
    of short ones would make all look quicker.
    """
    epoch, size = 1, trainer.recipe.batch_size
    whole = max(1, len(trainer.batches) // size)
    while True:
        batches = itertools.islice(trainer.batches.shuffled(size, trainer.run.seed, epoch), whole)
        for step, (inputs, labels) in enumerate(batches):
            yield inputs, labels, step
        epoch += 1


def _timed(
    trainer: Trainer, batches: Iterator[tuple[torch.Tensor, torch.Tensor, int]], most_seconds: float
) -> list[float]:
    """Return the seconds of some steps."""
    seconds: list[float] = []
    while len(seconds) < LEAST_STEPS or (len(seconds) < TIMED_STEPS and sum(seconds) <= most_seconds):
        seconds.append(_seconds(trainer, batches))
    return seconds


def _seconds(trainer: Trainer, batches: Iterator[tuple[torch.Tensor, torch.Tensor, int]]) -> float:
    """Return the seconds of one step, its batch's assembling included."""
    import torch

    started = time.perf_counter()
    inputs, labels, step = next(batches)
    trainer.step(inputs, labels, step)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter() - started
