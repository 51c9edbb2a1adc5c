"""What changed accuracy: learning rate by optimizer, and each setting with all others held.

Only ranked candidates are compared: an error of the audit leaves open what made an accuracy. Where none is ranked (one seed
each), those that the verdict judges are shown, and nothing is claimed of them.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import scipy

from bakeoff.analysis.statistics.differences import ROUNDING
from bakeoff.analysis.wording import listed_briefly
from bakeoff.words import plural

VIEWS = ("train_view", "evaluate_view", "normalization")
"""What of a candidate makes its view: one factor."""

CONFIDENCE = 0.95
"""Chance that the widest of the differences between values that do nothing is told as no more than seeds alone make."""

Levels = Mapping[str, str]
"""A candidate's settings by factor, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectGrid:
    """Accuracy of one model by optimizer and learning rate."""

    model: str
    optimizers: tuple[str, ...]
    learning_rates: tuple[float, ...]
    """Ascending."""

    accuracy: tuple[tuple[float | None, ...], ...]
    """Rows optimizers, columns learning rates: the accuracy that the table ranks by, as a share, mean over the finished
    seeds; of several candidates in a cell the best. None where none has a finished run."""

    ranked_by: str
    """`val`, or `test` without a validation split."""

    best: tuple[int, int]
    """Row and column of the highest accuracy; of equal ones a rate that lies between others, if there is one."""

    at_edge: bool
    """Whether the best stands at the lowest or highest learning rate that was tried with its optimizer."""

    remarks: tuple[str, ...]
    """What a reader of the grid must know, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """How far one setting changed accuracy, all else held."""

    factor: str
    """Such as `learning rate`."""

    spread: float
    """The largest mean difference between two of its values; a share in [0, 1]."""

    sentence: str
    """What it says and what it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What changed accuracy among the candidates that are ranked."""

    caveat: str = ""
    """Sentences that say that those compared are not ranked; empty where they are."""

    grids: tuple[EffectGrid, ...] = ()
    """One for each model that has several learning rates or optimizers, in the study's order."""

    influences: tuple[Influence, ...] = ()
    """How far each setting changed accuracy, that which changed it most first."""

    left_out: str = ""
    """A sentence on whose runs have finished and yet are not compared, as the audit took them out of the ranking; empty
    where that is nobody."""

    nothing: str = ""
    """Why there is neither a grid nor a setting that changed accuracy, in a sentence; nothing where there is one."""


@dataclass(frozen=True, slots=True)
class _Result:
    """One candidate with its result."""

    label: str
    model: str
    optimizer: str
    learning_rate: float
    levels: Levels
    accuracy: float
    deviation: float
    """Over its seeds; NaN for one."""

    seeds: int
    unranked: str
    """Why it is not ranked, or nothing."""


def effects(runs: pd.DataFrame, table: pd.DataFrame, contending: Collection[str] = ()) -> Effects:
    """Return what changed accuracy among the candidates that are ranked, and who is not among them.

    Args:
        runs: As `Store.runs_frame` gives them.
        table: The ranking, as `ranking.rank` gives it.
        contending: Ids of the candidates that are compared where none is ranked, as `Verdict.contending` has them.
    """
    _, results = _results(runs, table)
    caveat = ""
    if not _ranked(results):
        compared = table["candidate_id"].isin(contending)
        caveat = _caveat(table[compared & (table["done"] > 0)])
        table = table.assign(unranked=table["unranked"].mask(compared, ""))
    grids, changed = tuple(effect_grids(runs, table)), tuple(influences(runs, table))
    if not (grids or changed):
        nothing = _why_nothing(results, len(_candidates(runs)))
        return Effects(left_out=_left_out(results), nothing=nothing)
    return Effects(caveat=caveat, grids=grids, influences=changed, left_out=_left_out(_results(runs, table)[1]))


def _caveat(compared: pd.DataFrame) -> str:
    """Return what those must know who see candidates compared of which none is ranked."""
    each = "one seed" if (compared["done"] == 1).all() else "too few seeds"
    reasons = "; ".join(compared["unranked"].unique())
    return (
        f"No candidate is ranked ({reasons}). These are results of {each} each: a difference may be chance, so none is "
        "claimed to come from a setting."
    )


