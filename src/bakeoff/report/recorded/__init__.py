"""What the paper's author recorded: "Realm of Deep Learning", Hu Xiaolong, The University of Adelaide.

`curves.csv` has every recorded epoch of training, `tests.csv` the four test results of ResNet-18. They are numbers read
from the training log and the notebook outputs published with the paper
(https://github.com/SpiderJockey7/Realm-of-Deep-Learning): CIFAR-10, batches of 64, constant rates, one seed, each network
with a view of its own; the test pictures went through the random training view.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

RecipeKey = tuple[str, str, float]
"""Model, optimizer, learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCurve:
    """One recorded run's training."""

    epochs: tuple[int, ...]
    losses: tuple[float, ...]
    """Loss of each epoch, in nats a picture."""

    accuracies: tuple[float, ...]
    """Shares in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedScore:
    """One recorded run's test result."""

    loss: float
    accuracy: float


def recorded_curves() -> dict[RecipeKey, RecordedCurve]:
    """Return the recorded curves; of two runs of one recipe the longer."""
    runs: defaultdict[tuple[RecipeKey, str], list[dict[str, str]]] = defaultdict(list)
    for row in _rows("curves.csv"):
        runs[_recipe(row), row["epochs_planned"]].append(row)
    curves: dict[RecipeKey, RecordedCurve] = {}
    for (recipe, _), rows in sorted(runs.items(), key=lambda run: len(run[1])):
        curves[recipe] = RecordedCurve(
            epochs=tuple(int(row["epoch"]) for row in rows),
            losses=tuple(float(row["train_loss"]) for row in rows),
            accuracies=tuple(float(row["train_accuracy"]) for row in rows),
        )
    return curves


def recorded_scores() -> dict[RecipeKey, RecordedScore]:
    """Return the recorded test results."""
    return {
        _recipe(row): RecordedScore(loss=float(row["test_loss"]), accuracy=float(row["test_accuracy"]))
        for row in _rows("tests.csv")
    }


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _recipe(row: Mapping[str, str]) -> RecipeKey:
    return row["model"], row["optimizer"], float(row["learning_rate"])
