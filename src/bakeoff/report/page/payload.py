"""What the page's programs draw from: the facts as compact JSON, numbers as short as a picture can show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.analysis.budget import NAMES
from bakeoff.report.figure_facts import Curve
from bakeoff.report.page.curves import Course
from bakeoff.report.page.facts import PageFacts
from bakeoff.report.page.trades import Trade
from bakeoff.report.page.words import rounded

COST_KINDS = {
    "latency_p50": "seconds",
    "latency_p95": "seconds",
    "macs": "count",
    "parameters": "count",
    "peak_memory_inference": "bytes",
    "seconds_train": "seconds",
}
"""How the amounts of a cost are told."""


def payload(facts: PageFacts) -> dict[str, Any]:
    """Return the facts behind the figures as plain JSON values; candidates are told by their place in the table."""
    places = {row.candidate_id: place for place, row in enumerate(facts.standings.rows)}
    return {
        "study": facts.name,
        "candidates": [[row.label, row.model, facts.looks[row.candidate_id]] for row in facts.standings.rows],
        "courses": [_course(one, places) for one in facts.courses],
        "trades": [_trade(one, places) for one in facts.trades],
        "classes": {
            "names": facts.classes.names,
            "confusions": [
                {"id": one.candidate_id, "label": one.label, "counts": one.counts} for one in facts.classes.confusions
            ],
        },
    }


def _course(one: Course, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "c": places[one.candidate_id],
        "n": one.runs,
        "done": one.complete,
        "epochs": one.epochs,
        "seconds": [rounded(value) for value in one.seconds],
        "macs": None if one.macs is None else [rounded(value) for value in one.macs],
        "metrics": {metric: _curve(curve) for metric, curve in one.curves.items()},
    }


def _curve(curve: Curve) -> list[list[float | int | None]]:
    """Return the mean, and for several seeds the lowest and the highest."""
    sides = (curve.mean, curve.low, curve.high) if curve.runs > 1 else (curve.mean,)
    return [[rounded(value) for value in side] for side in sides]


def _trade(one: Trade, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "cost": one.cost,
        "title": NAMES[one.cost],
        "kind": COST_KINDS[one.cost],
        "points": [
            [
                places[point.candidate_id],
                rounded(point.cost),
                rounded(point.accuracy),
                rounded(point.low),
                rounded(point.high),
                None if point.dominated_by is None else places[point.dominated_by],
                int(point.ranked),
                int(point.doubted),
            ]
            for point in one.points
        ],
        "front": [places[candidate] for candidate in one.front],
        "no_front": one.no_front,
        "named": [places[candidate] for candidate in one.named],
    }
