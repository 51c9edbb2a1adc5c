"""The rule by which one of two candidates is better, or they are equivalent, or there is no winner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bakeoff.analysis.comparison import Comparison
from bakeoff.analysis.settling import Settling, seeds_asked, settling
from bakeoff.analysis.statistics.differences import ROUNDING
from bakeoff.spec.audit import SMALLEST_DIFFERENCE

ALPHA = 0.05

MOST_LOOKS = 3
"""How often a study's results may be looked at while seeds are added by what they show: with the seeds that it began with,
with those that a verdict asks for, and with those that would settle it."""

ALPHA_OF_A_LOOK = 0.0221
"""The level of each of three looks that together raise a false alarm with a chance of 5 % (Pocock 1977, Biometrika 64)."""


class Decision(StrEnum):
    """What follows for two candidates."""

    BETTER = "better"
    """The first is better, by at least the smallest difference that counts."""

    EQUIVALENT = "equivalent"
    """They differ by less than the smallest difference that counts."""

    NO_WINNER = "no winner"
    """Neither has been shown. This is not the same as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two candidates, judged."""

    comparison: Comparison
    decision: Decision
    lacking: tuple[str, ...] = ()
    """What the first would need for being called better and does not have; empty if it is better."""

    settling: Settling | None = None
    """What would settle it, where there is no winner."""


def decide(comparison: Comparison, *, pairs: int, smallest: float = SMALLEST_DIFFERENCE, alpha: float = ALPHA) -> Pair:
    """Judge two candidates.

    The first is better if all of this holds: both have five seeds (three where they lie more than two points apart),
    the larger p of Welch's test over seeds and of the test on new pictures is below alpha after Holm, and they differ
    by the smallest difference that counts. Neither test is enough alone: seeds on the same pictures say nothing of new
    ones, and a wide margin on the pictures says nothing of new seeds. They are equivalent if both have five seeds and
    the interval for new seeds and new pictures, of level 1 - 2 alpha, lies within the smallest difference. Else there
    is no winner.

    Args:
        comparison: The two, with p values adjusted.
        pairs: That were tested at once.
        smallest: The smallest difference that counts, above 0.
        alpha: Chance of a false alarm among all pairs.
    """
    lacking = _lacking(comparison, smallest, alpha)
    if not lacking:
        return Pair(comparison=comparison, decision=Decision.BETTER)
    gap = comparison.new_pictures
    enough = min(comparison.seeds) >= seeds_asked(0)
    if enough and gap is not None and gap.equivalent_within(smallest, alpha=alpha):
        return Pair(comparison=comparison, decision=Decision.EQUIVALENT, lacking=lacking)
    needed = settling(comparison.gap, gap, seeds=comparison.seeds, pairs=max(1, pairs), smallest=smallest, alpha=alpha)
    return Pair(comparison=comparison, decision=Decision.NO_WINNER, lacking=lacking, settling=needed)


def _lacking(comparison: Comparison, smallest: float, alpha: float) -> tuple[str, ...]:
    """Return each condition for being called better that is not met."""
    lacking = []
    asked = seeds_asked(comparison.gap)
    if min(comparison.seeds) < asked:
        lacking.append(f"{min(comparison.seeds)} of the {asked} seeds that a verdict asks for")
    if comparison.p_adjusted is not None and not comparison.p_adjusted < alpha:
        lacking.append(f"p = {comparison.p_adjusted:.2g} after Holm")
    if comparison.new_pictures is None and min(comparison.seeds) > 1:
        lacking.append("no predictions by picture")
    if comparison.gap < smallest - ROUNDING:
        lacking.append(f"less than {100 * smallest:g} points apart")
    return tuple(lacking)
