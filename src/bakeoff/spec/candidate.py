"""A model with its view and its recipe: as a user writes it (a grid), and decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from bakeoff.errors import SpecError
from bakeoff.spec.base import Spec, StemName, content_id
from bakeoff.spec.data import DataFacts
from bakeoff.spec.mistakes import explained
from bakeoff.spec.recipe import (
    DEFAULT_LEARNING_RATES,
    DEFAULT_MOMENTA,
    RECIPE_DEFAULTS,
    RECIPES,
    Recipe,
    RecipeGrid,
    RecipeName,
)
from bakeoff.spec.view import NORMALIZATIONS, Normalization, Views, ViewSpec

SMALL_INPUT = 64
"""Inputs with fewer pixels a side get a small-input stem under `stem = "auto"`."""

UNUSED_MOMENTUM = 0.9
"""Stands in the recipes of optimizers that have none of ours; it decides nothing."""


class CandidateGrid(RecipeGrid):
    """One entry under `[[candidates]]`: a model or several, with what differs from `[recipe]` and `[view]`."""

    model: str | Annotated[list[str], Field(min_length=1)]
    """Names as `bakeoff models` lists them."""

    recipe: RecipeName | None = None
    """A recipe by name, `speed`, instead of the study's `[recipe]` and `[view]`; what stands beside it goes before."""

    stem: StemName | None = None
    """`auto` (small under 64 pixels), `original`, or `small`. Default: the study's `stem`."""

    view: Views | None = None
    """Replaces the study's `[view]` for these candidates."""

    name: str | None = None
    """A word to tell it by in tables. Default: what differs between the candidates."""

    @field_validator("name")
    @classmethod
    def _readable(cls, name: str | None) -> str | None:
        if name is not None and not name.isprintable():
            raise ValueError(f"`name` must be readable text on one line, but got {name!r}")
        return name


class CandidateSpec(Spec):
    """A model with its view and its recipe, every value decided, without a seed."""

    model: str
    stem: Literal["original", "small"]
    train_view: ViewSpec
    evaluate_view: ViewSpec
    normalization: str | Normalization
    recipe: Recipe
    name: str | None = None
    """Shown in tables; decides no number."""

    def identity(self) -> dict[str, Any]:
        """Return what decides this candidate's numbers, as plain JSON values."""
        content = self.model_dump(mode="json", exclude={"name"})
        if self.recipe.optimizer not in DEFAULT_MOMENTA:
            del content["recipe"]["momentum"]
        if not self.recipe.early_sizes:  # as before there was such a thing
            del content["recipe"]["early_sizes"]
        for view in (content["train_view"], content["evaluate_view"]):
            if view["padding_mode"] == "constant":  # likewise
                del view["padding_mode"]
        if isinstance(self.normalization, str) and self.normalization != "data":
            content["normalization"] = NORMALIZATIONS[self.normalization].model_dump(mode="json")
        return content

    @property
    def id(self) -> str:
        """A hash of all that decides this candidate's numbers, besides the pictures."""
        return content_id(self.identity())

    def with_epochs(self, epochs: int) -> CandidateSpec:
        """Return the candidate with another number of epochs, under which its schedule is stretched or drawn in."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"epochs": epochs})})

    def input_size(self, picture: int) -> int:
        """Return the side of the network's input in training, for pictures of side `picture`, in pixels."""
        return self.train_view.input_size(picture)


def describe(candidate: CandidateSpec) -> str:
    """Return a candidate's full description in a few words."""
    recipe = candidate.recipe
    return (
        f"{candidate.name or candidate.model} ({candidate.stem} stem, {recipe.optimizer} {recipe.learning_rate:g}, "
        f"{recipe.schedule}, {recipe.epochs} epochs of batch {recipe.batch_size})"
    )


def labels(candidates: list[CandidateSpec]) -> dict[str, str]:
    """Return a short label by candidate id: its model or name, and whatever tells the candidates apart."""

    def parts(candidate: CandidateSpec) -> dict[str, str]:
        recipe = candidate.recipe
        return {
            "model": candidate.model,  # tells candidates apart that share a name
            "optimizer": recipe.optimizer,
            "learning_rate": f"{recipe.learning_rate:g}",
            "schedule": recipe.schedule,
            "epochs": f"{recipe.epochs} epochs",
            "batch_size": f"batch {recipe.batch_size}",
            "warmup_epochs": f"warm-up {recipe.warmup_epochs:g}",
            "weight_decay": f"decay {recipe.weight_decay:g}",
            "momentum": f"momentum {recipe.momentum:g}",
            "label_smoothing": f"smoothing {recipe.label_smoothing:g}",
            "early_sizes": " ".join(["sizes", *(f"{side}:{share:g}" for side, share in recipe.early_sizes)]),
            "stem": f"{candidate.stem} stem",
            "view": f"view {content_id([candidate.train_view.model_dump(), candidate.evaluate_view.model_dump(), str(candidate.normalization)])[:4]}",
        }

    result = {}
    for candidate in candidates:
        head = candidate.name or candidate.model
        rivals = [parts(other) for other in candidates if (other.name or other.model) == head]
        telling = [value for key, value in parts(candidate).items() if len({rival[key] for rival in rivals}) > 1]
        result[candidate.id] = " ".join([head, *telling])
    return result


