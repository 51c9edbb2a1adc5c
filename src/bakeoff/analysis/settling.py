"""How many more seeds would turn a pair without a winner into one that is settled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy

from bakeoff.analysis.statistics.differences import ROUNDING, Gap
from bakeoff.analysis.statistics.power import POWER, WORTHWHILE_SEEDS, first_that_holds, power

SEEDS_FOR_A_VERDICT = 5
"""Fewer say too little about the spread of seeds: t's multiplier of it falls from 2.48 at three seeds to 1.24 at five."""

SEEDS_FOR_A_WIDE_GAP = 3

WIDE_GAP = 0.02
"""The gap from which on three seeds do; ten times the spread of seeds that is usual for networks trained to the end."""

MOST_PICTURES = 10**9
"""The largest number of test pictures that is ever advised: nobody has more."""

SEEDS_TRIED = 1_000
"""The largest number of seeds that is tried. A pair that needs more than `WORTHWHILE_SEEDS` is out of reach, but not because
of the pictures."""


def seeds_asked(gap: float) -> int:
    """Return how many seeds of each candidate a verdict on a gap of this size asks for at least."""
    return SEEDS_FOR_A_WIDE_GAP if abs(gap) > WIDE_GAP else SEEDS_FOR_A_VERDICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What it would take to settle a pair, if the gap and the spread of seeds stay as they were seen."""

    seeds: int | None
    """Seeds of each candidate in all, with those that are there; None if no worthwhile number settles it."""

    further: int | None
    """More seeds for the candidate that has fewer."""

    at_least: bool = False
    """Whether this is only the least that a verdict asks for, as the spread of seeds is not known yet."""

    out_of_reach: bool = False
    """Whether seeds would settle it, but more of them than are worthwhile."""

    near: bool = False
    """Whether the gap lies so near the smallest difference that counts that these seeds may bring it to either side, so that
    they settle it with a lower chance."""

    pictures: int | None = None
    """Test pictures that would settle it with seeds without number, where seeds do not; None if none would."""


def settling(
    gap: float, on_new_pictures: Gap | None, *, seeds: tuple[int, int], pairs: int, smallest: float, alpha: float
) -> Settling:
    """Return what would settle a pair as better or as equivalent, with a chance of 80 %.

    The pictures stay the same, so their part of the gap does not move when seeds are added; the seeds' part moves with
    their spread, and is given the margin.

    Args:
        gap: Seen on the test set, 0 or above.
        on_new_pictures: The same with its variances; None if there is none.
        seeds: That both have.
        pairs: Tested at once; the strictest of Holm's levels is taken.
        smallest: The smallest difference that counts.
        alpha: Chance of a false alarm.
    """
    fewest = min(seeds)
    if on_new_pictures is None:
        asked = max(seeds_asked(gap), fewest)
        return Settling(seeds=asked, further=asked - fewest, at_least=True)
    start = max(fewest + 1, seeds_asked(gap))
    better = None
    if gap >= smallest - ROUNDING:
        better = first_that_holds(
            lambda k: _seen(gap, on_new_pictures, k, alpha / pairs), start=start, most=SEEDS_TRIED
        )
    equivalent = first_that_holds(
        lambda k: _ruled_out(gap, on_new_pictures, k, smallest, alpha),
        start=max(start, seeds_asked(0)),
        most=SEEDS_TRIED,
    )
    settled = min((one for one in (better, equivalent) if one is not None), default=None)
    if settled is not None and settled <= max(WORTHWHILE_SEEDS, start):
        near = settled == better and _lower_end(gap, on_new_pictures, settled) < smallest - ROUNDING
        return Settling(seeds=settled, further=settled - fewest, near=near)
    if settled is not None or _pictures_suffice(gap, on_new_pictures, smallest, alpha, pairs):
        return Settling(seeds=None, further=None, out_of_reach=True)
    return Settling(seeds=None, further=None, pictures=_pictures(gap, on_new_pictures, smallest, alpha, pairs))


def _seen(gap: float, known: Gap, seeds: int, level: float) -> bool:
    """Return whether so many seeds likely bring both tests' p values below a level."""
    reach = scipy.special.ndtri(1 - level / 2) * math.sqrt(known.floor_variance + _seed_variance(known) / seeds)
    if _lower_end(gap, known, seeds) <= reach:
        return False
    spread = math.sqrt(_seed_variance(known) / 2)
    return spread == 0 or power(seeds, gap, spread, alpha=level) >= POWER


def _lower_end(gap: float, known: Gap, seeds: int) -> float:
    """Return what the gap of so many seeds exceeds with a chance of 80 %."""
    return gap - float(scipy.special.ndtri(POWER)) * math.sqrt(_seed_variance(known) / seeds)


def _ruled_out(gap: float, known: Gap, seeds: int, smallest: float, alpha: float) -> bool:
    """Return whether so many seeds likely bring the interval for new pictures within the smallest difference."""
    by_seeds = _seed_variance(known) / seeds
    reach = scipy.special.ndtri(1 - alpha) * math.sqrt(known.floor_variance + by_seeds)
    return bool(gap + scipy.special.ndtri(POWER) * math.sqrt(by_seeds) + reach < smallest)


def _pictures_suffice(gap: float, known: Gap, smallest: float, alpha: float, pairs: int) -> bool:
    """Return whether seeds without number would settle a pair on these pictures, whichever way."""
    margin = math.sqrt(known.floor_variance)
    better = gap >= smallest - ROUNDING and gap > scipy.special.ndtri(1 - alpha / pairs / 2) * margin
    return bool(better or gap + scipy.special.ndtri(1 - alpha) * margin < smallest)


def _seed_variance(known: Gap) -> float:
    """Return the variance of one seed of each; no less than chance makes it, as few seeds may lie close by luck."""
    return sum(max(one.sd, one.expected_sd) ** 2 for one in known.noise)


def _pictures(gap: float, known: Gap, smallest: float, alpha: float, pairs: int) -> int | None:
    by_picture = known.floor_variance * known.pictures
    left = smallest - gap
    distance, level = (gap, alpha / pairs / 2) if left <= ROUNDING else (left, alpha)
    if not distance > ROUNDING:
        return None
    needed = by_picture * (scipy.special.ndtri(1 - level) / distance) ** 2
    return math.ceil(needed) if known.pictures < needed < MOST_PICTURES else None
