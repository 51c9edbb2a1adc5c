"""How many seeds a study should have, or what its seeds can see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.analysis.decision import ALPHA
from bakeoff.analysis.statistics.differences import ROUNDING
from bakeoff.analysis.statistics.intervals import t_quantile
from bakeoff.analysis.statistics.power import pairs, seeds_needed, smallest_difference
from bakeoff.analysis.verdict import Verdict
from bakeoff.errors import SpecError, StudyError

DIFFERENCES = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02)
SEEDS = (2, 3, 4, 5, 10, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSpread:
    """How far a study's seeds lie apart."""

    sd: float
    """Standard deviation of one candidate's test accuracy between seeds, pooled over candidates; a share."""

    seeds: int
    """Seeds that it rests on."""

    candidates: int
    """Candidates that the study compares."""

    alpha: float
    """Level at which the study's verdict is reached: lower where seeds are added by what results show (`--settle`)."""

    picture_margin: float | None
    """Uncertainty of the difference of two candidates on new pictures with seeds without number: half
    of the 95 % interval, the median over pairs. None without predictions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPlan:
    """Seeds and the differences that they show, with a chance of 80 %."""

    sd: float
    candidates: int
    alpha: float
    """Level of one pair, so that a false alarm among all pairs is no likelier than asked: the strictest of Holm's."""

    needed: tuple[tuple[float, int | None], ...]
    """Difference, and the seeds of each candidate that it takes; None for more than a million."""

    seen: tuple[tuple[int, float], ...]
    """Seeds of each candidate, and the smallest difference that they show."""


def plan_seeds(
    sd: float,
    *,
    candidates: int = 2,
    differences: Sequence[float] = DIFFERENCES,
    seeds: Sequence[int] = SEEDS,
    alpha: float = ALPHA,
) -> SeedPlan:
    """Return how many seeds each difference takes, and what each number of seeds shows.

    Args:
        sd: Standard deviation of one candidate's accuracy between seeds; a share above 0.
        candidates: That are compared, two at least.
        differences: Of accuracies, shares above 0.
        seeds: Of each candidate, two at least.
        alpha: Chance of one false alarm among all pairs.

    Raises:
        SpecError: If one of these is out of range.
    """
    if not (0 < sd < math.inf and all(0 < one < math.inf for one in differences)):
        raise SpecError(
            f"the spread of seeds and differences must be above 0, but got {sd=:g}, differences {differences}"
        )
    if candidates < 2 or any(one < 2 for one in seeds):
        raise SpecError(
            f"a comparison takes two candidates of two seeds each at least, but got {candidates} candidates, seeds {seeds}"
        )
    of_pair = alpha / pairs(candidates)
    return SeedPlan(
        sd=sd,
        candidates=candidates,
        alpha=of_pair,
        needed=tuple((one, seeds_needed(one, sd, alpha=of_pair)) for one in differences),
        seen=tuple((one, smallest_difference(one, sd, alpha=of_pair)) for one in seeds),
    )


def spread_of(verdict: Verdict) -> SeedSpread:
    """Return how far the seeds of the candidates that a verdict judges lie apart.

    Raises:
        StudyError: If none of them has two finished seeds, or all seeds of each are equal.
    """
    several = [one.test_accuracies for one in verdict.candidates if one.seeds > 1]
    freedom = sum(len(one) - 1 for one in several)
    differing = [one for one in several if np.ptp(one) > ROUNDING]  # the variance of equal accuracies is a rounding
    squares = sum(float(np.var(one, ddof=1)) * (len(one) - 1) for one in differing)
    if not squares:
        raise StudyError(
            "how far seeds lie apart shows where a candidate has two finished seeds that differ, but none "
            f"{'that an error leaves in the comparison ' if verdict.excluded else ''}has; give it with --sd"
        )
    gaps = [gap for pair in verdict.pairs if (gap := pair.comparison.new_pictures) is not None]
    margins = [t_quantile(0.95, gap.pictures - 1) * math.sqrt(gap.floor_variance) for gap in gaps]
    return SeedSpread(
        sd=math.sqrt(squares / freedom),
        seeds=freedom + len(several),
        candidates=len(verdict.candidates),
        alpha=verdict.alpha,
        picture_margin=float(np.median(margins)) if margins else None,
    )
