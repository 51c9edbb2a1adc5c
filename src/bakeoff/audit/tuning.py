"""Rules about how candidates were tuned: P4 to P6."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bakeoff.analysis.ranking import rank
from bakeoff.analysis.statistics.differences import ROUNDING
from bakeoff.audit.evidence import DataProbe
from bakeoff.audit.finding import Finding, Severity, State
from bakeoff.audit.health.curves import standard_error
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.selection_checks import p5_order_at_equal_trials
from bakeoff.audit.settings import KEYS, RECIPE_KEYS, UNUSED, free_keys, settings, subject_keys, subjects, sweeps
from bakeoff.audit.words import listed, named
from bakeoff.records import ENDED, RunStatus
from bakeoff.spec import CandidateSpec, ResolvedStudy

TUNED = {"learning_rate": 2, "weight_decay": 3, "momentum": 3, "label_smoothing": 3}
"""Numbers that count as tuned once a sweep has so many values of them: two learning rates claim that the better one is
good, two weight decays ask whether it helps."""

BRACKET = 3
"""Values that can have one inside."""

BELOW_1 = ("momentum", "label_smoothing")
"""What a recipe takes from 0 to below 1 alone."""

COARSE = 4.0
"""Ratio of neighbouring learning rates; chosen here."""

SHOWN = ("input size", "optimizer", "epochs")
"""Settings whose values a message shows; the evidence has all."""

UNEQUAL_ERROR = 2.0
UNEQUAL_WARNING = 1.2
"""Ratio of tuning budgets; chosen here."""


@rule(
    "P4",
    "optimum at the edge of the grid",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that these candidates were tuned",
    needs=("study", "labels"),
    uses=("runs", "epochs", "data"),
)
def edge(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame | None,
    epochs: pd.DataFrame | None,
    data: DataProbe | None,
) -> Iterator[Finding]:
    """The best value of what was tuned must lie between others."""
    axes = [axis for axis in TUNED if axis not in subject_keys(study)]
    results = None if runs is None or epochs is None else _results(runs, epochs)
    lost = set() if runs is None else _lost(runs)
    waiting: list[str] = []
    fruitless: list[str] = []
    for group in sweeps(study, axes):
        values = {axis: sorted({getattr(one.recipe, axis) for one in group}) for axis in axes}
        for axis in (one for one in axes if len(values[one]) >= TUNED[one]):
            if len(values[axis]) < BRACKET:
                yield _cannot_bracket(group, axis, values[axis], study, labels)
            elif results is None or any(one.id not in results.index and one.id not in lost for one in group):
                waiting += [one.id for one in group]
            elif all(one.id in lost for one in group):
                fruitless += [one.id for one in group]
            else:
                yield from _at_edge(group, axis, values[axis], results, _pictures(study, data), labels)
    if waiting:
        yield edge.not_run(
            f"where the optimum of {named(waiting, study, labels)} lies is known once each of them has a finished run, or none that "
            "could still finish",
            candidates=dict.fromkeys(waiting),
        )
    if fruitless:
        yield edge.not_run(
            f"{named(fruitless, study, labels)}: no run finished, so that no value is the best",
            candidates=dict.fromkeys(fruitless),
        )


def _results(runs: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy, its deviation over seeds and the number of seeds, by candidate id, of those with a finished run."""
    table = rank(runs, epochs)
    split = "test" if len(table) and (table["ranked_by"] == "test").all() else "val"
    table = table.assign(accuracy=table[f"{split}_accuracy"], deviation=table[f"{split}_accuracy_sd"])
    return table.dropna(subset=["accuracy"]).set_index("candidate_id")[["accuracy", "deviation", "done"]]


def _lost(runs: pd.DataFrame) -> set[str]:
    """Return the ids of candidates all of whose runs have ended and none has finished: they did worse than any that did."""
    ended = runs["status"].isin(ENDED).groupby(runs["candidate_id"]).all()
    finished = (runs["status"] == RunStatus.DONE).groupby(runs["candidate_id"]).any()
    return set(ended.index[ended & ~finished])


def _pictures(study: ResolvedStudy, data: DataProbe | None) -> int | None:
    """Return the number of pictures that decide, or None where it is not known."""
    if data is not None:
        return sum(data.counts.get("validation", data.counts["test"]))
    return study.validation or None