def _why_nothing(results: Sequence[_Result], candidates: int) -> str:
    """Return why no settings are compared, where they are not.

    Args:
        results: Of the candidates that have a finished run.
        candidates: All that there are.
    """
    ranked = _ranked(results)
    if not results:
        return "No run has finished, so no settings are compared."
    if not ranked:
        return "No settings are compared: nobody who has a finished run is ranked."
    if candidates == 1:
        return "The study has one candidate, so there are no settings to compare."
    if len(ranked) == 1:
        which = "is ranked" if len(results) > 1 else "has a finished run"
        return f"No settings are compared: only {ranked[0].label} {which}."
    return "No settings are compared: no two of the ranked candidates differ in one setting alone."


def _left_out(results: Sequence[_Result]) -> str:
    """Return whom the audit took out of the ranking, those with one reason together."""
    by_reason: dict[str, list[str]] = {}
    for one in results:
        if one.unranked:
            by_reason.setdefault(one.unranked, []).append(one.label)
    if not by_reason:
        return ""
    told = "; ".join(f"{listed_briefly(labels)} ({reason})" for reason, labels in by_reason.items())
    return f"Not compared here, as the audit left them out of the ranking: {told}."


def effect_grids(runs: pd.DataFrame, table: pd.DataFrame) -> list[EffectGrid]:
    """Return a grid for each model that has several learning rates or optimizers, in the study's order.

    Candidates that are not ranked are not in it.

    Args:
        runs: As `Store.runs_frame` gives them.
        table: The ranking, as `ranking.rank` gives it.
    """
    split, results = _results(runs, table)
    planned: dict[str, set[tuple[str, float]]] = {}
    for candidate in _candidates(runs).values():
        recipe = candidate["recipe"]
        cell = (str(recipe["optimizer"]), float(recipe["learning_rate"]))
        planned.setdefault(str(candidate["model"]), set()).add(cell)
    grids = []
    for model, cells in planned.items():
        finished = [one for one in results if one.model == model]
        if len(cells) > 1 and _ranked(finished):
            grids.append(_grid(model, cells, finished, split))
    return grids


def _grid(model: str, cells: set[tuple[str, float]], finished: Sequence[_Result], split: str) -> EffectGrid:
    """Return the grid of a model, of whose candidates some have finished and some of these are ranked."""
    results = _ranked(finished)
    unfinished = cells - {(one.optimizer, one.learning_rate) for one in finished}
    optimizers = sorted({optimizer for optimizer, _ in cells})
    rates = sorted({rate for _, rate in cells})
    best: dict[tuple[str, float], float] = {}
    for one in results:
        cell = (one.optimizer, one.learning_rate)
        best[cell] = max(one.accuracy, best.get(cell, -math.inf))
    by_optimizer = {row: sorted(rate for other, rate in cells if other == row) for row in optimizers}
    tied = [cell for cell in best if best[cell] >= max(best.values()) - ROUNDING]
    optimizer, rate = min(tied, key=lambda cell: cell[1] in _ends(by_optimizer[cell[0]]))  # what lies inside is as good
    tried = by_optimizer[optimizer]
    at_edge = _at_edge(tried, rate, best)
    return EffectGrid(
        model=model,
        optimizers=tuple(optimizers),
        learning_rates=tuple(rates),
        accuracy=tuple(tuple(best.get((row, column)) for column in rates) for row in optimizers),
        ranked_by=split,
        best=(optimizers.index(optimizer), rates.index(rate)),
        at_edge=at_edge,
        remarks=tuple(_grid_remarks(model, unfinished, results, best, (optimizer, rate), tried)),
    )


def _at_edge(tried: Sequence[float], rate: float, best: Mapping[tuple[str, float], float]) -> bool:
    """Return whether the best rate is the last one on its side; where all do equally well, none is the best."""
    unequal = max(best.values()) - min(best.values()) > ROUNDING
    return len(tried) > 1 and rate in _ends(tried) and unequal


def _ends(tried: Sequence[float]) -> tuple[float, float]:
    return tried[0], tried[-1]


