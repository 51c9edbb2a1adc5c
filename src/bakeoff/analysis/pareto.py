"""Which candidates are worth their cost: accuracy against one cost, with the statistics as the judge of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.analysis.verdict import Verdict

CHEAPER = 0.9
"""A cost counts as lower below this share of another: measured times differ by a tenth from day to day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The candidates that are worth one cost."""

    cost: str
    on: tuple[str, ...]
    """Ids, cheapest first."""

    dominated: dict[str, str]
    """By id, the candidate that makes it pointless."""

    unknown: tuple[str, ...]
    """Ids of those whose cost was not measured."""


def dominates(verdict: Verdict, one: str, other: str, costs: Mapping[str, float]) -> bool:
    """Return whether a candidate makes another pointless, looking at accuracy and one cost alone.

    It does if it is better and no dearer, or equivalent and cheaper by more than a tenth. A higher mean that was not
    shown to be better dominates nothing.

    Args:
        verdict: That judges accuracy.
        one: Id of the candidate that may dominate.
        other: Id of the one that may be dominated.
        costs: The cost, by id; the lower the better.
    """
    if verdict.better(one, other):
        return costs[one] <= costs[other]
    return verdict.equivalent(one, other) and costs[one] < CHEAPER * costs[other]


def pareto_front(verdict: Verdict, cost: str, costs: Mapping[str, float]) -> Front:
    """Return which of the contending candidates are worth a cost.

    Args:
        verdict: That judges accuracy.
        cost: Its name.
        costs: By id; whoever is missing has not been measured.
    """
    known = [one.candidate_id for one in verdict.contending if one.candidate_id in costs]
    dominated: dict[str, str] = {}
    for other in known:
        by = next((one for one in known if one != other and dominates(verdict, one, other, costs)), None)
        if by is not None:
            dominated[other] = by
    return Front(
        cost=cost,
        on=tuple(sorted((one for one in known if one not in dominated), key=costs.__getitem__)),
        dominated=dominated,
        unknown=tuple(one.candidate_id for one in verdict.contending if one.candidate_id not in costs),
    )
