"""Class by class and picture by picture: what is confused, what was seen, where networks disagree."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.analysis.per_class import ClassFacts
from bakeoff.analysis.pictures import Disagreement, Mistake, Pictures, ViewsShown
from bakeoff.report.page.words import class_shown, shown

MOST_CELLS = 200_000
"""Cells of all confusion matrices together that the page carries: about 600 kB. The best candidates come first."""

MOST_VIEWS = 24
"""Different views of a kind that are shown; candidates that see alike share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """What one candidate takes for what, over its seeds."""

    candidate_id: str
    label: str
    counts: tuple[tuple[int, ...], ...]
    """Rows truth, columns predicted."""

    recall: tuple[float, ...]
    """Share of each class's pictures that are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The confusion matrices, best candidate first."""

    names: tuple[str, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    left_out: int = 0
    """Candidates whose matrix the page does not carry."""


def class_facts(found: Sequence[ClassFacts], order: Sequence[str]) -> Classes:
    """Return the confusion matrices that the page carries.

    Args:
        found: As `analysis.per_class.per_class` gives them.
        order: Candidates' ids, best first.
    """
    if not found:
        return Classes()
    places = {one: place for place, one in enumerate(order)}
    known = sorted(found, key=lambda one: places.get(one.candidate_id, len(places)))
    most = max(1, MOST_CELLS // max(1, len(known[0].classes) ** 2))
    return Classes(
        names=tuple(class_shown(name) for name in known[0].classes),
        confusions=tuple(
            Confusion(
                candidate_id=one.candidate_id,
                label=shown(one.label),
                counts=tuple(tuple(int(number) for number in row) for row in one.confusion),
                recall=tuple(float(share) for share in one.recall),
            )
            for one in known[:most]
        ),
        left_out=max(0, len(known) - most),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A picture with what is to be said of it."""

    source: str
    """A `data:` address."""

    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAlike:
    """Candidates that see pictures through the same view, and what they see."""

    labels: tuple[str, ...]
    share_seen: float | None
    """Mean share of a picture's area that is seen, in [0, 1]; None if nobody measured."""

    pictures: tuple[Thumbnail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The pictures on the page."""

    training: tuple[SeenAlike, ...] = ()
    evaluation: tuple[SeenAlike, ...] = ()
    left_out: int = 0
    """Views that the page does not carry."""

    mistakes: tuple[Thumbnail, ...] = ()
    disagreements: tuple[Thumbnail, ...] = ()
    best: str = ""
    """The candidate whose mistakes these are."""

    other: str = ""
    """The candidate that disagrees with it."""

    missing: str = ""
    """Why there are no pictures."""


def gallery(pictures: Pictures | None, order: Sequence[str]) -> Gallery:
    """Return the pictures that the page shows.

    Args:
        pictures: As `study.pictures.shown` gives them; None if nobody looked.
        order: Candidates' ids, best first.
    """
    if pictures is None:
        return Gallery(missing="No pictures were looked up for this page.")
    training, evaluation = (_alike(pictures.views, kind, order) for kind in ("training", "evaluation"))
    return Gallery(
        training=tuple(training[:MOST_VIEWS]),
        evaluation=tuple(evaluation[:MOST_VIEWS]),
        left_out=sum(max(0, len(views) - MOST_VIEWS) for views in (training, evaluation)),
        mistakes=tuple(_mistake(one) for one in pictures.mistakes),
        disagreements=tuple(
            _disagreement(one, pictures.best_label, pictures.other_label) for one in pictures.disagreements
        ),
        best=shown(pictures.best_label or ""),
        other=shown(pictures.other_label or ""),
        missing=shown(pictures.missing or ""),
    )


def _alike(views: Sequence[ViewsShown], kind: str, order: Sequence[str]) -> list[SeenAlike]:
    """Return what candidates see, those that see the same together, the best first."""
    places = {one: place for place, one in enumerate(order)}
    mine = sorted((one for one in views if one.kind == kind), key=lambda one: places.get(one.candidate_id, len(places)))
    alike: dict[tuple[bytes, ...], list[ViewsShown]] = {}
    for one in mine:
        alike.setdefault(tuple(one.pngs), []).append(one)
    return [
        SeenAlike(
            labels=tuple(shown(one.label) for one in same),
            share_seen=same[0].share_seen,
            pictures=tuple(
                Thumbnail(source=_address(png), alt=f"picture {place + 1} through the {kind} view")
                for place, png in enumerate(pngs)
            ),
        )
        for pngs, same in alike.items()
    ]


def _mistake(one: Mistake) -> Thumbnail:
    truth, predicted = class_shown(one.truth), class_shown(one.predicted)
    return Thumbnail(
        source=_address(one.png),
        alt=f"test picture {one.picture}: {truth}, taken for {predicted}",
        lines=(f"is {truth}", f"taken for {predicted}", f"{100 * one.confidence:.0f} % sure"),
    )


def _disagreement(one: Disagreement, best: str | None, other: str | None) -> Thumbnail:
    truth, first, second = (class_shown(name) for name in (one.truth, one.first, one.second))
    return Thumbnail(
        source=_address(one.png),
        alt=f"test picture {one.picture}: {truth}, {first} to {shown(best or 'one')}, {second} to {shown(other or 'the other')}",
        lines=(f"is {truth}", f"{shown(best or 'one')}: {first}", f"{shown(other or 'the other')}: {second}"),
    )


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
