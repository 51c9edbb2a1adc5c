"""How a candidate is trained."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bakeoff.spec.base import Decay, OptimizerName, PositiveInt, Rate, ScheduleName, Spec

DEFAULT_LEARNING_RATES: dict[OptimizerName, float] = {
    "adam": 0.001,  # Kingma & Ba 2015, section 2
    "adamw": 0.001,  # Loshchilov & Hutter 2019, section 4
    "sgd": 0.01,  # with momentum 0.9: Krizhevsky et al. 2012, section 5
}


class Recipe(Spec):
    """How a candidate is trained, every value decided."""

    optimizer: OptimizerName
    learning_rate: Rate
    schedule: ScheduleName
    epochs: PositiveInt
    batch_size: PositiveInt
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    weight_decay: Decay
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of SGD; the others have their own and ignore it."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"`warmup_epochs` must be below `epochs`, but got {self.warmup_epochs} and {self.epochs}")
        return self


class RecipeGrid(Spec):
    """How candidates are trained. A list is a grid axis: every combination becomes a candidate."""

    optimizer: OptimizerName | list[OptimizerName] | None = None
    """Default adam."""

    learning_rate: Rate | list[Rate] | None = None
    """Default by optimizer: `DEFAULT_LEARNING_RATES`."""

    schedule: ScheduleName | list[ScheduleName] | None = None
    """Default cosine."""

    epochs: PositiveInt | list[PositiveInt] | None = None
    """Default 10. Each length is a run of its own: under a schedule, 10 epochs are no prefix of 30."""

    batch_size: PositiveInt | list[PositiveInt] | None = None
    """Default 64."""

    warmup_epochs: float | list[float] | None = None
    """Epochs (or a part of one) over which the rate climbs from near 0. Default 0."""

    weight_decay: Decay | list[Decay] | None = None
    """Default 0. Decoupled for adamw, added to the gradient for the others."""

    momentum: float | list[float] | None = None
    """Of SGD. Default 0.9."""

    label_smoothing: float | list[float] | None = None
    """Default 0."""


RECIPE_DEFAULTS: dict[str, Any] = {
    "optimizer": "adam",
    "schedule": "cosine",
    "epochs": 10,
    "batch_size": 64,
    "warmup_epochs": 0.0,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "label_smoothing": 0.0,
}
