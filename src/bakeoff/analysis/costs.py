"""How far measured costs can be trusted, and where two of them contradict each other: pure functions on stored costs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.cost_records import COMPARED, Cost

CALLS_FOR_P95 = 59
"""Fewer calls than ln 0.05 / ln 0.95 give no upper bound at 95 % confidence for the 95th percentile: even the slowest of
them lies below it too often."""

FEWEST = 12
"""Timings of which a spread and a drift are told: quartiles and thirds of fewer are single timings."""

MOST_SPREAD = 0.20
"""Interquartile range over the median, above which a timing is called noisy; chosen here. On a virtual machine at rest
11 networks of 2 to 16 ms had 0.02 to 0.15 on one of its two cores, on the same machine at work 0.27 to 0.54."""

MOST_TAIL = 1.5
"""How many medians the 95th percentile may take; chosen here: 1.04 to 1.31 at rest. A pause in every tenth call shows
here and not in the quartiles."""

MOST_DRIFT = 0.10
"""Between the first and the last third of a measurement; chosen here: at rest 0.00 to 0.09 and once 0.17, at work 0.16 to
0.31. Less changes no verdict, since costs within a tenth are not told apart."""

MOST_BUSY = 0.5
"""Share of the machine's processor time that others may take."""

INTERRUPTED = 2.0
"""How many medians a call may take on average where others took much of the processors, or calls are few; chosen here:
whoever gets half of a processor takes twice as long."""

TOO_CLOSE = 0.10
"""Costs that differ by less are not told apart."""


def noise_of(cost: Cost) -> list[str]:
    """Return what makes a candidate's timings unsure, each in a few words with its number; nothing if they are steady."""
    noise, said = cost.noise, []
    if cost.latency_calls < CALLS_FOR_P95:
        said.append(f"{cost.latency_calls} calls are too few for a 95th percentile")
    for what, number, spread, drift in (
        ("latency", cost.latency_calls, noise.latency_spread, noise.latency_drift),
        ("training steps", cost.train_steps, noise.train_spread, noise.train_drift),
    ):
        if number < FEWEST:
            continue
        if spread > MOST_SPREAD:
            said.append(f"{what} spread by {100 * spread:.0f} %")
        if abs(drift) > MOST_DRIFT:
            said.append(f"{what} drifted by {100 * drift:+.0f} %")
    tail = cost.latency_p95 / cost.latency_p50
    if tail > MOST_TAIL:
        said.append(f"one latency in twenty took {tail:.1f} times the median")
    return [*said, *busy(cost)]


def lengthened(cost: Cost) -> float:
    """Return how many times the median a call may take on average through noise alone; 1 where latencies are steady."""
    noise = cost.noise
    spread = noise.latency_spread + abs(noise.latency_drift)
    return max(
        1.0,
        INTERRUPTED if busy(cost) or cost.latency_calls < CALLS_FOR_P95 else 1.0,
        1 + spread if noise.latency_spread > MOST_SPREAD or abs(noise.latency_drift) > MOST_DRIFT else 1.0,
        cost.latency_p95 / cost.latency_p50 if cost.latency_p95 > MOST_TAIL * cost.latency_p50 else 1.0,
    )


