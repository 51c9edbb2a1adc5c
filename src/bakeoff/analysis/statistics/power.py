"""How many seeds a difference takes to be seen, and which difference so many seeds can see.

All of it for Welch's test between two candidates with equally many seeds and equal spread, two-sided, by the
noncentral t distribution. It speaks of the same test pictures; what new ones add no number of seeds takes away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import scipy

POWER = 0.8
"""The usual chance to see a difference that is there."""

SEEDS_SEARCHED = 1_000_000

WORTHWHILE_SEEDS = 50
"""The most seeds of each candidate that are ever advised. So many show a difference of 0.57 standard deviations of the seeds
(two-sided 5 %, chance of 80 %), where a network of the better candidate beats one of the other in 66 of 100 cases: below
that the seed decides more than the candidate does."""


def pairs(candidates: int) -> int:
    """Return how many pairs so many candidates make; the strictest of Holm's levels is alpha divided by it."""
    return candidates * (candidates - 1) // 2


def power(seeds: float, difference: float, sd: float, *, alpha: float = 0.05) -> float:
    """Return the chance that so many seeds of each candidate show a true difference.

    Args:
        seeds: Of each candidate, two at least.
        difference: The true difference of the means, a share.
        sd: Standard deviation of one candidate's accuracy between seeds, in the same unit, above 0.
        alpha: Chance of a false alarm.
    """
    freedom = 2 * seeds - 2
    shift = difference / (sd * math.sqrt(2 / seeds))
    critical = scipy.stats.t.isf(alpha / 2, freedom)
    # The lower tail as the upper one of the mirrored distribution: SciPy 1.17 gives NaN for many of its tiny values.
    return float(scipy.stats.nct.sf(critical, freedom, shift) + scipy.stats.nct.sf(critical, freedom, -shift))


def seeds_needed(difference: float, sd: float, *, alpha: float = 0.05, chance: float = POWER) -> int | None:
    """Return how many seeds of each candidate it takes to see a true difference; None for more than a million."""
    return first_that_holds(
        lambda seeds: power(seeds, difference, sd, alpha=alpha) >= chance, start=2, most=SEEDS_SEARCHED
    )


def first_that_holds(holds: Callable[[int], bool], *, start: int, most: int) -> int | None:
    """Return the smallest number from `start` to `most` for which something holds that holds for all above it."""
    below, above = start - 1, start
    while not holds(above):
        if above >= most:
            return None
        below, above = above, min(most, 2 * above)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above


def smallest_difference(seeds: int, sd: float, *, alpha: float = 0.05, chance: float = POWER) -> float:
    """Return the smallest true difference that so many seeds of each candidate show with this chance.

    Args:
        seeds: Of each candidate, two at least.
        sd: Standard deviation of one candidate's accuracy between seeds, above 0.
        alpha: Chance of a false alarm.
        chance: To see it.
    """
    most = 2.0  # in units of sd; doubled until it is enough
    while power(seeds, most, 1.0, alpha=alpha) < chance:
        most *= 2
    found = scipy.optimize.brentq(lambda size: power(seeds, size, 1.0, alpha=alpha) - chance, 0.0, most)
    return float(found) * sd
