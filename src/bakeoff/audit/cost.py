"""Rules about measured costs: C1 to C5. An error here takes candidates out of the ranking by cost, not by accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bakeoff.analysis.costs import (
    CALLS_FOR_P95,
    MOST_BUSY,
    MOST_DRIFT,
    MOST_SPREAD,
    MOST_TAIL,
    contradictions,
    lengthened,
    noise_of,
)
from bakeoff.audit.evidence import AbsentError
from bakeoff.audit.finding import Finding, Ranking, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import by_value, listed, named, rounded_percent
from bakeoff.cost_records import COMPARED, PASSES, Cost, known_costs
from bakeoff.records import ENDED
from bakeoff.spec import ResolvedStudy

MISCOUNTED = 0.02
"""Share by which a stored count may differ from a new one; chosen here: the counter is exact, versions may not be."""

DOUBLED = (1.9, 2.1)
"""Ratio of counts of which one took a multiply-accumulate for two operations, as torch's counter does."""

SLOW_FIRST_CALL = 3.0
"""How many medians the first call may take; chosen here."""

IMPOSSIBLE = 10.0
"""How many times the rate of a large matrix product is impossible; chosen here: of a 3x3 kernel on a map of one pixel 8 multiplications in 9 meet
only padding and can be left out, so that a rate of 9 times is honest, and none beyond it."""

LATE = 1.5
"""How many medians a call may take when measured in a block with one wait at its end; chosen here."""


def costs_at_hand(costs: Mapping[str, dict[str, Any]]) -> dict[str, Cost]:
    """Return the costs by candidate id.

    Raises:
        AbsentError: If none of them has all its figures.
    """
    found = known_costs(costs)
    if not found:
        raise AbsentError(
            "a stored cost must hold every figure, but none does; measure it again"
            if costs
            else "costs were not measured"
        )
    return found


def unmeasured(
    asking: Rule,
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    costs: Mapping[str, dict[str, Any]],
    known: Mapping[str, Cost],
    runs: pd.DataFrame | None,
) -> Iterator[Finding]:
    """Say of which candidates the cost is not known. One that was not trained yet is measured when it has been.

    Args:
        asking: The rule that asks.
        study: The study.
        labels: A short name by candidate id.
        costs: As they are stored.
        known: Those of them that have all their figures, as `costs_at_hand` gives them.
        runs: As `Store.runs_frame` gives them; None where there is no record of them.
    """
    due = None if runs is None else set(runs.loc[runs["status"].isin(ENDED), "candidate_id"])
    missing = [one.id for one in study.candidates if one.id not in known and (due is None or one.id in due)]
    for candidates, why in (
        ([one for one in missing if one not in costs], "costs were not measured"),
        ([one for one in missing if one in costs], "the stored cost lacks figures; measure it again"),
    ):
        if candidates:
            yield asking.not_run(f"{named(candidates, study, labels)}: {why}", candidates=candidates)


@rule(
    "C1",
    "counting of operations",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="any comparison of these candidates' multiply-accumulates",
    needs=("study", "labels", "costs", "macs"),
    uses=("runs",),
    ranking=Ranking.COST,
)
def counting(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    costs: Mapping[str, dict[str, Any]],
    macs: Mapping[str, int],
    runs: pd.DataFrame | None,
) -> Iterator[Finding]:
    """Operations must be counted alike: multiply-accumulates of a forward pass, at the candidate's own input."""
    sizes = {candidate.id: candidate.input_size(study.size) for candidate in study.candidates}
    known = costs_at_hand(costs)
    for candidate, cost in known.items():
        if macs.get(candidate):
            ratio = cost.macs / macs[candidate]
            if abs(ratio - 1) > MISCOUNTED:
                yield _miscounted(labels[candidate], candidate, cost, ratio, sizes.get(candidate))
        if cost.macs and cost.train_macs_per_image > (1 + MISCOUNTED) * PASSES * cost.macs:
            yield counting.fires(
                Severity.ERROR,
                f"Training {labels[candidate]} is said to take {cost.train_macs_per_image / cost.macs:.3g} forward passes a "
                "picture; torch's counter gives that for the weight gradients of grouped convolutions, which it counts once a "
                "group.",
                candidates=[candidate],
                evidence={"train_macs_per_image": cost.train_macs_per_image, "macs": cost.macs},
                threshold=f"more than {PASSES} forward passes",
                advice="Count training as 3 x forward multiply-accumulates x pictures.",
            )
    uncounted = [candidate for candidate in known if not macs.get(candidate)]
    if uncounted:
        yield counting.not_run(
            f"{named(uncounted, study, labels)}: there is no new count to hold the stored one against",
            candidates=uncounted,
        )
    yield from unmeasured(counting, study=study, labels=labels, costs=costs, known=known, runs=runs)