def busy(cost: Cost) -> list[str]:
    """Say that the machine was busy with other work; nothing if it was not, or nobody knows.

    What others did while the measuring processes rested decides. Where the system does not tell, the load average at
    the start stands for it, although it remembers a minute of this study's own training.
    """
    noise = cost.noise
    if noise.busy is not None:
        return [f"others took {100 * noise.busy:.0f} % of the processors"] if noise.busy > MOST_BUSY else []
    if noise.load_average is not None and noise.load_average > cost.conditions.cores * MOST_BUSY:
        return [f"the load average was {noise.load_average:.1f} on {cost.conditions.cores} cores"]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two candidates that multiply-accumulates and latency put in opposite orders."""

    fewer: str
    """The candidate with fewer multiply-accumulates, and the higher latency."""

    more: str
    macs: float
    """How many times as many the other has; above 1."""

    latency: float
    """How many times as long the first takes; above 1."""

    noise: float
    """Within which the latencies are unsure, as a share."""

    unsure: bool
    """Whether noise could explain it."""

    def __str__(self) -> str:
        """Say it in a sentence."""
        seen = (
            f"{self.more} has {self.macs:.3g} times the multiply-accumulates of {self.fewer}, "
            f"yet {self.fewer} took {self.latency:.3g} times as long"
        )
        if self.unsure:
            return f"{seen}; the latencies are unsure by {100 * self.noise:.0f} %, so noise could explain this."
        return f"{seen}: multiply-accumulates do not order these by latency here."


def contradictions(costs: Mapping[str, Cost]) -> list[Contradiction]:
    """Return the pairs that multiply-accumulates and median latency put in opposite orders, those that noise explains first.

    Pairs whose multiply-accumulates differ by less than a tenth are left out: there is no order to contradict.

    Args:
        costs: By the name to be shown.
    """
    found = []
    for one, other in itertools.combinations(costs, 2):
        fewer, more = sorted((one, other), key=lambda name: costs[name].macs)
        if costs[fewer].macs == 0 or costs[more].macs < (1 + TOO_CLOSE) * costs[fewer].macs:
            continue
        ratio = costs[fewer].latency_p50 / costs[more].latency_p50
        if ratio > 1:
            found.append(_contradiction(fewer, more, costs[fewer], costs[more], ratio))
    return sorted(found, key=lambda pair: (not pair.unsure, -pair.latency))


def _contradiction(fewer: str, more: str, slow: Cost, fast: Cost, ratio: float) -> Contradiction:
    unsure_by = max(
        TOO_CLOSE, *(max(cost.noise.latency_spread, abs(cost.noise.latency_drift)) for cost in (slow, fast))
    )
    return Contradiction(
        fewer=fewer,
        more=more,
        macs=fast.macs / slow.macs,
        latency=ratio,
        noise=unsure_by,
        unsure=ratio <= 1 + unsure_by or _overlap(slow, fast),
    )


def _overlap(slow: Cost, fast: Cost) -> bool:
    """Whether the intervals of the median latencies meet; an interval without a bound meets everything."""
    low, high = slow.latency_p50_interval[0], fast.latency_p50_interval[1]
    return low is None or high is None or low <= high


SHOWN = 3
"""Candidates or pairs told of in one sentence."""


def remarks(costs: Mapping[str, Cost]) -> list[str]:
    """Return what a reader of measured costs must know, one sentence each: noise, contradictions, unlike conditions.

    Args:
        costs: By the name to be shown.
    """
    return [*_noisy(costs), *_contradicting(costs), *_unlike(costs)]


def _noisy(costs: Mapping[str, Cost]) -> list[str]:
    noisy = {name: reasons for name, cost in costs.items() if (reasons := noise_of(cost))}
    if not noisy:
        return []
    alike: dict[str, list[str]] = {}  # candidates that cost the same share a measurement
    for name, reasons in noisy.items():
        alike.setdefault(", ".join(reasons), []).append(name)
    shown = [f"{', '.join(names)} ({reasons})" for reasons, names in list(alike.items())[:SHOWN]]
    hidden = sum(len(names) for names in list(alike.values())[SHOWN:])
    more = f" and {hidden} more" if hidden else ""
    return [f"Timings are noisy: {'; '.join(shown)}{more}. Measure again on a machine at rest before you rank by them."]


def _contradicting(costs: Mapping[str, Cost]) -> list[str]:
    pairs = contradictions(costs)
    said = [str(pair) for pair in pairs[:SHOWN]]
    if len(pairs) > SHOWN:
        said.append(f"Of {len(pairs) - SHOWN} more pairs the one with fewer multiply-accumulates took longer.")
    return said


def _unlike(costs: Mapping[str, Cost]) -> list[str]:
    differing = unlike(costs)
    if not differing:
        return []
    return [
        f"Costs were measured under different conditions ({', '.join(differing)}) and cannot be compared with each other."
    ]


def unlike(costs: Mapping[str, Cost]) -> list[str]:
    """Return the conditions that should be equal among costs, and are not."""
    conditions = [cost.conditions for cost in costs.values()]
    return [key for key in COMPARED if any(getattr(one, key) != getattr(conditions[0], key) for one in conditions)]
