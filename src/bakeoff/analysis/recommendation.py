"""Which candidate to use under a budget, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.analysis import advice
from bakeoff.analysis.budget import NAMES, Budget, Costs, Fit
from bakeoff.analysis.facts import plain
from bakeoff.analysis.pareto import CHEAPER, Front, pareto_front
from bakeoff.analysis.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Which candidate to use under a budget. Candidates are given by their ids."""

    verdict: Verdict
    budget: Budget
    costs: Costs
    fits: dict[str, Fit]
    """How each judged candidate stands to the budget."""

    pick: str | None
    """What to use; None if nothing is known to fit."""

    by_cost: str | None
    """The cost by which the pick was taken from among equivalent candidates; None if accuracy alone decided."""

    ties: tuple[str, ...]
    """Others that fit and cannot be told from the pick, or are equivalent to it; best first."""

    runner_up: str | None
    """The next best that fits."""

    beyond: str | None
    """The candidate that misses the budget by least, of those that are better than the pick and do not fit."""

    closest: str | None
    """The candidate that comes closest where nothing fits."""

    unknown: tuple[str, ...]
    """Candidates that may fit, but of which a cost with a limit was not measured, or is doubted."""

    doubted: Mapping[str, str]
    """Candidates whose measured costs count as not known, with the audit's reason."""

    noisy: tuple[str, ...]
    """Candidates whose timings are too noisy to be told from those of others."""

    fronts: dict[str, Front]
    """By cost, which candidates are worth it."""

    def sentences(self) -> list[str]:
        """Return the recommendation in plain words."""
        return advice.of_recommendation(self)

    def facts(self) -> dict[str, Any]:
        """Return the recommendation as plain JSON values."""
        own = {
            name: plain(getattr(self, name))
            for name in (
                "pick", "by_cost", "ties", "runner_up", "beyond", "closest", "unknown", "doubted", "noisy", "budget", "fits", "costs", "fronts",
            )
        }  # fmt: skip
        return own | {
            "runs_left": self.verdict.progress.runs_left,
            "sentences": self.sentences(),
            "verdict": self.verdict.facts(),
        }

    def __str__(self) -> str:
        return "\n".join(self.sentences())


def recommend(
    verdict: Verdict,
    costs: Costs,
    budget: Budget,
    *,
    doubted: Mapping[str, str] | None = None,
    noisy: Sequence[str] = (),
) -> Recommendation:
    """Return which candidate to use.

    Of the ranked candidates (of all judged ones where none is ranked) that are known to fit, those that none of the
    others is better than are left; the best of them is the pick, unless an equivalent one is cheaper by more than a
    tenth, which then is. A higher mean alone, of whichever split, moves nothing past a candidate that is equivalent and
    cheaper.

    Args:
        verdict: That judges accuracy.
        costs: As `budget.costs_of` gives them.
        budget: The limits.
        doubted: Candidates whose measured costs are not among `costs`, by id, with the reason.
        noisy: Candidates whose timings are too noisy to be told from those of others.
    """
    standings = {one.candidate_id: one for one in verdict.candidates}
    fits = {one: budget.check(standing.test_accuracy, costs.get(one, {})) for one, standing in standings.items()}
    contending = [one.candidate_id for one in verdict.contending]
    fitting = [one for one in contending if fits[one].fits]
    pick, by_cost = _pick(verdict, fitting, costs) if fitting else (None, None)
    missing = [one for one in contending if fits[one].misses]

    def excess(candidate: str) -> float:
        return fits[candidate].excess

    return Recommendation(
        verdict=verdict,
        budget=budget,
        costs=costs,
        fits=fits,
        pick=pick,
        by_cost=by_cost,
        ties=tuple(one for one in fitting if pick and one != pick and not _apart(verdict, one, pick)),
        runner_up=_runner_up(verdict, [one for one in fitting if one != pick]),
        beyond=min((one for one in missing if pick and verdict.better(one, pick)), key=excess, default=None),
        closest=min(missing, key=excess, default=None) if pick is None else None,
        unknown=tuple(one for one in contending if fits[one].unknown and not fits[one].misses),
        doubted=dict(doubted or {}),
        noisy=tuple(noisy),
        fronts={name: front for name in NAMES if (front := _front(verdict, name, costs)).on},
    )


def _pick(verdict: Verdict, fitting: Sequence[str], costs: Costs) -> tuple[str, str | None]:
    unbeaten = verdict.unbeaten(fitting)
    best = unbeaten[0]
    cost = next((name for name in NAMES if all(name in costs.get(one, {}) for one in fitting)), None)
    if cost is None:
        return best, None
    equivalent = [one for one in unbeaten[1:] if verdict.equivalent(best, one)]
    cheapest = min(equivalent, key=lambda one: costs[one][cost], default=best)
    if costs[cheapest][cost] < CHEAPER * costs[best][cost]:
        return cheapest, cost
    return best, None


def _apart(verdict: Verdict, one: str, other: str) -> bool:
    return verdict.better(one, other) or verdict.better(other, one)


def _runner_up(verdict: Verdict, others: Sequence[str]) -> str | None:
    return next(iter(verdict.unbeaten(others)), None)


def _front(verdict: Verdict, name: str, costs: Costs) -> Front:
    return pareto_front(verdict, name, {one: known[name] for one, known in costs.items() if name in known})
