"""A run's first steps are the same again with its seed, and others with another."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from torch import nn

from bakeoff.records import Repeat
from bakeoff.training import trainer
from bakeoff.training.repeat import STEPS, repeat_start
from tests.builders import numerics, one_run, small_dataset
from tests.training.tiny import small_network, use_network


def repeated(**recipe: object) -> Repeat:
    dataset = small_dataset()
    run = one_run(dataset, **{"epochs": 10, **recipe})
    return repeat_start(run, dataset, numerics(run))


def test_a_sound_run_is_the_same_again_and_another_with_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    found = repeated()
    assert found == Repeat(seed=0, steps=STEPS, tensors=found.tensors, unlike=0, seed_decides=True)
    assert found.tensors == len(small_network().state_dict())


def test_a_run_that_ends_before_is_compared_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    found = repeated(epochs=1)
    assert 0 < found.steps < STEPS
    assert found.unlike == 0


def test_steps_are_counted_over_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    steps, plain = count(), trainer.Trainer.step
    monkeypatch.setattr(trainer.Trainer, "step", lambda *given: (next(steps), plain(*given))[1])
    found = repeated(batch_size=32)  # 3 steps an epoch
    assert next(steps) == 3 * found.steps == 3 * STEPS


class Drawing(nn.Module):
    """A network that draws from a generator of its own, which no seed reaches."""

    def __init__(self, chance: torch.Generator) -> None:
        super().__init__()
        self.inner, self.chance = small_network(), chance

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        noisy: torch.Tensor = self.inner(pictures + torch.randn(pictures.shape, generator=self.chance))
        return noisy


def test_draws_that_no_seed_reaches_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = torch.Generator().manual_seed(0)
    use_network(monkeypatch, lambda: Drawing(chance))
    assert repeated().unlike > 0


def test_a_seed_that_is_constant_in_the_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(run: object, dataset: object) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
        nn.init.zeros_(network[1].weight)
        return network

    plain = trainer.Batches.shuffled
    monkeypatch.setattr(trainer, "build_network", build)
    monkeypatch.setattr(trainer.Batches, "shuffled", lambda one, size, seed, *rest: plain(one, size, 7, *rest))
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda layer: nn.init.zeros_(layer.bias))
    found = repeated()
    assert (found.unlike, found.seed_decides) == (0, False)
