"""Training one run: a generator of epoch records that can stop at any step and go on bit for bit.

`train` knows nothing of the results database, the search or the screen. After each epoch it saves a checkpoint that
holds the whole history, then yields the epoch's record; resumed, it first yields the records it had.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from bakeoff.data.dataset import Dataset
from bakeoff.records import EpochRecord, Numerics, RunResult
from bakeoff.spec import RunSpec
from bakeoff.training import checkpoint as checkpoints
from bakeoff.training.memory import MemoryShortError
from bakeoff.training.threads import torch_threads
from bakeoff.training.trainer import Hooks, Trainer


def train(
    run: RunSpec, dataset: Dataset, *, numerics: Numerics, folder: Path, predictions: Path, hooks: Hooks | None = None
) -> Generator[EpochRecord, None, RunResult]:
    """Train a run, from its last checkpoint if it has one.

    Args:
        run: What to train.
        dataset: The pictures it was specified on.
        numerics: What decides the last bits; the same as when the run first started.
        folder: Where the run's checkpoints are; no other process may train it meanwhile.
        predictions: File for the test predictions, written at the end.
        hooks: What to ask and tell on the way.

    Yields:
        The record of each epoch, those before a resume included.

    Returns:
        How the run ended: done, or diverged at a loss that was not finite.

    Raises:
        Interrupted: After `hooks.stop` was true and the state is saved.
        StudyError: If a checkpoint cannot be written or belongs to another run.
    """
    hooks = hooks or Hooks()
    told = 0
    checkpoints.clear(folder)
    state = checkpoints.load(folder, run.id, hooks.warn)
    micro_batch = numerics.micro_batch
    while True:
        try:
            with torch_threads(numerics.threads):
                trainer = Trainer(run, dataset, numerics, micro_batch, state, folder, hooks)
                for record in trainer.history[told:]:
                    told += 1
                    yield record
                for record in trainer.epochs():
                    told += 1
                    yield record
                return trainer.finish(predictions)
        except MemoryShortError:
            micro_batch = trainer.micro_batch // 2
            hooks.warn(
                f"memory is short: going on with {micro_batch} pictures at once and gradients accumulated to the batch of "
                f"{run.candidate.recipe.batch_size}"
            )
            del trainer
            state = checkpoints.load(folder, run.id, hooks.warn)
            if state is not None:
                state.progress.micro_batch = micro_batch
