"""Learning rates follow torch's own schedulers; optimizers are torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bakeoff.training.optim import build_optimizer, learning_rate
from tests.builders import recipe


def rates_of_torch(scheduler_class: type, steps: int, **arguments: object) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = scheduler_class(optimizer, **arguments)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_equals_torchs_annealing() -> None:
    expected = rates_of_torch(torch.optim.lr_scheduler.CosineAnnealingLR, 28, T_max=28)
    assert [learning_rate(recipe(schedule="cosine"), step, 7) for step in range(28)] == pytest.approx(expected)


def test_one_cycle_equals_torchs() -> None:
    expected = rates_of_torch(torch.optim.lr_scheduler.OneCycleLR, 28, max_lr=0.1, total_steps=28, cycle_momentum=False)
    assert [learning_rate(recipe(schedule="one_cycle"), step, 7) for step in range(28)] == pytest.approx(expected)


def test_a_constant_rate_stays() -> None:
    assert {learning_rate(recipe(), step, 7) for step in range(28)} == {0.1}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_warm_up_climbs_evenly_and_meets_the_schedule(schedule: str) -> None:
    warm = recipe(schedule=schedule, warmup_epochs=1.0)
    climb = [learning_rate(warm, step, 7) for step in range(7)]
    assert climb == pytest.approx([0.1 * (step + 1) / 8 for step in range(7)])
    if schedule != "one_cycle":
        assert learning_rate(warm, 7, 7) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (1, 3), (2, 2), (30, 782)])
def test_every_rate_is_finite_and_never_negative_however_short_the_run(schedule: str, epochs: int, steps: int) -> None:
    rates = [learning_rate(recipe(schedule=schedule, epochs=epochs), step, steps) for step in range(epochs * steps)]
    assert all(math.isfinite(rate) and 0 <= rate <= 0.1 + 1e-12 for rate in rates)


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimizers_carry_the_recipes_numbers(name: str, kind: type) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), recipe(optimizer=name, weight_decay=0.01))
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.1
    assert optimizer.defaults["weight_decay"] == 0.01
    if name == "sgd":
        assert optimizer.defaults["momentum"] == 0.9


def test_under_muon_a_network_says_which_parameters_learn_faster() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(2, 2))
    network.rate_factors = lambda: {"0.bias": 7.0}  # type: ignore[assignment]
    groups = build_optimizer(network, recipe(optimizer="muon")).param_groups
    assert {group["factor"]: len(group["params"]) for group in groups} == {1.0: 3, 7.0: 1}


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    (group,) = build_optimizer(layer, recipe()).param_groups
    assert len(group["params"]) == 1
