"""Names beside points: who is named first, and where a name fits without lying on another.

Both kinds of figures name in this order. The page places names itself, by the same rule (`labels.js`), because only a
browser knows how large its text is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


def order_of_names(
    costs: Mapping[str, float], accuracy: Mapping[str, float], front: Collection[str], winner: str | None = None
) -> tuple[str, ...]:
    """Return who of the candidates in a figure of accuracy against a cost is named first.

    The winner comes first; then those that are the most accurate for their cost, the most accurate first; then the
    others of the front, and those that are not on it, likewise.

    Args:
        costs: By candidate; who is in the figure.
        accuracy: By candidate, at least of those.
        front: Candidates that none makes pointless.
        winner: The candidate that is better than every other, if there is one.
    """
    stairs: set[str] = set()
    best = float("-inf")
    for one in sorted((one for one in costs if one in front), key=lambda one: (costs[one], -accuracy[one])):
        if accuracy[one] > best:
            best = accuracy[one]
            stairs.add(one)
    return tuple(sorted(costs, key=lambda one: (one != winner, one not in stairs, one not in front, -accuracy[one])))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; upwards counts as more."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: Box) -> bool:
        """Whether they have more than an edge in common."""
        return self.left < other.right and other.left < self.right and self.low < other.high and other.low < self.high

    def within(self, other: Box) -> bool:
        """Whether it lies in another."""
        return (
            other.left <= self.left and self.right <= other.right and other.low <= self.low and self.high <= other.high
        )


SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
"""Sides on which a name may stand, seen from its point, in the order of preference: to the right first."""


def placed(
    points: Sequence[tuple[float, float]],
    sizes: Mapping[int, tuple[float, float]],
    taken: Sequence[Box],
    area: Box,
    gap: float,
) -> dict[int, Box]:
    """Return where names fit that lie neither on each other nor on anything else; who has no place is left out.

    Args:
        points: Where the candidates are.
        sizes: By the place of a point in `points`, the width and height of its name; who comes first has the first choice.
        taken: Where no name may lie: marks, lines, other text.
        area: Where all names must lie.
        gap: Between a point and its name.
    """
    boxes: dict[int, Box] = {}
    for place, (width, height) in sizes.items():
        for side in SIDES:
            box = _beside(points[place], width, height, side, gap)
            if box.within(area) and not any(box.meets(other) for other in (*taken, *boxes.values())):
                boxes[place] = box
                break
    return boxes


def _beside(point: tuple[float, float], width: float, height: float, side: tuple[int, int], gap: float) -> Box:
    left, low = (
        at - size / 2 + way * (size / 2 + gap) for at, size, way in zip(point, (width, height), side, strict=True)
    )
    return Box(left, low, left + width, low + height)
