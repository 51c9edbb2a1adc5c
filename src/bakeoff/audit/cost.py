"""Rules about measured costs: C1 to C5. An error here takes candidates out of the ranking by cost, not by accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff.analysis.costs import (
    CALLS_FOR_P95,
    MOST_BUSY,
    MOST_DRIFT,
    MOST_SPREAD,
    MOST_TAIL,
    contradictions,
    noise_of,
)
from bakeoff.audit.evidence import AbsentError
from bakeoff.audit.finding import Finding, Ranking, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import by_value, listed, named, percent
from bakeoff.cost_records import COMPARED, PASSES, Cost, known_costs
from bakeoff.spec import ResolvedStudy

MISCOUNTED = 0.02
"""Share by which a stored count may differ from a new one; chosen here: the counter is exact, versions may not be."""

DOUBLED = (1.9, 2.1)
"""Ratio of counts of which one took a multiply-accumulate for two operations, as torch's counter does."""

SLOW_FIRST_CALL = 3.0
"""Times the median that the first call may take; chosen here."""

IMPOSSIBLE = 10.0
"""Times the rate of a large matrix product; chosen here: of a 3x3 kernel on a map of one pixel 8 multiplications in 9 meet
only padding and can be left out, so that a rate of 9 times is honest, and none beyond it."""

LATE = 1.5
"""Times the median by which a call may be longer when measured in a block with one wait at its end; chosen here."""


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


@rule(
    "C1",
    "counting of operations",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="any comparison of these candidates' multiply-accumulates",
    needs=("study", "labels", "costs", "macs"),
    ranking=Ranking.COST,
)
def counting(
    *, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]], macs: Mapping[str, int]
) -> Iterator[Finding]:
    """Operations must be counted alike: multiply-accumulates of a forward pass, at the candidate's own input."""
    sizes = {candidate.id: candidate.input_size(study.size) for candidate in study.candidates}
    for candidate, cost in costs_at_hand(costs).items():
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
        threshold=f"a ratio off 1 by more than {percent(MISCOUNTED)}",
        advice="Measure the study's costs again with this version.",
    )


@rule(
    "C2",
    "validity of timings",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="any comparison of these candidates' latency",
    needs=("labels", "costs"),
    ranking=Ranking.COST,
)
def validity(*, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """A timing must be of inference, after a warm-up, and of all the work."""
    for candidate, cost in costs_at_hand(costs).items():
        reasons = [*_too_early(cost), *_too_fast(cost), *_wrong_mode(cost)]
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


def _too_early(cost: Cost) -> Iterator[str]:
    first = cost.timing.first_call / cost.latency_p50
    if cost.timing.warm_up_calls == 0 and first > SLOW_FIRST_CALL:
        yield f"nothing was warmed up, and the first call took {first:.3g} times the median"
    late = cost.timing.retimed / cost.latency_p50
    if late > LATE and not noise_of(cost):  # a call that others interrupt takes longer than the median, too (C3)
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
    ranking=Ranking.COST,
)
def noise(*, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Timings must be steady, and enough for what is said of them."""
    known = costs_at_hand(costs)
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
        threshold=f"fewer than {CALLS_FOR_P95} calls; interquartile range > {percent(MOST_SPREAD)} of the median; 95th "
        f"percentile > {MOST_TAIL:g} medians; first and last third differing by > {percent(MOST_DRIFT)}; others taking > "
        f"{percent(MOST_BUSY)} of the processors",
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
    ranking=Ranking.COST,
)
def conditions(
    *, study: ResolvedStudy, labels: Mapping[str, str], costs: Mapping[str, dict[str, Any]]
) -> Iterator[Finding]:
    """Costs that are compared must be measured under the same conditions; input and batch are part of the candidate."""
    known = costs_at_hand(costs)
    under = {
        candidate: tuple(str(getattr(cost.conditions, key)) for key in COMPARED) for candidate, cost in known.items()
    }
    shared = list(under.values())
    usual = max(shared, key=shared.count)
    for odd in dict.fromkeys(one for one in shared if one != usual):
        touched = [candidate for candidate, one in under.items() if one == odd]
        differing = [
            f"{key.replace('_', ' ')} {here} instead of {there}"
            for key, here, there in zip(COMPARED, odd, usual, strict=True)
            if here != there
        ]
        yield conditions.fires(
            Severity.ERROR,
            f"{named(touched, study, labels)} was measured with {listed(differing)}.",
            candidates=touched,
            evidence={key: here for key, here, there in zip(COMPARED, odd, usual, strict=True) if here != there},
            threshold="any difference in device, processor, threads, precision, memory format, classes or versions",
            advice="Measure all candidates again in one go: `bakeoff run` on the study's folder does where one is missing.",
        )


RULES: tuple[Rule, ...] = (counting, validity, noise, conditions)
