"""Flags laid over a study file: which entries they keep, and whom they reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bakeoff.flags import adapted_spec
from bakeoff.spec import DataFacts, StudySpec

SPEED = Path(__file__).parents[1] / "studies" / "speed.toml"

CIFAR = DataFacts(
    fingerprint="f" * 12, size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)


def study(*entries: dict[str, Any]) -> StudySpec:
    return StudySpec.from_mapping({"candidates": list(entries)})


def test_models_keeps_the_entries_of_just_the_models_named() -> None:
    spec, _ = adapted_spec(study({"model": "vgg11_bn", "epochs": 3}), models=["vgg11"])
    assert [entry.model_dump(exclude_none=True) for entry in spec.candidates] == [{"model": "vgg11"}]
    both = study({"model": ["vgg11", "vgg11_bn"], "epochs": 3}, {"model": "vgg11", "epochs": 4})
    spec, _ = adapted_spec(both, models=["vgg11"])
    assert [(entry.model, entry.epochs) for entry in spec.candidates] == [("vgg11", 3), ("vgg11", 4)]


def test_a_recipe_flag_holds_for_every_candidate_also_for_one_with_a_recipe_by_name() -> None:
    spec, _ = adapted_spec(SPEED, epochs=3, learning_rate=[0.01, 0.02], batch_size=[32])
    speed, other = spec.candidates
    assert (speed.recipe, speed.model, other.model) == ("speed", "speednet", "resnet18")
    for candidate in spec.resolve(CIFAR).candidates:
        assert (candidate.recipe.epochs, candidate.recipe.batch_size) == (3, 32)
    rates = [(one.model, one.recipe.learning_rate) for one in spec.resolve(CIFAR).candidates]
    assert rates == [("speednet", 0.01), ("speednet", 0.02), ("resnet18", 0.01), ("resnet18", 0.02)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_optimizer_by_flag_brings_its_own_learning_rate_to_a_recipe_by_name(optimizer: str) -> None:
    spec, _ = adapted_spec(SPEED, optimizer=[optimizer])
    one, other = (candidate.recipe for candidate in spec.resolve(CIFAR).candidates)
    assert one.optimizer == other.optimizer == optimizer
    assert one.learning_rate == other.learning_rate
    assert one.label_smoothing == 0.2  # the rest of the recipe stays


def test_a_budget_by_flag_decides_the_epochs_of_a_recipe_by_name_too() -> None:
    spec, _ = adapted_spec(SPEED, protocol="time", budget="10min")
    assert all(entry.epochs is None for entry in spec.candidates)
