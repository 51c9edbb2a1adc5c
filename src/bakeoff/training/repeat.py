"""Whether a seed decides a run: its first steps taken twice with one seed, and once with another."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from bakeoff.data.dataset import Dataset
from bakeoff.records import Numerics, Repeat
from bakeoff.spec import RunSpec
from bakeoff.training import checkpoint
from bakeoff.training.loop import Hooks, Interrupted, train

STEPS = 20
"""Enough for every source of chance to be drawn from: weights, order, views, dropout."""

Weights = dict[str, torch.Tensor]


def repeat_start(run: RunSpec, dataset: Dataset, numerics: Numerics) -> Repeat:
    """Train a run's first steps twice from nothing, and those of another seed, by the code that trains every run.

    Args:
        run: What to train; nothing of it is kept.
        dataset: The pictures that it was specified on.
        numerics: What decides the last bits.

    Raises:
        StudyError: If there is no room for a checkpoint among the temporary files.
    """
    first, again = (_weights_after(STEPS, run, dataset, numerics) for _ in range(2))
    other = _weights_after(STEPS, run.model_copy(update={"seed": run.seed + 1}), dataset, numerics)
    return Repeat(
        seed=run.seed,
        steps=STEPS,
        tensors=len(first),
        unlike=_unlike(first, again),
        seed_decides=_unlike(first, other) > 0,
    )


def _weights_after(steps: int, run: RunSpec, dataset: Dataset, numerics: Numerics) -> Weights:
    """Return all that a network holds after so many steps, or at its run's end if that comes first."""
    left = iter(range(steps - 1))
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
    return kept.network


def _unlike(one: Weights, other: Weights) -> int:
    """Return how many tensors are not the same, bit for bit."""
    return sum(not torch.equal(_bits(value), _bits(other[name])) for name, value in one.items())


def _bits(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().flatten().view(torch.uint8)
