"""Networks that train in a second, put in the place of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from bakeoff.data import Dataset
from bakeoff.data.batches import derived_seed
from bakeoff.records import EpochRecord, Health, Numerics, RunResult
from bakeoff.spec import RunSpec
from bakeoff.training import trainer
from bakeoff.training.loop import train
from bakeoff.training.trainer import Hooks
from tests.builders import numerics


def small_network(classes: int = 4, channels: int = 8) -> nn.Sequential:
    """Two convolutions, the first before batch normalisation, and a linear head, on 8x8 pictures."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * channels, classes),
    )


def use_network(monkeypatch: pytest.MonkeyPatch, make: Callable[[], nn.Module]) -> Callable[[RunSpec], nn.Module]:
    """Let every run train this network, with the weights of its seed; return what builds it."""

    def build(run: RunSpec, dataset: Dataset | None = None) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, 0, "weights"))
            return make()

    monkeypatch.setattr(trainer, "build_network", build)
    return build


def trained(
    run: RunSpec, dataset: Dataset, folder: Path, *, hooks: Hooks | None = None, how: Numerics | None = None
) -> tuple[list[EpochRecord], RunResult]:
    """Train a run to its end."""
    records = train(
        run, dataset, numerics=how or numerics(run), folder=folder, predictions=folder / "predictions.npz", hooks=hooks
    )
    found = []
    try:
        while True:
            found.append(next(records))
    except StopIteration as end:
        return found, end.value


def health_of(run: RunSpec, dataset: Dataset, folder: Path) -> Health:
    """Train a run to its end and return what was seen."""
    _, result = trained(run, dataset, folder)
    assert result.health is not None
    return result.health
