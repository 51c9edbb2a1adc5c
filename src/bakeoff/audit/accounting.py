"""The rule about what costs are put down to: C5. `cost.py` has C1 to C4."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bakeoff.analysis import ranking
from bakeoff.analysis.time_to_accuracy import time_to_accuracy, usual_targets
from bakeoff.audit.cost import costs_at_hand, unmeasured
from bakeoff.audit.finding import Finding, Ranking, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import listed, named, rounded_percent
from bakeoff.cost_records import Cost
from bakeoff.records import RunStatus
from bakeoff.spec import ResolvedStudy
from bakeoff.words import duration

LOADER_BOUND = 0.20
"""Share of a training step spent on its data; chosen here."""

OTHER_WORK = 2.0
"""How many times longer than measured alone training may take; chosen here: workers beside each other share caches and memory."""

CLEARLY = 1.1
"""How many times longer than the fastest another must take to be slower; chosen here."""


@rule(
    "C5",
    "what costs are put down to",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="training times and peaks of memory as properties of these networks",
    needs=("study", "labels", "costs"),
    uses=("runs", "epochs"),
    ranking=Ranking.COST,
)
def accounting(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    costs: Mapping[str, dict[str, Any]],
    runs: pd.DataFrame | None,
    epochs: pd.DataFrame | None,
) -> Iterator[Finding]:
    """A network is charged with its own work: not with its data, another network's memory, or other work's time."""
    known = costs_at_hand(costs)
    bound = {one: cost.loader_share for one, cost in known.items() if (cost.loader_share or 0) > LOADER_BOUND}
    if bound:
        worst = max(share for share in bound.values() if share is not None)
        yield accounting.fires(
            Severity.WARNING,
            f"Training {named(bound, study, labels)} waits for data in up to {rounded_percent(worst)} of each step: its speed is that "
            "of the pictures' preparation.",
            candidates=bound,
            evidence={"loader_share": worst},
            threshold=f"more than {rounded_percent(LOADER_BOUND)} of a step",
            advice="Compare networks by `train_throughput`, which leaves the data out.",
        )
    inherited = [candidate for candidate, cost in known.items() if not cost.timing.fresh_process]
    if inherited:
        yield accounting.fires(
            Severity.WARNING,
            f"The peak memory of {named(inherited, study, labels)} was read in a process that had measured others before.",
            candidates=inherited,
            evidence={"fresh_process": False},
            threshold="a process of its own for each candidate",
            advice="Measure each candidate's memory in a fresh process.",
        )
    if runs is None or epochs is None:
        yield accounting.not_run(
            "training times could not be held against the measured speed: there is no record of epochs"
        )
    else:
        yield from _other_work(known, labels, runs, epochs)
        yield from _times_to_accuracy(labels, runs, epochs)
    yield from unmeasured(accounting, study=study, labels=labels, costs=costs, known=known, runs=runs)


def _other_work(
    costs: Mapping[str, Cost], labels: Mapping[str, str], runs: pd.DataFrame, epochs: pd.DataFrame
) -> Iterator[Finding]:
    """Find candidates whose training took far longer than the same steps by themselves, with as many threads."""
    for candidate, cost in costs.items():
        alone = cost.train_throughput_data
        of_it = runs[(runs["candidate_id"] == candidate) & (runs["status"] == RunStatus.DONE)]
        alike = [run["run_id"] for run in of_it.to_dict("records") if _as_measured(run["numerics"], cost)]
        records = epochs[epochs["run_id"].isin(alike)]
        seconds = float(ranking.training_seconds(records).sum())
        if alone is None or seconds == 0:
            continue
        slower = alone / (float(records["images"].sum()) / seconds)
        if slower > OTHER_WORK:
            yield accounting.fires(
                Severity.WARNING,
                f"Training {labels[candidate]} took {slower:.3g} times as long as its steps take by themselves: its training "
                "times hold other work on this machine.",
                candidates=[candidate],
                evidence={"alone_images_per_second": alone, "slower": slower},
                threshold=f"more than {OTHER_WORK:g} times",
                advice="Compare training times by `train_throughput`, or train again on a machine at rest.",
            )


def _as_measured(numerics: dict[str, Any] | None, cost: Cost) -> bool:
    return (
        numerics is not None
        and numerics["threads"] == cost.conditions.threads
        and numerics["device"] == "cpu" == cost.conditions.device
    )


def _times_to_accuracy(labels: Mapping[str, str], runs: pd.DataFrame, epochs: pd.DataFrame) -> Iterator[Finding]:
    """Find what would be claimed wrongly of the time to an accuracy: by leaving out seeds that miss it, or by choosing it."""
    if epochs["val_accuracy"].isna().all():
        return
    fastest: dict[float, str] = {}
    for target in usual_targets(ranking.rank(runs, epochs)):
        reached = set(epochs.loc[epochs["val_accuracy"] >= target, "run_id"])
        if target <= 0 or not reached:
            continue
        every = _times(runs, epochs, target)
        of_hits = _times(runs[runs["run_id"].isin(reached)], epochs, target)
        (first, *others), (flattered, *_) = (
            sorted(times, key=lambda one: times[one]["seconds"]) for times in (every, of_hits)
        )
        least, honest = every[first]["seconds"], every[flattered]["seconds"]
        if math.isfinite(least) and (not others or every[others[0]]["seconds"] > CLEARLY * least):
            fastest[target] = first
        if honest > CLEARLY * of_hits[flattered]["seconds"] and (honest > least or math.isinf(least)):
            yield _flattered(flattered, every[flattered], of_hits[flattered]["seconds"], labels)
    if len(set(fastest.values())) > 1:
        yield accounting.fires(
            Severity.NOTE,
            "Which candidate is fastest hangs on the accuracy to be reached: "
            f"{listed([f'{labels[one]} to {rounded_percent(target)}' for target, one in fastest.items()])}.",
            candidates=dict.fromkeys(fastest.values()),
            evidence={f"{target:g}": labels[one] for target, one in fastest.items()},
            threshold="another candidate at 90, 95 or 99 % of the best validation accuracy",
            advice="Fix the accuracy before training, and show two or three.",
        )


def _times(runs: pd.DataFrame, epochs: pd.DataFrame, target: float) -> dict[str, dict[str, Any]]:
    """Return the time to an accuracy by candidate id, as `time_to_accuracy` has it."""
    rows = time_to_accuracy(runs, epochs, [target]).to_dict("records")
    return {str(row["candidate_id"]): {str(key): value for key, value in row.items()} for row in rows if row["seeds"]}


def _flattered(candidate: str, times: Mapping[str, Any], of_hits: float, labels: Mapping[str, str]) -> Finding:
    hits, seeds, median = int(times["hits"]), int(times["seeds"]), float(times["seconds"])
    counted = f"the median is {duration(median)}" if math.isfinite(median) else "half or more never do"
    return accounting.fires(
        Severity.NOTE,
        f"{labels[candidate]} is fastest to {rounded_percent(times['target'])} validation accuracy only among the seeds that reach it: "
        f"{duration(of_hits)} in {hits} of {seeds}. Of all its seeds {counted}.",
        candidates=[candidate],
        evidence={"target": float(times["target"]), "hits": hits, "seeds": seeds, "seconds_of_hits": of_hits},
        threshold="another order where seeds that miss it count as never",
        advice="Count misses, as `bakeoff show --targets` does.",
    )


RULES: tuple[Rule, ...] = (accounting,)
