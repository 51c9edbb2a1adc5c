"""A run is computed as its numerics say, from its first step to its last, however often it is stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bakeoff.training.checkpoint import load
from bakeoff.training.convolution import joined
from bakeoff.training.convolution.joined import JoiningConv2d
from bakeoff.training.kernels.normalization import FusedBatchNorm2d
from bakeoff.training.trainer import Hooks, Interrupted, Trainer
from tests.builders import numerics, one_run, small_dataset
from tests.training.tiny import trained, use_network


def separable_network() -> nn.Sequential:
    """An inverted residual's layers as networks have them, between a convolution and a linear head."""
    widened = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6())
    filtered = nn.Sequential(nn.Conv2d(24, 24, 3, 2, 1, groups=24, bias=False), nn.BatchNorm2d(24), nn.ReLU6())
    narrowed = (nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(widened, filtered, *narrowed), *head)


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if (reason := joined.unavailable()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize(
    ("normalization", "compiled", "joining"), [("library", 0, 0), ("compiled", 3, 0), ("joined", 3, 1)]
)
def test_a_network_gets_the_kernels_that_its_numerics_name(
    normalization: str, compiled: int, joining: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, separable_network)
    run = one_run(small_dataset(), batch_size=8)
    how = numerics(run, normalization=normalization)
    network = Trainer(run, small_dataset(), how, 8, None, tmp_path, Hooks()).network
    assert sum(isinstance(layer, FusedBatchNorm2d) for layer in network.modules()) == compiled
    assert sum(isinstance(layer, JoiningConv2d) for layer in network.modules()) == joining


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_joined_layers_train_as_pytorchs_do(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, separable_network)
    dataset = small_dataset(train=48)
    run = one_run(dataset, study={"precision": precision}, optimizer="sgd", learning_rate=0.05, epochs=2, batch_size=8)
    losses = []
    for normalization in ("library", "joined"):
        records, _ = trained(run, dataset, tmp_path / normalization, how=numerics(run, normalization=normalization))
        losses.append([record.train_loss for record in records])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4 if precision == "float32" else 2e-2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_joined_run_that_was_stopped_after_every_step_equals_one_that_was_not(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, separable_network)
    dataset = small_dataset(train=24)
    run = one_run(dataset, study={"precision": precision}, optimizer="sgd", epochs=2, batch_size=8)
    how = numerics(run, normalization="joined")
    whole, _ = trained(run, dataset, tmp_path / "whole", how=how)
    stops, pieces = 0, []
    while not pieces:
        try:
            pieces, _ = trained(run, dataset, tmp_path / "pieces", how=how, hooks=Hooks(stop=lambda: True))
        except Interrupted:
            stops += 1
    assert stops > len(whole)
    timeless = [
        [replace(record, seconds_train=0.0, seconds_wait=0.0, seconds_evaluate=0.0) for record in records]
        for records in (pieces, whole)
    ]
    assert timeless[0] == timeless[1]
    ends = [load(tmp_path / folder, run.id, pytest.fail) for folder in ("whole", "pieces")]
    assert all(end is not None for end in ends)
    assert all(torch.equal(value, ends[1].network[name]) for name, value in ends[0].network.items())