def _cannot_bracket(
    group: Sequence[CandidateSpec],
    axis: str,
    values: Sequence[float],
    study: ResolvedStudy,
    labels: Mapping[str, str],
) -> Finding:
    ids = [one.id for one in group]
    return edge.fires(
        Severity.ERROR,
        f"{len(values)} values of {_words(axis)} ({_numbers(values)}) cannot show an optimum between others: {named(ids, study, labels)}.",
        candidates=ids,
        evidence={"axis": axis, "values": len(values), "lowest": values[0], "highest": values[-1]},
        threshold=f"fewer than {BRACKET} values",
        advice=f'Add {_more(axis, values)}, or declare it the subject: subject = ["{axis}"] in [audit].',
    )


def _at_edge(
    group: Sequence[CandidateSpec],
    axis: str,
    values: Sequence[float],
    results: pd.DataFrame,
    pictures: int | None,
    labels: Mapping[str, str],
) -> Iterator[Finding]:
    best = _best(group, axis, values, results)
    chosen = getattr(best.recipe, axis)
    place = values.index(chosen)
    at_edge = _is_end(values, chosen)
    if at_edge:
        severity, told, evidence = _above_the_next(best, group, axis, results, pictures)
        beyond = values[0] / 3 if place == 0 else _above(axis, values[-1])
        yield edge.fires(
            severity,
            f"{_words(axis)} {chosen:g} won among {_numbers(values)} for {labels[best.id]}, at the edge of what was tried{told}.",
            candidates=[one.id for one in group],
            evidence={"axis": axis, "best": chosen} | evidence,
            threshold="best value = smallest or largest; a warning where the gap to the next is within two standard errors or not known",
            advice=f"Add {beyond:.3g} before judging.",
        )
    elif axis == "learning_rate" and _steps(values, place) > COARSE:
        yield edge.fires(
            Severity.NOTE,
            f"The learning rates around {labels[best.id]} lie {_steps(values, place):.3g} times apart: the optimum may be missed.",
            candidates=[best.id],
            evidence={"axis": axis, "best": chosen, "step": _steps(values, place)},
            threshold=f"neighbours more than {COARSE:g} times apart",
            advice="Add values between them.",
        )


def _best(group: Sequence[CandidateSpec], axis: str, values: Sequence[float], results: pd.DataFrame) -> CandidateSpec:
    """Return the best candidate that has finished; of equal ones one inside the grid, which is as good as one at its edge."""
    reached = {one.id: float(results["accuracy"][one.id]) for one in group if one.id in results.index}
    tied = [one for one in group if reached.get(one.id, -math.inf) >= max(reached.values()) - ROUNDING]
    return min(tied, key=lambda one: _is_end(values, getattr(one.recipe, axis)))


def _is_end(values: Sequence[float], value: float) -> bool:
    """Tell whether a better value may lie beyond one; none at all is no edge of a decay's range."""
    return value == values[-1] or (value == values[0] and value > 0)


def _above_the_next(
    best: CandidateSpec, group: Sequence[CandidateSpec], axis: str, results: pd.DataFrame, pictures: int | None
) -> tuple[Severity, str, dict[str, float | int | str | bool | None]]:
    """Return how grave it is that the best stands at an edge, how far it lies above the next, in words, and the numbers."""
    chosen = getattr(best.recipe, axis)
    alike = [one for one in group if one is not best and _but(one, axis) == _but(best, axis)]
    if not alike:  # the grid is no rectangle
        told = f", and no candidate that differs from it in the {_words(axis)} alone shows by how much"
        return Severity.WARNING, told, {"gap": None, "noise": None}
    beside = min(alike, key=lambda one: abs(getattr(one.recipe, axis) - chosen))
    if beside.id not in results.index:
        return Severity.ERROR, ": no run with the next value finished", {"gap": None, "noise": None}
    gap = float(results["accuracy"][best.id] - results["accuracy"][beside.id])
    noise = 2 * _standard_error(results.loc[[best.id, beside.id]], pictures)
    numbers: dict[str, float | int | str | bool | None] = {"gap": gap, "noise": noise}
    if gap > noise:
        return Severity.ERROR, f": {100 * gap:.2f} points above the next value", numbers
    return Severity.WARNING, ", though within noise of the next value", numbers


