"""How a candidate is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bakeoff.spec.base import Decay, OptimizerName, PositiveInt, Rate, ScheduleName, Side, Spec

DEFAULT_LEARNING_RATES: dict[OptimizerName, float] = {
    "adam": 0.001,  # Kingma & Ba 2015, section 2
    "adamw": 0.001,  # Loshchilov & Hutter 2019, section 4
    "sgd": 0.01,  # with momentum 0.9: Krizhevsky et al. 2012, section 5
    "muon": 0.1,  # the relative change of a filter bank in a step; the CIFAR-10 speed runs peak at 0.24
}

DEFAULT_MOMENTA: dict[OptimizerName, float] = {
    "sgd": 0.9,  # Krizhevsky et al. 2012, section 5
    "muon": 0.6,  # the CIFAR-10 speed runs of Jordan et al. 2024
}

Share = Annotated[float, Field(gt=0, lt=1)]

EarlySizes = tuple[tuple[Side, Share], ...]
"""Sides in pixels, each with the share of the epochs for which inputs are scaled down to it."""


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
    """Momentum of SGD and Muon; the other optimizers have their own and ignore it."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]

    early_sizes: EarlySizes = ()
    """Smaller inputs for the first epochs, in turn; the others have the view's size. Evaluation always has."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"`warmup_epochs` must be below `epochs`, but got {self.warmup_epochs} and {self.epochs}")
        if sum(share for _, share in self.early_sizes) >= 1:
            raise ValueError(f"`early_sizes` must leave epochs for the full size, but got {self.early_sizes}")
        return self

    def side(self, done: float) -> int | None:
        """Return the side of the inputs, in pixels, after a share of the training; None for that of the view."""
        until = 0.0
        for side, share in self.early_sizes:
            until += share
            if done < until:
                return side
        return None

    def phases(self) -> list[tuple[int | None, float]]:
        """Return the sides of the inputs over the training, in pixels (None for that of the view), each with its share."""
        early: list[tuple[int | None, float]] = [*self.early_sizes]
        return [*early, (None, 1 - sum(share for _, share in self.early_sizes))]

    def at_side(self, side: int | None) -> Recipe:
        """Return the recipe with inputs of one side for the whole training, for measuring what that takes."""
        return self.model_copy(update={"early_sizes": () if side is None else ((side, 1.0),)})


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
    """Default 0. Decoupled for adamw, added to the gradient for the others; muon does not decay filters."""

    momentum: float | list[float] | None = None
    """Momentum of SGD (default 0.9) and of Muon (default 0.6)."""

    label_smoothing: float | list[float] | None = None
    """Default 0."""

    early_sizes: EarlySizes | None = None
    """Sides in pixels and shares of the epochs, `[[16, 0.5], [24, 0.25]]`: smaller inputs first. Default none."""

    @field_validator("*")
    @classmethod
    def _something(cls, value: Any, info: ValidationInfo) -> Any:
        if value == []:
            raise ValueError(f"`{info.field_name}` must have at least one value, but got []; give one, or leave it out")
        return value


RECIPE_DEFAULTS: dict[str, Any] = {
    "optimizer": "adam",
    "schedule": "cosine",
    "epochs": 10,
    "batch_size": 64,
    "warmup_epochs": 0.0,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "early_sizes": (),
}

RecipeName = Literal["speed"]

RECIPES: dict[RecipeName, dict[str, Any]] = {
    # After Jordan 2024 (arXiv:2404.00498) and the CIFAR-10 speed runs with Muon (Jordan et al. 2024), with smaller
    # inputs first (Howard 2018, DAWNBench).
    "speed": {
        "optimizer": "muon",
        "learning_rate": 0.12,
        "schedule": "linear",
        "epochs": 9,
        "batch_size": 500,
        "weight_decay": 0.055,
        "label_smoothing": 0.2,
        "early_sizes": ((20, 0.167), (24, 0.278)),
    },
}
"""Recipes by name: what a candidate's `recipe` stands for, where it does not say otherwise."""
