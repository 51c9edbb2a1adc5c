"""Small data sets and runs that tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.data import Dataset, Pictures
from bakeoff.records import Numerics
from bakeoff.spec import Recipe, RunSpec, StudySpec
from bakeoff.study import facts_of


def random_pictures(count: int, classes: int, size: int, seed: int) -> Pictures:
    """Noise in which each class has its own brightness, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    pixels = generator.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
    return Pictures(pixels + (labels * (130 // classes)).astype(np.uint8)[:, None, None, None], labels)


def small_dataset(*, train: int = 96, test: int = 24, classes: int = 4, size: int = 8) -> Dataset:
    """A data set in memory, quick to train on."""
    return Dataset(
        name="small",
        folder=Path("nowhere"),
        fingerprint=f"small-{train}-{test}-{classes}-{size}",
        classes=tuple(f"class {number}" for number in range(classes)),
        train=random_pictures(train, classes, size, 1),
        validation=None,
        test=random_pictures(test, classes, size, 2),
        mean=(0.45, 0.45, 0.45),
        std=(0.2, 0.2, 0.2),
        flippable=True,
        notes=(),
    )


def one_run(
    dataset: Dataset,
    model: str = "shufflenet_v2_x0_5",
    *,
    seed: int = 0,
    study: dict[str, Any] | None = None,
    **recipe: Any,
) -> RunSpec:
    """The only run of a study of one model, by default the smallest of torchvision's at its published stem.

    Keys of the recipe are given as arguments, keys of the study as a dictionary.
    """
    content: dict[str, Any] = {
        "seeds": [seed],
        "stem": "original",
        "data": {"validation": 0.25},
        "recipe": {"epochs": 2, "batch_size": 16} | recipe,
        "candidates": [{"model": model}],
    }
    (run,) = StudySpec.from_mapping(content | (study or {})).resolve(facts_of(dataset, None)).runs()
    return run


def numerics(run: RunSpec, **changes: Any) -> Numerics:
    """One thread on the CPU."""
    values = {"device": "cpu", "threads": 1, "channels_last": True, "micro_batch": run.candidate.recipe.batch_size}
    return Numerics(**values | changes)


def recipe(**changes: object) -> Recipe:
    """A recipe with every value decided."""
    values: dict = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "constant",
        "epochs": 4,
        "batch_size": 64,
        "warmup_epochs": 0.0,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "label_smoothing": 0.0,
    }
    return Recipe.model_validate(values | changes)