def _grid_remarks(
    model: str,
    unfinished: set[tuple[str, float]],
    results: Sequence[_Result],
    best: Mapping[tuple[str, float], float],
    chosen: tuple[str, float],
    tried: Sequence[float],
) -> list[str]:
    optimizer, rate = chosen
    said = []
    if _at_edge(tried, rate, best):
        end, beyond = ("lowest", "lower") if rate == tried[0] else ("highest", "higher")
        said.append(
            f"The best of {model} stands at the {end} learning rate that was tried with {optimizer} ({rate:g}): "
            f"a {beyond} one may be better still."
        )
    if len(tried) == 1:
        said.append(f"{optimizer}, the best optimizer of {model}, was tried with one learning rate ({rate:g}) alone.")
    if unfinished:
        named = ", ".join(f"{one} {value:g}" for one, value in sorted(unfinished))
        said.append(f"No run of {model} with {named} has finished.")
    if len(results) > len(best):
        said.append(f"Where candidates of {model} share optimizer and learning rate, the best of them is shown.")
    if all(one.seeds == 1 for one in results):
        said.append(f"Each candidate of {model} has one finished seed: small differences may be chance.")
    return said


def influences(runs: pd.DataFrame, table: pd.DataFrame) -> list[Influence]:
    """Return how far each setting changed accuracy, that which changed it most first.

    Two values of a setting are compared among candidates that differ in nothing else, and their differences are
    averaged over all such pairs. Settings that always change together are one: nobody can tell which of them did it.
    A setting that never changes alone is not listed. Candidates that are not ranked are not compared.

    Args:
        runs: As `Store.runs_frame` gives them.
        table: The ranking, as `ranking.rank` gives it.
    """
    results = _ranked(_results(runs, table)[1])
    factors = [name for name in _names(results) if len({one.levels.get(name, "") for one in results}) > 1]
    found: list[Influence] = []
    covered: set[str] = set()
    for factor in factors:
        if factor in covered:
            continue
        along = [other for other in factors if other != factor and _follows(results, other, factor)]
        covered |= {other for other in along if _follows(results, factor, other)}
        held = [name for name in factors if name != factor and name not in along]
        influence = _influence(factor, along, held, results)
        if influence is not None:
            found.append(influence)
    return sorted(found, key=lambda one: -one.spread)


def _follows(results: Iterable[_Result], other: str, factor: str) -> bool:
    """Whether each value of a factor comes with one value of the other."""
    pairs = {(one.levels.get(factor, ""), one.levels.get(other, "")) for one in results}
    return len(pairs) == len({value for value, _ in pairs})


def _influence(factor: str, along: Sequence[str], held: Sequence[str], results: Sequence[_Result]) -> Influence | None:
    """Return the two values of a factor that differ most, all else held; None if it never changes alone."""
    alike: dict[tuple[str, ...], list[_Result]] = {}
    for one in results:
        alike.setdefault(tuple(one.levels.get(name, "") for name in held), []).append(one)
    pairs: dict[tuple[str, str], list[tuple[_Result, _Result]]] = {}
    for group in alike.values():
        ordered = sorted(group, key=lambda one: one.levels.get(factor, ""))
        for one, other in itertools.combinations(ordered, 2):
            if one.levels.get(factor, "") != other.levels.get(factor, ""):
                pairs.setdefault((one.levels.get(factor, ""), other.levels.get(factor, "")), []).append((one, other))
    if not pairs:
        return None
    values = len({value for pair in pairs for value in pair})
    (first, second), widest = max(pairs.items(), key=lambda item: abs(_mean_difference(item[1])))
    difference = _mean_difference(widest)
    better, worse = (first, second) if difference >= 0 else (second, first)
    spread = abs(difference)
    name = factor if not along else f"{factor} (with it {' and '.join(along)})"
    return Influence(
        factor=name,
        spread=spread,
        sentence=f"{name}: {_gap(better, worse, spread)}, {_basis(widest, spread, values)}",
    )


def _gap(better: str, worse: str, spread: float) -> str:
    points = f"{100 * spread:.2f}"
    return (
        f"{better} and {worse} reach the same"
        if points == "0.00"
        else f"{better} reaches {points} points more than {worse}"
    )


