"""A short trial of one run in a process of its own: seconds a step, seconds a scored picture, memory, checkpoint size.

Started as `python -m bakeoff.execution.probe` with a task on standard input, so that the peak of memory is this run's
and no other's. Nothing is trained to keep.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bakeoff.errors import StudyError
from bakeoff.execution.local import environment
from bakeoff.execution.machine import peak_memory
from bakeoff.execution.messages import Task, task_from_line, task_to_line

WARM_UP_STEPS = 2
TIMED_STEPS = 20
"""At most; slow networks are timed for `TIMED_SECONDS` and at least 3 steps."""

TIMED_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a short trial measured."""

    seconds_a_step: float
    """Median of the timed steps: assembling, forward, backward, update."""

    steps_timed: int
    seconds_a_scored_picture: float
    peak_memory: int | None
    """Bytes: the process's peak resident size, or the allocator's peak on a GPU; None where the system has no counter."""

    checkpoint: int
    """Bytes of the weights with the optimizer's state."""


def probe(task: Task) -> Probe:
    """Try a task for a few steps in a fresh process.

    Raises:
        StudyError: If the trial fails; the message carries its last words.
    """
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "bakeoff.execution.probe"],
        input=task_to_line(task),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(task.numerics.threads),
        check=False,
    )
    if finished.returncode != 0:
        last_words = finished.stderr.strip().splitlines()[-1:] or [f"exit code {finished.returncode}"]
        raise StudyError(f"the trial of {task.run.candidate.model} failed: {last_words[0]}")
    return Probe(**json.loads(finished.stdout))


def measure(task: Task) -> Probe:
    """Try a task for a few steps in this process."""
    import torch

    from bakeoff.data import open_cached
    from bakeoff.training.loop import Hooks, Trainer

    torch.set_num_threads(task.numerics.threads)
    trainer = Trainer(
        task.run, open_cached(task.dataset), task.numerics, task.numerics.micro_batch, None, task.checkpoints, Hooks()
    )
    trainer.network.train()
    batches = trainer.batches.shuffled(task.run.candidate.recipe.batch_size, task.run.seed, 1)
    seconds: list[float] = []
    for step in range(min(trainer.steps, WARM_UP_STEPS + TIMED_STEPS)):
        started = time.perf_counter()
        trainer.step(*next(batches), step)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        seconds.append(time.perf_counter() - started)
        if len(seconds) >= WARM_UP_STEPS + 3 and sum(seconds[WARM_UP_STEPS:]) > TIMED_SECONDS:
            break
    timed = seconds[WARM_UP_STEPS:] or seconds
    scored = trainer.score_once()
    state = [*trainer.network.state_dict().values()]
    state += [value for slots in trainer.optimizer.state.values() for value in slots.values() if torch.is_tensor(value)]
    return Probe(
        seconds_a_step=statistics.median(timed),
        steps_timed=len(timed),
        seconds_a_scored_picture=scored,
        peak_memory=peak_memory(trainer.device),
        checkpoint=sum(value.numel() * value.element_size() for value in state),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(task_from_line(sys.stdin.read())))))
