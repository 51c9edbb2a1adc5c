"""Verdicts, recommendations and seed plans as tables for a terminal."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bakeoff.analysis.budget import amount
from bakeoff.analysis.recommendation import Recommendation
from bakeoff.analysis.seed_plan import SeedPlan, SeedSpread
from bakeoff.analysis.verdict import Standing, Verdict
from bakeoff.report.fitting import first_that_fits
from bakeoff.words import clean, duration, percent, plural

HEADERS = {
    "latency_p95": "p95",
    "parameters": "params",
    "macs": "MACs",
    "peak_memory_inference": "memory",
    "seconds_train": "training",
}
"""Headers of the costs shown in the table of a recommendation."""


def _table(title: str, first: str, *others: str) -> Table:
    shown = Table(title=Text(clean(title), style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column(first, overflow="fold")
    for header in others:
        shown.add_column(header, justify="right", no_wrap=True)
    return shown


STANDINGS = ("candidate", "ties", "test", "interval", "seeds", "rank")
"""Columns of the table of standings."""


class StandingsTable:
    """The judged candidates, best first, with intervals and tie groups; a narrow terminal goes without the last columns.

    The last candidates may be without a rank.
    """

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [one.candidate for one in self._verdict.candidates]
        tables = (self._first(columns) for columns in range(len(STANDINGS), STANDINGS.index("test"), -1))
        yield first_that_fits(tables, names, console, options)

    def _first(self, columns: int) -> Table:
        shown = _table("Test accuracy; 95 % interval for new seeds and pictures", *STANDINGS[:columns])
        for one in self._verdict.candidates:
            ranks = "-" if one.ranks is None else _ranks(*one.ranks)
            cells = (one.ties or "-", percent(one.test_accuracy), _interval(one), _seeds(one), ranks)
            shown.add_row(Text(clean(one.candidate)), *cells[: columns - 1])
        return shown


def _interval(one: Standing) -> str:
    return "-" if one.interval is None else f"{100 * one.interval.low:.2f} to {percent(one.interval.high)}"


def _seeds(one: Standing) -> str:
    return str(one.seeds) if one.seeds == one.attempted else f"{one.seeds}/{one.attempted}"


def _ranks(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


class RecommendationTable:
    """How each judged candidate stands to the budget, best first; a narrow terminal goes without costs that are not limited, then without ties."""

    def __init__(self, found: Recommendation) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        limits, costs = [*self._found.budget.limits()], self._found.costs.values()
        known = [name for name in HEADERS if name in limits or any(name in of_one for of_one in costs)]
        dropped_first = [name for name in reversed(known) if name not in limits]
        names = [one.candidate for one in self._found.verdict.candidates]
        tables = [
            _budget_table(self._found, [name for name in known if name not in dropped_first[:dropped]])
            for dropped in range(len(dropped_first) + 1)
        ]
        tables.append(_budget_table(self._found, limits, ties=False))
        yield first_that_fits(tables, names, console, options)


def _budget_table(found: Recommendation, known: list[str], *, ties: bool = True) -> Table:
    headers = (*(["ties"] if ties else []), "test", *(HEADERS[name] for name in known))
    shown = _table("Candidates and the budget", "candidate", "", *headers)
    for one in found.verdict.candidates:
        costs = found.costs.get(one.candidate_id, {})
        cells = [amount(name, costs[name]) if name in costs else "?" for name in known]
        shown.add_row(
            Text(clean(one.candidate)),
            _fit(found, one.candidate_id),
            *([one.ties or "-"] if ties else []),
            percent(one.test_accuracy),
            *cells,
        )
    return shown


def _fit(found: Recommendation, candidate: str) -> str:
    fit = found.fits[candidate]
    if candidate == found.pick:
        return "so far this" if found.verdict.progress.runs_left else "use this"
    if found.verdict.standing(candidate).unranked and found.verdict.ranked:
        return "not ranked"
    return "fits" if fit.fits else "does not fit" if fit.misses else "not known"


def as_json(facts: dict[str, Any]) -> str:
    """Return facts, as verdicts and recommendations give them, as JSON."""
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"


def seed_plan_sentences(plan: SeedPlan, spread: SeedSpread | None) -> list[str]:
    """Return what a seed plan rests on.

    Args:
        plan: The plan.
        spread: Measured in a study; None if it was given.
    """
    measured = f" over {plural(spread.seeds, 'seed')} of {plural(spread.candidates, 'candidate')}" if spread else ""
    said = [
        f"Seeds lie {100 * plan.sd:.2f} points apart (standard deviation{measured}). With {plan.candidates} candidates each pair "
        f"is tested at {plan.alpha:.2g}; a difference is shown with a chance of 80 %, on the same test pictures."
    ]
    if spread and spread.picture_margin is not None:
        said.append(
            f"On new pictures a difference stays uncertain by {100 * spread.picture_margin:.2f} points either way, however many "
            "seeds: only more test pictures narrow that."
        )
    said.append("A verdict asks for 5 seeds of each at least, 3 where candidates lie more than 2 points apart.")
    return said


def seed_plan_tables(plan: SeedPlan) -> tuple[Table, Table]:
    """Return the seeds that differences take, and the differences that seeds show."""
    needed = _table("Seeds for a difference", "difference", "seeds")
    for difference, seeds in plan.needed:
        needed.add_row(f"{100 * difference:.2f} points", "over a million" if seeds is None else f"{seeds:,}")
    seen = _table("Difference for seeds", "seeds", "difference")
    for seeds, difference in plan.seen:
        seen.add_row(f"{seeds:,}", f"{100 * difference:.2f} points" if difference <= 1 else "none")
    return needed, seen


def time_to_accuracy_table(times: pd.DataFrame) -> Table:
    """Return how long candidates take to reach each target.

    Args:
        times: As `analysis.time_to_accuracy.time_to_accuracy` gives them.
    """
    targets = sorted(times["target"].unique())
    title = "Training time to a validation accuracy: median (seeds that reach it)"
    shown = _table(title, "candidate", *(f"{100 * target:g} %" for target in targets))
    for _, group in times.groupby("candidate_id", sort=False):
        by_target = group.set_index("target")
        cells = [_time(by_target.loc[target]) for target in targets]
        shown.add_row(Text(clean(group["candidate"].iloc[0])), *cells)
    return shown


def _time(row: pd.Series) -> str:
    if not row["seeds"]:
        return "-"
    reached = "never" if math.isinf(row["seconds"]) else duration(row["seconds"])
    return f"{reached} ({row['hits']}/{row['seeds']})"
