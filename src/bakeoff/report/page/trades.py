"""Accuracy against what it costs, one axis a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bakeoff.analysis.budget import NAMES
from bakeoff.analysis.recommendation import Recommendation
from bakeoff.report.naming import order_of_names
from bakeoff.report.page.words import number_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A candidate at its place."""

    candidate_id: str
    cost: float
    accuracy: float
    """Test accuracy, mean over the seeds."""

    low: float | None
    """95 % interval for new seeds and new pictures; None where there are no predictions."""

    high: float | None
    dominated_by: str | None
    """Id of a candidate that makes it pointless; None if there is none, or it is not ranked."""

    ranked: bool
    """Whether a choice is made among it and others by this cost; where nobody is ranked, among all that were judged. A cost
    that the audit doubts takes part in none."""

    doubted: bool
    """Whether the audit doubts this cost of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Accuracy against one cost."""

    cost: str
    """Name of the cost, as in `analysis.budget.NAMES`."""

    points: tuple[Point, ...]
    front: tuple[str, ...]
    """Ids of the ranked candidates that none makes pointless, cheapest first."""

    no_front: str
    """Why there is no front, in a sentence; empty where there is one."""

    named: tuple[str, ...]
    """Ids of all points in the order in which they are named, as far as names fit: the winner, the front, the others."""


def trades(table: pd.DataFrame, found: Recommendation | None) -> list[Trade]:
    """Return accuracy against each cost that is known of some candidate with a test accuracy.

    Domination is judged by the statistics (`analysis.pareto`), not by a raw difference.

    Args:
        table: As `Study.table` gives it.
        found: The recommendation without limits; None where nothing can be judged.
    """
    rows = {str(row["candidate_id"]): row for row in table.to_dict("records")}
    accuracy = {
        one: number for one, row in rows.items() if (number := number_or_none(row["test_accuracy"])) is not None
    }
    made = []
    for cost in NAMES:
        costs = {one: number for one in accuracy if (number := number_or_none(rows[one].get(cost))) is not None}
        if costs:
            made.append(_trade(cost, costs, accuracy, found))
    return made


def _trade(cost: str, costs: Mapping[str, float], accuracy: Mapping[str, float], found: Recommendation | None) -> Trade:
    front = None if found is None else found.fronts.get(cost)
    judged = {} if found is None else {one.candidate_id: one for one in found.verdict.candidates}
    points = []
    for one, value in costs.items():
        interval = judged[one].interval if one in judged else None
        points.append(
            Point(
                candidate_id=one,
                cost=value,
                accuracy=accuracy[one],
                low=None if interval is None else interval.low,
                high=None if interval is None else interval.high,
                dominated_by=None if front is None else front.dominated.get(one),
                ranked=front is not None and (one in front.on or one in front.dominated),
                doubted=found is not None and one in found.doubted and cost not in found.costs.get(one, {}),
            )
        )
    return Trade(
        cost=cost,
        points=tuple(points),
        front=() if front is None else front.on,
        no_front="" if front is not None and front.on else _why_no_front(cost, points, found),
        named=order_of_names(
            costs, accuracy, () if front is None else front.on, None if found is None else found.verdict.winner
        ),
    )


def _why_no_front(cost: str, points: Sequence[Point], found: Recommendation | None) -> str:
    if found is None:
        return "There is no verdict, so no front is drawn."
    if not found.verdict.contending:
        return "No candidate is ranked, so no front is drawn."
    if any(point.doubted for point in points):
        return f"The audit doubts the {NAMES[cost]} of every candidate that could be chosen, so no front is drawn."
    return f"The {NAMES[cost]} of no candidate that could be chosen is known, so no front is drawn."
