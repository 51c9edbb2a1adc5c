"""Which pictures, how they are divided, and what of them decides the defaults of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from bakeoff.errors import SpecError
from bakeoff.spec.base import LARGEST_INT, PositiveInt, Side, Spec


class DataSpec(Spec):
    """Which pictures, and how they are divided."""

    source: str = "digits"
    """A name as `bakeoff data` lists them, a folder of pictures, or a zip or tar of one."""

    size: Side | None = None
    """Side in pixels that pictures of a folder are brought to once, when decoded. Default: theirs, if they are all
    square and alike, else the median of their shorter sides, at most 224."""

    validation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    """Split off the training set, stratified: a share below 1, or a number of pictures. 0 keeps none."""

    split_seed: Annotated[int, Field(ge=0, le=LARGEST_INT)] = 0
    limit: PositiveInt | None = None
    """Keep only about this many training pictures (stratified; the test set shrinks alike), to try things out."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(
                f"`validation` must be a share below 1 or a whole number of pictures, but got {self.validation}"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What of a data set decides the defaults of a study."""

    fingerprint: str
    """A hash of the decoded pictures, their labels and classes."""

    size: int
    """Side of the pictures in pixels."""

    train_pictures: int
    """Training pictures after `limit`, before the validation split."""

    classes: int
    has_validation: bool
    """Whether the pictures come with a validation split of their own."""

    flippable: bool
    """Whether a mirrored picture still shows its class (not so for digits)."""


def resolve_validation(validation: float, facts: DataFacts) -> int:
    """Return how many training pictures a validation split of this share or number takes.

    Raises:
        SpecError: If it would leave a class without a picture on either side.
    """
    if facts.has_validation or validation == 0:
        return 0
    count = round(validation * facts.train_pictures) if validation < 1 else int(validation)
    if not facts.classes <= count <= facts.train_pictures - facts.classes:
        raise SpecError(
            f"the validation split must hold and leave at least one picture of each of the {facts.classes} classes, but "
            f"validation = {validation:g} takes {count} of {facts.train_pictures} training pictures; choose another, or 0 for none"
        )
    return count