def _above(axis: str, value: float) -> float:
    """Return the next value to try above one: three times it, or half the way to 1 where that is the end."""
    return (1 + value) / 2 if axis in BELOW_1 else value * 3


def _but(candidate: CandidateSpec, axis: str) -> tuple[float, ...]:
    return tuple(getattr(candidate.recipe, other) for other in TUNED if other != axis)


def _standard_error(pair: pd.DataFrame, pictures: int | None) -> float:
    """Return that of the difference of two accuracies: over seeds where there are several, and that of so many pictures at least.

    Two or three seeds may agree by chance, and all seeds answer the same pictures.
    """
    of_pictures = math.sqrt(sum(standard_error(float(accuracy), pictures) ** 2 for accuracy in pair["accuracy"]))
    if not (pair["done"] > 1).all():
        return of_pictures
    return max(of_pictures, float(math.sqrt((pair["deviation"] ** 2 / pair["done"]).sum())))


def _steps(values: Sequence[float], place: int) -> float:
    """Return the larger of a value's ratios to its neighbours."""
    return max(values[place] / values[place - 1], values[place + 1] / values[place])


def _more(axis: str, values: Sequence[float]) -> str:
    if axis != "learning_rate":
        return "values on both sides"
    return listed([f"{values[0] / 3:.1g}", f"{values[-1] * 3:.1g}"])


def _words(axis: str) -> str:
    return axis.replace("_", " ")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


@rule(
    "P5",
    "unequal tuning",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="a comparison of what was tuned with unlike effort",
    needs=("study",),
    uses=("runs", "epochs"),
)
def unequal_tuning(
    *, study: ResolvedStudy, runs: pd.DataFrame | None, epochs: pd.DataFrame | None
) -> Iterator[Finding]:
    """Each of what is compared must get as many trials, learning rates and epochs as the others."""
    groups = subjects(study)
    efforts = {name: _effort(group, study) for name, group in groups.items()}
    unlike = {what: _ratio([effort[what] for effort in efforts.values()]) for what in next(iter(efforts.values()))}
    worst = max(unlike, key=lambda what: unlike[what])
    if unlike[worst] <= UNEQUAL_WARNING:
        return
    told = [
        f"{listed([f'{name} {effort[what]:g}' for name, effort in efforts.items()])} {what}"
        for what, ratio in unlike.items()
        if ratio > UNEQUAL_WARNING
    ]
    yield unequal_tuning.fires(
        Severity.ERROR if unlike[worst] > UNEQUAL_ERROR else Severity.WARNING,
        f"Unlike effort went into what is compared: {'; '.join(told)}.",
        evidence={f"ratio of {what}": ratio for what, ratio in unlike.items()},
        threshold=f"largest over smallest > {UNEQUAL_ERROR:g}, a warning > {UNEQUAL_WARNING:g}",
        advice="Give each the same grid: a list in [recipe] holds for every candidate.",
    )
    if runs is not None and epochs is not None:
        accuracies = _results(runs, epochs)["accuracy"]
        scores = {
            name: [float(accuracies[one.id]) for one in group if one.id in accuracies] for name, group in groups.items()
        }
        order = p5_order_at_equal_trials(unequal_tuning, scores=scores)
        if order.state is State.FIRES:
            yield order


def _effort(group: Sequence[CandidateSpec], study: ResolvedStudy) -> dict[str, float]:
    effort: dict[str, float] = {
        "trials": len(group),
        "learning rates": len({(one.recipe.optimizer, one.recipe.learning_rate) for one in group}),
    }
    if "epochs" not in free_keys(study):
        effort["epochs at most"] = max(one.recipe.epochs for one in group)
    return effort


def _ratio(values: Sequence[float]) -> float:
    return max(values) / min(values)