def _miscounted(label: str, candidate: str, cost: Cost, ratio: float, size: int | None) -> Finding:
    measured_at = cost.conditions.input_size
    if size is not None and measured_at != size:
        why = f"it was counted at {measured_at} pixels, and the candidate sees {size}"
    elif DOUBLED[0] < ratio < DOUBLED[1] or DOUBLED[0] < 1 / ratio < DOUBLED[1]:
        why = "one of them counts operations, the other multiply-accumulates"
    else:
        why = "they were counted by different means, or of different networks"
    return counting.fires(
        Severity.ERROR,
        f"The stored count of {label} is {ratio:.3g} times that made when the study was planned: {why}.",
        candidates=[candidate],
        evidence={"macs": cost.macs, "ratio": ratio, "input_size": measured_at, "candidate_input_size": size},
        threshold=f"a ratio off 1 by more than {rounded_percent(MISCOUNTED)}",
        advice="Measure the study's costs again with this version.",
    )


@rule(
    "C2",
    "validity of timings",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="any comparison of these candidates' latency",
    needs=("study", "labels", "costs"),
    uses=("runs",),
    ranking=Ranking.COST,
)
def validity(
    *, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]], runs: pd.DataFrame | None
) -> Iterator[Finding]:
    """A timing must be of inference, after a warm-up, and of all the work."""
    known = costs_at_hand(costs)
    unsure = []
    for candidate, cost in known.items():
        reasons = [*_too_early(cost), *_too_fast(cost), *_wrong_mode(cost)]
        if not reasons and cost.timing.retimed > LATE * cost.latency_p50:
            unsure.append(candidate)
        if reasons:
            yield validity.fires(
                Severity.ERROR,
                f"The latency of {labels[candidate]} cannot be right: {listed(reasons)}.",
                candidates=[candidate],
                evidence={
                    "latency_p50": cost.latency_p50,
                    "first_call": cost.timing.first_call,
                    "warm_up_calls": cost.timing.warm_up_calls,
                    "retimed": cost.timing.retimed,
                    "rate": cost.macs / cost.latency_p50,
                    "peak": cost.timing.peak_macs_per_second,
                    "training": cost.timing.training,
                    "gradients": cost.timing.gradients,
                },
                threshold=f"no warm-up with a first call > {SLOW_FIRST_CALL:g} medians; a rate > {IMPOSSIBLE:g} peaks; "
                f"a block > {LATE:g} medians a call; training mode or gradients",
                advice="Warm up, wait for the device on both sides of a call, and infer in eval and inference mode.",
            )
    if unsure:
        who = named(unsure, study, labels)
        yield validity.not_run(
            f"latencies of {who} are too noisy to tell whether the device was waited for", candidates=unsure
        )
    yield from unmeasured(validity, study=study, labels=labels, costs=costs, known=known, runs=runs)


def _too_early(cost: Cost) -> Iterator[str]:
    first = cost.timing.first_call / cost.latency_p50
    if cost.timing.warm_up_calls == 0 and first > SLOW_FIRST_CALL:
        yield f"nothing was warmed up, and the first call took {first:.3g} times the median"
    late = cost.timing.retimed / cost.latency_p50
    if late > LATE * lengthened(cost):
        yield f"a call takes {late:.3g} times as long where the device is waited for"


def _too_fast(cost: Cost) -> Iterator[str]:
    fastest = cost.macs * max(1 / cost.latency_p50, cost.throughput)
    if fastest > IMPOSSIBLE * cost.timing.peak_macs_per_second:
        times = fastest / cost.timing.peak_macs_per_second
        yield f"it would take {times:.3g} times the multiply-accumulates a second that this device can do"


def _wrong_mode(cost: Cost) -> Iterator[str]:
    if cost.timing.training:
        yield "the network was in training mode"
    if cost.timing.gradients:
        yield "operations were recorded for gradients"


@rule(
    "C3",
    "noise of timings",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="an order of these candidates by latency or speed",
    needs=("study", "labels", "costs"),
    uses=("runs",),
    ranking=Ranking.COST,
)
def noise(
    *, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]], runs: pd.DataFrame | None
) -> Iterator[Finding]:
    """Timings must be steady, and enough for what is said of them."""
    known = costs_at_hand(costs)
    yield from _noisy(known, study, labels)
    yield from unmeasured(noise, study=study, labels=labels, costs=costs, known=known, runs=runs)


