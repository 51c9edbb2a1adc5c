"""Whether a seed decides a run: its first steps taken twice with one seed, and once with another."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from bakeoff.data.dataset import Dataset
from bakeoff.records import Numerics, Repeat
from bakeoff.spec import RunSpec
from bakeoff.training import checkpoint
from bakeoff.training.checkpoint import Checkpoint
from bakeoff.training.loop import train
from bakeoff.training.trainer import Hooks, Interrupted

STEPS = 20
"""Steps that are taken, at most: whether to stop is asked during evaluations, too. Enough to draw from every source of chance:
weights, order, views, dropout."""


def repeat_start(run: RunSpec, dataset: Dataset, numerics: Numerics) -> Repeat:
    """Train a run's first steps twice from nothing, and those of another seed, by the code that trains every run.

    Args:
        run: What to train; nothing of it is kept.
        dataset: The pictures that it was specified on.
        numerics: What decides the last bits.

    Raises:
        StudyError: If there is no room for a checkpoint among the temporary files.
    """
    first, again = (_begun(run, dataset, numerics) for _ in range(2))
    other = _begun(run.model_copy(update={"seed": run.seed + 1}), dataset, numerics)
    return Repeat(
        seed=run.seed,
        steps=sum(record.steps for record in first.progress.history) + first.progress.step,
        tensors=len(first.network),
        unlike=_unlike(first, again),
        seed_decides=_unlike(first, other) > 0,
    )


def _begun(run: RunSpec, dataset: Dataset, numerics: Numerics) -> Checkpoint:
    """Return the state of a run after its first steps, or at its end if that comes first."""
    left = iter(range(STEPS - 1))
    hooks = Hooks(stop=lambda: next(left, None) is None)
    with tempfile.TemporaryDirectory(prefix="bakeoff-repeat-") as name:
        folder = Path(name)
        records = train(
            run, dataset, numerics=numerics, folder=folder, predictions=folder / "predictions.npz", hooks=hooks
        )
        try:
            for _ in records:
                pass
        except Interrupted:
            pass  # after the last of these steps, with its state saved
        kept = checkpoint.load(folder, run.id, hooks.warn)
    assert kept is not None  # a run that ends or is stopped has saved itself
    return kept


def _unlike(one: Checkpoint, other: Checkpoint) -> int:
    """Return how many tensors of two networks are not the same, bit for bit."""
    return sum(not torch.equal(_bits(value), _bits(other.network[name])) for name, value in one.network.items())


def _bits(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().flatten().view(torch.uint8)
