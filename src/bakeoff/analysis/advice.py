"""Recommendations in plain words: what to use, what else would do, what lies beyond the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bakeoff.analysis.budget import NAMES, amount
from bakeoff.analysis.wording import accuracy_words, left_out, listed_briefly, open_words, points, so_far
from bakeoff.words import percent

if TYPE_CHECKING:
    from bakeoff.analysis.recommendation import Recommendation
    from bakeoff.analysis.verdict import Verdict

LATENCY = "latency_p50"
SHOWN_COSTS = (LATENCY, "macs", "parameters", "seconds_train")
"""Costs told of a pick where the budget limits none."""


def of_recommendation(found: Recommendation) -> list[str]:
    """Return a recommendation as two or three sentences, and more for what is not known and who was not judged."""
    if not found.verdict.candidates:
        return found.verdict.sentences()
    said = (
        [_use(found, found.pick), *_others(found, found.pick), *_beyond(found, found.pick)]
        if found.pick
        else _nothing_fits(found)
    )
    return [*found.verdict.progress.sentences(), *said, *_noise(found), *_not_known(found), *left_out(found.verdict)]


def _label(found: Recommendation, candidate: str) -> str:
    return found.verdict.standing(candidate).candidate


def _use(found: Recommendation, pick: str) -> str:
    standing = found.verdict.standing(pick)
    limits, costs = found.budget.limits(), found.costs.get(pick, {})
    told = [f"{NAMES[name]} {amount(name, costs[name])} of {amount(name, limit)}" for name, limit in limits.items()]
    told += [f"{NAMES[name]} {amount(name, costs[name])}" for name in SHOWN_COSTS if not limits and name in costs]
    use = _use_words(found.verdict)
    said = f"{use} {standing.candidate}: {'; '.join([accuracy_words(standing, found.verdict.pictures), *told])}."
    asked = found.budget.min_accuracy
    if asked is not None and standing.interval is not None and standing.interval.low < asked:
        said += f" That it reaches {100 * asked:g} % on new pictures is not certain."
    if found.by_cost:
        said += f" Of equivalent candidates it has the lowest {NAMES[found.by_cost]}."
    return said


def _use_words(verdict: Verdict) -> str:
    if verdict.progress.runs_left:
        return "So far, use"
    return "Use" if verdict.ranked else "For the time being, use"


def _others(found: Recommendation, pick: str) -> list[str]:
    """Say what else fits: the runner-up with what it would cost, and whoever else cannot be told from the pick."""
    verdict, other = found.verdict, found.runner_up
    if other is None:
        return []
    name, less = _label(found, other), verdict.standing(pick).test_accuracy - verdict.standing(other).test_accuracy
    apart = points(abs(less))
    side = "as good" if apart == points(0) else f"{apart} {'lower' if less >= 0 else 'higher'}"
    there = f"{side} on the test set{_in_exchange(found, pick, other)}"
    tied, equal = other in found.ties, verdict.equivalent(pick, other)
    if not tied:
        said = f"The runner-up is {name}, {there}."
    elif equal:
        said = f"{name} is equivalent, {there}."
    elif less >= 0:
        said = f"It has not been shown to be better than {name}, {there}."
    else:
        said = f"{name}, {there}, has not been shown to be better."
    open_between = [open_words(verdict.pair(pick, other))] if tied and not equal else []
    return [said, *open_between, *_further_ties(found, pick, either=tied)]


def _further_ties(found: Recommendation, pick: str, *, either: bool) -> list[str]:
    """Say who else, besides the runner-up, cannot be told from the pick, and what would settle it if nothing was said yet."""
    others = [one for one in found.ties if one != found.runner_up]
    if not others:
        return []
    names = listed_briefly([_label(found, one) for one in others])
    said = f"{_label(found, pick)} is not told apart from {names}{' either' if either else ''}."
    unsettled = [one for one in others if not found.verdict.equivalent(pick, one)]
    return [said, *(open_words(found.verdict.pair(pick, one)) for one in unsettled[:1] if not either)]


def _in_exchange(found: Recommendation, pick: str, other: str) -> str:
    """Say how another's costs stand to the pick's, for the costs that tell most."""
    mine, its = found.costs.get(pick, {}), found.costs.get(other, {})
    limited = [name for name in found.budget.limits() if name in mine and name in its]
    steady = [name for name in SHOWN_COSTS[:3] if name != LATENCY or not {pick, other} & set(found.noisy)]
    shown: Sequence[str] = limited or [name for name in steady if name in mine and name in its][:2]
    told = [
        f"{NAMES[name]} {there} instead of {here}"
        for name in shown
        if (there := amount(name, its[name])) != (here := amount(name, mine[name]))
    ]
    return f", with {' and '.join(told)}" if told else ""


def _beyond(found: Recommendation, pick: str) -> list[str]:
    if found.beyond is None:
        return []
    gap = found.verdict.pair(pick, found.beyond).comparison.gap
    over = "; ".join(map(str, found.fits[found.beyond].misses))
    return [f"{_label(found, found.beyond)} is better by {points(gap)}, but does not fit: {over}."]


def _nothing_fits(found: Recommendation) -> list[str]:
    nothing = so_far(found.verdict, "Nothing")
    said = f"{nothing} {'is known to fit' if found.unknown else 'fits'} the budget."
    if found.closest is None:
        return [said]
    standing = found.verdict.standing(found.closest)
    over = "; ".join(map(str, found.fits[found.closest].misses))
    return [f"{said} {standing.candidate}, {percent(standing.test_accuracy)} right, comes closest: {over}."]


def _noise(found: Recommendation) -> list[str]:
    """Say whose timings are too noisy to choose by, of those that were named, where latencies are told."""
    limits = found.budget.limits()
    if limits and not any((name or "").startswith("latency") for name in (*limits, found.by_cost)):
        return []
    named = [one for one in (found.pick, found.runner_up, found.closest) if one is not None and one in found.noisy]
    if not named:
        return []
    labels = listed_briefly([_label(found, one) for one in named])
    return [f"Timings of {labels} are noisy: measure again on a machine at rest before you choose by them."]


def _not_known(found: Recommendation) -> list[str]:
    """Say of whom it is not known whether it would fit: a cost was not measured, or the audit doubts what was."""
    said = []
    by_costs: dict[tuple[str, ...], list[str]] = {}
    for one in found.unknown:
        if one not in found.doubted:
            by_costs.setdefault(found.fits[one].unknown, []).append(one)
    for missing in by_costs.values():
        said.append(f"{_unsure(found, missing)} not measured (`bakeoff run` does).")
    by_reason: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in found.unknown:
        if one in found.doubted:
            by_reason.setdefault((found.doubted[one], found.fits[one].unknown), []).append(one)
    for (reason, _), candidates in by_reason.items():
        said.append(f"{_unsure(found, candidates)} measured, but the audit doubts it: {reason} (`bakeoff audit`).")
    return said


def _unsure(found: Recommendation, candidates: Sequence[str]) -> str:
    """Begin a sentence on candidates of which the same costs are not known."""
    costs = [NAMES[cost] for cost in found.fits[candidates[0]].unknown]
    names = listed_briefly([_label(found, one) for one in candidates])
    return f"Whether {names} would fit is not known: the {listed_briefly(costs)} {'was' if len(costs) == 1 else 'were'}"