def _noisy(known: Mapping[str, Cost], study: ResolvedStudy, labels: Mapping[str, str]) -> Iterator[Finding]:
    noisy = {candidate: reasons for candidate, cost in known.items() if (reasons := noise_of(cost))}
    if not noisy:
        return
    alike = by_value({candidate: ", ".join(reasons) for candidate, reasons in noisy.items()})
    told = [f"{named(candidates, study, labels)} ({reasons})" for reasons, candidates in alike.items()]
    unsure = [
        f" {labels[pair.more]} has {pair.macs:.3g} times the multiply-accumulates of {labels[pair.fewer]}, which yet took "
        f"{pair.latency:.3g} times as long; noise could explain that."
        for pair in contradictions(known)
        if pair.unsure and {pair.fewer, pair.more} & noisy.keys()
    ]
    yield noise.fires(
        Severity.WARNING,
        f"Timings are noisy: {listed(told)}.{''.join(unsure)}",
        candidates=noisy,
        evidence=_noisiest([known[candidate] for candidate in noisy]),
        threshold=f"fewer than {CALLS_FOR_P95} calls; interquartile range > {rounded_percent(MOST_SPREAD)} of the median; 95th "
        f"percentile > {MOST_TAIL:g} medians; first and last third differing by > {rounded_percent(MOST_DRIFT)}; others taking > "
        f"{rounded_percent(MOST_BUSY)} of the processors",
        advice="Measure again on a machine at rest; differences below the noise say nothing.",
    )


def _noisiest(costs: list[Cost]) -> dict[str, float | int | str | bool | None]:
    return {
        "latency_calls": min(cost.latency_calls for cost in costs),
        "latency_spread": max(cost.noise.latency_spread for cost in costs),
        "latency_drift": max((cost.noise.latency_drift for cost in costs), key=abs),
        "train_spread": max(cost.noise.train_spread for cost in costs),
        "train_drift": max((cost.noise.train_drift for cost in costs), key=abs),
        "busy": max((cost.noise.busy for cost in costs if cost.noise.busy is not None), default=None),
    }


@rule(
    "C4",
    "conditions of measuring",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="any comparison of these candidates' costs with the others'",
    needs=("study", "labels", "costs"),
    uses=("runs",),
    ranking=Ranking.COST,
)
def conditions(
    *, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]], runs: pd.DataFrame | None
) -> Iterator[Finding]:
    """Costs that are compared must be measured under the same conditions; input and batch are part of the candidate."""
    known = costs_at_hand(costs)
    yield from _unlike(known, study, labels)
    yield from unmeasured(conditions, study=study, labels=labels, costs=costs, known=known, runs=runs)


def _unlike(known: Mapping[str, Cost], study: ResolvedStudy, labels: Mapping[str, str]) -> Iterator[Finding]:
    """Find costs measured under other conditions than most, or all of them where no conditions are those of most."""
    under = {
        candidate: tuple(str(getattr(cost.conditions, key)) for key in COMPARED) for candidate, cost in known.items()
    }
    shared = by_value(under)
    usual = max(shared, key=lambda one: len(shared[one]))
    if sum(len(alike) == len(shared[usual]) for alike in shared.values()) > 1:
        by_key = {
            key: by_value({one: values[place] for one, values in under.items()}) for place, key in enumerate(COMPARED)
        }
        unlike = {key: values for key, values in by_key.items() if len(values) > 1}
        yield _unfit(
            f"Costs were measured under unlike conditions, none of them those of most candidates: "
            f"{listed([_split(key, values, study, labels) for key, values in unlike.items()])}.",
            list(known),
            {key: " | ".join(values) for key, values in unlike.items()},
        )
        return
    for odd, touched in shared.items():
        if odd == usual:
            continue
        differing = [
            f"{key.replace('_', ' ')} {here} instead of {there}"
            for key, here, there in zip(COMPARED, odd, usual, strict=True)
            if here != there
        ]
        yield _unfit(
            f"{named(touched, study, labels)} was measured with {listed(differing)}.",
            touched,
            {key: here for key, here, there in zip(COMPARED, odd, usual, strict=True) if here != there},
        )


def _split(key: str, values: Mapping[str, list[str]], study: ResolvedStudy, labels: Mapping[str, str]) -> str:
    told = [f"{value} with {named(candidates, study, labels)}" for value, candidates in values.items()]
    return f"{key.replace('_', ' ')} ({'; '.join(told)})"


def _unfit(message: str, touched: list[str], evidence: Mapping[str, str]) -> Finding:
    return conditions.fires(
        Severity.ERROR,
        message,
        candidates=touched,
        evidence=dict(evidence),
        threshold="any difference in device, processor, threads, precision, memory format, classes or versions",
        advice="Measure all candidates again in one go: `bakeoff run` on the study's folder does where one is missing.",
    )


RULES: tuple[Rule, ...] = (counting, validity, noise, conditions)