def _mean_difference(pairs: Sequence[tuple[_Result, _Result]]) -> float:
    return sum(one.accuracy - other.accuracy for one, other in pairs) / len(pairs)


def _basis(pairs: Sequence[tuple[_Result, _Result]], spread: float, values: int) -> str:
    """Return what a difference rests on, and whether chance could make it.

    The difference is the widest among several values of a setting, so chance is granted Tukey's studentised range (Tukey
    1949, Kramer 1956). The variances of the candidates compared are pooled, and of no others, whose seeds may lie farther
    apart; each pair's two means add theirs.

    Args:
        pairs: The candidates compared.
        spread: Of their accuracies, on average.
        values: Of the setting, among which these two differ most.
    """
    rests = (
        "in one pair of candidates alike in all else"
        if len(pairs) == 1
        else f"on average over {plural(len(pairs), 'pair')} of candidates alike in all else"
    )
    both = [one for pair in pairs for one in pair]
    known = [one for one in both if math.isfinite(one.deviation)]
    freedom = sum(one.seeds - 1 for one in known)
    if not freedom:
        return f"{rests}; with one seed each, chance cannot be told from it."
    variance = sum(one.deviation**2 * (one.seeds - 1) for one in known) / freedom
    error = math.sqrt(sum(variance / one.seeds for one in both)) / len(pairs)
    chance = _range_quantile(values, freedom) / math.sqrt(2) * error
    if spread <= chance:
        return f"{rests}; seeds alone make that much."
    return f"{rests}; seeds alone make up to {100 * chance:.2f}."


@functools.cache
def _range_quantile(values: int, freedom: int) -> float:
    """Return how many standard errors of a mean the largest of so many equal means is above the smallest, at most."""
    return float(scipy.stats.studentized_range.ppf(CONFIDENCE, values, freedom))


def _results(runs: pd.DataFrame, table: pd.DataFrame) -> tuple[str, list[_Result]]:
    """Return which split decides, and the candidates that have a finished run with their results."""
    specs = _candidates(runs)
    if table.empty:
        return "val", []
    split = str(table["ranked_by"].iloc[0])
    rows = {row["candidate_id"]: row for row in table.to_dict("records")}
    results = []
    for candidate, spec in specs.items():
        row = rows[candidate]
        accuracy = float(row[f"{split}_accuracy"])
        if math.isfinite(accuracy):
            results.append(
                _Result(
                    label=str(row["candidate"]),
                    model=str(spec["model"]),
                    optimizer=str(spec["recipe"]["optimizer"]),
                    learning_rate=float(spec["recipe"]["learning_rate"]),
                    levels=_levels(spec),
                    accuracy=accuracy,
                    deviation=float(row[f"{split}_accuracy_sd"]),
                    seeds=int(row["done"]),
                    unranked=str(row["unranked"]),
                )
            )
    return split, results


def _ranked(results: Iterable[_Result]) -> list[_Result]:
    return [one for one in results if not one.unranked]


def _candidates(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return each candidate's specification by id, in the study's order."""
    firsts = runs.drop_duplicates("candidate_id").to_dict("records")
    return {row["candidate_id"]: row["spec"]["candidate"] for row in firsts}


def _levels(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return a candidate's settings as text: model, stem, view, and each of its recipe."""
    levels = {"model": str(spec["model"])}
    if "stem" in spec:
        levels["stem"] = f"{spec['stem']} stem"
    if any(key in spec for key in VIEWS):
        levels["view"] = _view(spec)
    for key, value in spec["recipe"].items():
        name = key.replace("_", " ")
        levels[name] = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)
    return levels


def _view(spec: Mapping[str, Any]) -> str:
    """Return a view's operations in few words."""
    parts = []
    for key in VIEWS:
        value = spec.get(key)
        if isinstance(value, Mapping):
            told = ", ".join(f"{name} {_text(one)}" for name, one in value.items() if one not in (None, False, 0))
            parts.append(f"{key.split('_')[0]}: {told or 'as it is'}")
        else:
            parts.append(f"normalised by {_text(value)}")
    return "; ".join(parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _names(results: Iterable[_Result]) -> list[str]:
    """Return the factors in their order."""
    return list(dict.fromkeys(name for one in results for name in one.levels))