@rule(
    "P6",
    "undeclared difference",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that a difference in accuracy comes from what is compared",
    needs=("study",),
    uses=("macs",),
)
def undeclared_difference(*, study: ResolvedStudy, macs: Mapping[str, int] | None) -> Iterator[Finding]:
    """What is compared may differ in nothing but what the study declares, unless each got the same grid of it."""
    groups = subjects(study)
    free = free_keys(study)
    chosen = {name: [settings(candidate, study.size) for candidate in group] for name, group in groups.items()}
    keys = [
        key
        for key in KEYS
        if key not in free and not _tuned_by_all(key, chosen) and not _follows_the_optimizer(key, chosen)
    ]
    if len(groups) == 1:
        yield from _confounded(next(iter(chosen.values())), study)
        return
    values = {key: {name: _distinct(rows, key) for name, rows in chosen.items()} for key in keys}
    differing = [key for key in keys if len({tuple(sorted(found)) for found in values[key].values()}) > 1]
    crossings = [{tuple(row[key] for key in keys) for row in rows} for rows in chosen.values()]
    if not differing and all(one == crossings[0] for one in crossings):
        return
    told = [_told(key, values[key]) for key in differing] or ["the combinations of settings that each was given"]
    touched = differing or [key for key in keys if any(len(found) > 1 for found in values[key].values())]
    yield undeclared_difference.fires(
        Severity.ERROR if "input size" in differing else Severity.WARNING,
        f"{listed(list(groups))} differ not only in {_compared(study)}, but in {listed(told)}.{_work(groups, macs)}",
        evidence={
            key: " | ".join(f"{name}: {', '.join(found)}" for name, found in values[key].items()) for key in touched
        },
        threshold="any undeclared difference; an error in the size of the input",
        advice="Give each the same settings, or declare in [audit] what is compared, such as subject = "
        f"[{', '.join(f'{chr(34)}{key}{chr(34)}' for key in _declaration(study, touched))}].",
    )


def _tuned_by_all(key: str, chosen: Mapping[str, Sequence[Mapping[str, str]]]) -> bool:
    return key in TUNED and all(len(_distinct(rows, key)) >= TUNED[key] for rows in chosen.values())


def _follows_the_optimizer(key: str, chosen: Mapping[str, Sequence[Mapping[str, str]]]) -> bool:
    """Tell a momentum that all who use one share: it differs where the optimizer does, and is no difference beside it."""
    used = {row["momentum"] for rows in chosen.values() for row in rows} - {UNUSED}
    return key == "momentum" and len(used) <= 1


def _distinct(rows: Sequence[Mapping[str, str]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _confounded(rows: Sequence[Mapping[str, str]], study: ResolvedStudy) -> Iterator[Finding]:
    """Say where one network's views and recipes change together, so that neither's effect can be told."""
    views = {tuple(row[key] for key in ("stem", "view", "normalization")) for row in rows}
    recipes = {tuple(row[key] for key in RECIPE_KEYS) for row in rows}
    if len(views) > 1 and len(recipes) > 1 and len(rows) != len(views) * len(recipes):
        yield undeclared_difference.fires(
            Severity.WARNING,
            f"{len(views)} views and {len(recipes)} recipes are compared in {len(rows)} combinations only, so that an effect of "
            "the one may be the other's.",
            evidence={"views": len(views), "recipes": len(recipes), "combinations": len(rows)},
            threshold="fewer combinations than views times recipes",
            advice="Train every recipe with every view, or compare one of the two at a time.",
        )


def _told(key: str, found: Mapping[str, list[str]]) -> str:
    """Say how candidates differ in one setting, where that takes few words."""
    if key not in SHOWN:
        return _words(key)
    words = [f"{name} {' and '.join(values)}" for name, values in found.items()]
    return f"{_words(key)} ({'; '.join(words)})"


def _compared(study: ResolvedStudy) -> str:
    return listed([_words(one) for one in study.audit.subject])


def _declaration(study: ResolvedStudy, differing: Sequence[str]) -> list[str]:
    """Return what to declare as the subject so that these differences are part of it."""
    wanted = ["view" if key == "input size" else "recipe" if key in RECIPE_KEYS else key for key in differing]
    return list(dict.fromkeys([*study.audit.subject, *wanted]))


def _work(groups: Mapping[str, Sequence[CandidateSpec]], macs: Mapping[str, int] | None) -> str:
    """Say what a picture takes in each, where that differs much."""
    if macs is None:
        return ""
    work = {name: max(macs[one.id] for one in group) for name, group in groups.items()}
    return f" A picture takes {listed([f'{number / 1e6:.3g} M in {name}' for name, number in work.items()])} multiply-accumulates."


RULES: tuple[Rule, ...] = (edge, unequal_tuning, undeclared_difference)
