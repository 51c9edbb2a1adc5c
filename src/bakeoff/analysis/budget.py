"""What a candidate may cost, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from bakeoff.analysis.statistics.differences import ROUNDING
from bakeoff.errors import SpecError
from bakeoff.words import count, duration, size

Costs = Mapping[str, Mapping[str, float]]
"""By candidate id, what it costs, by the name of the cost; whatever was not measured is absent."""

NAMES = {
    "latency_p50": "latency",
    "latency_p95": "p95 latency",
    "macs": "MACs",
    "parameters": "parameters",
    "peak_memory_inference": "memory",
    "seconds_train": "training time",
}
"""The costs that a recommendation speaks of; the lower the better. The first that is known of all breaks ties."""

FAR = 100
"""How many times a limit beyond which a percentage tells nobody more than that it is far beyond."""

TOLD = (0.5, 1e15)
"""Between these, amounts are told in the units that suit them; others, which only limits can be, by their magnitude."""

UNITS = {"seconds_train": " s", "peak_memory_inference": " bytes"}
"""Units of the costs that are no bare numbers."""

FROM_TABLE = ("macs", "parameters", "seconds_train")
"""Known without measuring apart; the others come from the profile."""


def costs_of(table: pd.DataFrame, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return what each candidate costs, without what is not known.

    Args:
        table: One row a candidate, as `ranking.rank` gives them.
        measured: By candidate id, as `Store.costs` gives them.
    """
    found = {}
    for row in table.to_dict("records"):
        profile = measured.get(row["candidate_id"], {})
        values = {name: row[name] if name in FROM_TABLE else profile.get(name) for name in NAMES}
        found[str(row["candidate_id"])] = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a candidate may cost at most, and must reach at least; None where it does not matter."""

    max_latency: float | None = None
    """Seconds for one picture, which 95 of 100 calls keep to."""

    max_parameters: float | None = None
    max_macs: float | None = None
    """Multiply-accumulates of one picture's forward pass."""

    max_memory: float | None = None
    """Bytes at most during inference."""

    max_train_time: float | None = None
    """Seconds of training of one seed, waiting for data included, evaluation not."""

    min_accuracy: float | None = None
    """Share of test pictures right, the mean over seeds."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 < value < math.inf:
                raise SpecError(f"`{field.name}` must be above 0 and finite, but got {value}")
        if self.min_accuracy is not None and self.min_accuracy > 1:
            raise SpecError(f"`min_accuracy` is a share, at most 1, but got {self.min_accuracy:g}; 80 % is 0.8")

    def limits(self) -> dict[str, float]:
        """Return the upper limits by the name of the cost."""
        given = {
            "latency_p95": self.max_latency,
            "parameters": self.max_parameters,
            "macs": self.max_macs,
            "peak_memory_inference": self.max_memory,
            "seconds_train": self.max_train_time,
        }
        return {name: limit for name, limit in given.items() if limit is not None}

    def check(self, accuracy: float, costs: Mapping[str, float]) -> Fit:
        """Return whether a candidate keeps to the budget.

        Args:
            accuracy: Its mean test accuracy.
            costs: What it costs, by name.
        """
        limits = self.limits()
        misses = [Miss(name, costs[name], limit) for name, limit in limits.items() if costs.get(name, 0.0) > limit]
        if self.min_accuracy is not None and accuracy < self.min_accuracy - ROUNDING:
            misses.append(Miss("accuracy", accuracy, self.min_accuracy))
        return Fit(tuple(misses), tuple(name for name in limits if name not in costs))


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit that a candidate does not keep."""

    cost: str
    """Name of the cost, or `accuracy`."""

    value: float
    limit: float

    @property
    def excess(self) -> float:
        """By which share of the limit it is missed: above it for a cost, below it for accuracy."""
        return abs(self.value / self.limit - 1)

    def __str__(self) -> str:
        if self.cost == "accuracy":
            return f"accuracy {100 * (self.limit - self.value):.2f} points under {100 * self.limit:g} %"
        value, limit = amount(self.cost, self.value), amount(self.cost, self.limit)
        over = (
            f"more than {FAR} times the limit of {limit}"
            if self.value > FAR * self.limit
            else f"{amount(self.cost, self.value - self.limit)} ({100 * self.excess:,.0f} %) over {limit}"
        )
        return f"{NAMES[self.cost]} {value}, {over}"


@dataclass(frozen=True, slots=True)
class Fit:
    """How a candidate stands to a budget."""

    misses: tuple[Miss, ...]
    unknown: tuple[str, ...]
    """Costs that have a limit but were not measured."""

    @property
    def fits(self) -> bool:
        """Whether it is known to keep every limit."""
        return not self.misses and not self.unknown

    @property
    def excess(self) -> float:
        """By which share of its limit the worst one is missed; 0 if none is known to be."""
        return max((miss.excess for miss in self.misses), default=0.0)


def amount(cost: str, value: float) -> str:
    """Return a cost as people read it."""
    if cost in ("latency_p50", "latency_p95"):
        if value < 0.9995:  # from there on it would be rounded to 1e+03
            return f"{1000 * value:.3g} ms"
        return f"{value:,.0f} s" if 999.5 <= value < TOLD[1] else f"{value:.3g} s"
    if not TOLD[0] <= value < TOLD[1]:
        return f"{value:.3g}{UNITS.get(cost, '')}"
    if cost == "seconds_train":
        return duration(value)
    if cost == "peak_memory_inference":
        return size(value)
    return count(value)
