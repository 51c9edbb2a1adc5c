"""What is shown of a study's pictures, as facts: the images themselves are small PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PNG = bytes
"""A PNG file of at most 96 pixels a side; small pictures are not enlarged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsShown:
    """The same few training pictures as one candidate's network sees them, before normalisation."""

    candidate_id: str
    label: str
    kind: Literal["training", "evaluation"]
    pngs: tuple[PNG, ...]
    """The same pictures in the same order for every candidate; equal, and the same objects, where views are equal."""

    share_seen: float | None
    """Share of a picture's area that the view lets through, mean over its draws; None if it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A test picture that the best candidate gets wrong."""

    picture: int
    """Its place in the data set's test split, from 0."""

    png: PNG
    """The picture itself, not a view of it."""

    truth: str
    predicted: str
    confidence: float
    """The probability of the predicted class, mean over the seeds' networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A test picture that the two best candidates take for different things."""

    picture: int
    png: PNG
    truth: str
    first: str
    """What the best candidate takes it for."""

    second: str
    """What the next best takes it for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """All that is shown of a study's pictures."""

    views: tuple[ViewsShown, ...] = ()
    """Two a candidate, in the study's order: training, then evaluation."""

    mistakes: tuple[Mistake, ...] = ()
    """Most confident first."""

    disagreements: tuple[Disagreement, ...] = ()
    """Pictures on which the two disagree, those first of which both are most confident."""

    best_label: str | None = None
    other_label: str | None = None
    missing: str | None = None
    """Why there are no pictures, or none of some kind; a sentence."""