def expand(
    grid: CandidateGrid,
    facts: DataFacts,
    *,
    recipe: RecipeGrid,
    view: Views,
    stem: StemName,
    budgeted: bool = False,
) -> Iterator[CandidateSpec]:
    """Yield every combination of a candidate entry's lists, with the study's recipe, view and stem below it.

    Args:
        grid: The entry.
        facts: What of the pictures decides defaults.
        recipe: Of the study.
        view: Of the study.
        stem: Of the study.
        budgeted: Whether a budget decides the epochs: until it has, there are as many as a warm-up needs.

    Raises:
        SpecError: If a combination is not possible for these pictures.
    """
    given = {key: value for key in RecipeGrid.model_fields if (value := getattr(grid, key)) is not None}
    shared = {key: value for key in RecipeGrid.model_fields if (value := getattr(recipe, key)) is not None}
    if grid.recipe is not None:
        shared, view = RECIPES[grid.recipe], _view_of_recipe(facts)
    if "optimizer" in given and "learning_rate" not in given and not isinstance(shared.get("learning_rate"), list):
        # A rate shared by the study belongs to the study's optimizer: another optimizer gets its own default.
        shared = {key: value for key, value in shared.items() if key != "learning_rate"}
    merged = RECIPE_DEFAULTS | shared | given
    axes = {key: value if isinstance(value, list) else [value] for key, value in merged.items()}
    models = grid.model if isinstance(grid.model, list) else [grid.model]
    for model, *values in itertools.product(models, *axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        if budgeted and math.isfinite(warmup := chosen["warmup_epochs"]):
            chosen["epochs"] = max(chosen["epochs"], math.floor(warmup) + 1)
        chosen.setdefault("learning_rate", DEFAULT_LEARNING_RATES[chosen["optimizer"]])
        chosen.setdefault("momentum", DEFAULT_MOMENTA.get(chosen["optimizer"], UNUSED_MOMENTUM))
        yield _candidate(model, chosen, grid.view or view, grid.stem or stem, grid.name, facts)


def _view_of_recipe(facts: DataFacts) -> Views:
    """Return the view of the recipe `speed`: mirrored every other epoch, moved by up to 1/16 over its mirrored border."""
    flip: bool | Literal["alternate"] = "alternate" if facts.flippable else False
    padding = max(1, facts.size // 16)
    return Views(train=ViewSpec(flip=flip, crop=facts.size, padding=padding, padding_mode="reflect", random=True))


def _candidate(
    model: str, recipe: dict[str, Any], views: Views, stem: StemName, name: str | None, facts: DataFacts
) -> CandidateSpec:
    train = views.train
    if train is None:
        train = ViewSpec(flip=facts.flippable, crop=facts.size, padding=max(1, facts.size // 8), random=True)
    evaluate = views.evaluate
    if evaluate is None:
        evaluate = ViewSpec(resize=train.resize)
        if evaluate.input_size(facts.size) != train.input_size(facts.size):
            evaluate = ViewSpec(resize=train.resize, crop=train.crop)
    size = train.input_size(facts.size)
    if evaluate.input_size(facts.size) != size:
        raise SpecError(
            f"training and evaluation must give the network inputs of one size, but {model} would see {size} and "
            f"{evaluate.input_size(facts.size)} pixels; set `crop` or `resize` in [view.evaluate]"
        )
    try:
        decided = Recipe.model_validate(recipe)
    except ValidationError as error:
        raise SpecError(explained(error, Recipe, f"recipe of {model}")) from error
    for side, _ in decided.early_sizes:
        if side >= size:
            raise SpecError(
                f"`early_sizes` must be below the view's {size} pixels, but {model} has {side}; lower it or leave it out"
            )
    return CandidateSpec(
        model=model,
        stem=("small" if size < SMALL_INPUT else "original") if stem == "auto" else stem,
        train_view=train.canonical(facts.size),
        evaluate_view=evaluate.canonical(facts.size),
        normalization=views.normalize,
        recipe=decided,
        name=name,
    )
