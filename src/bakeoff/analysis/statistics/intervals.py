"""How sure an accuracy is, and how far seeds should lie apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Accuracies = Sequence[float] | NDArray[np.float64]
"""One a seed, shares in [0, 1]."""

Bits = NDArray[np.bool_]
"""Shape (seeds, pictures): whether the network of each seed was right."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that covers the true value with a probability."""

    low: float
    high: float
    level: float
    """The probability, such as 0.95."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How far the seeds of one candidate lie apart on a test set, and how far they should."""

    seeds: int
    sd: float
    """Sample standard deviation of the seeds' accuracies."""

    expected_sd: float
    """What it would be if the networks differed by chance alone, picture by picture."""

    excess_sd: float
    """What is left of `sd`: how far the networks themselves differ in quality."""

    @property
    def ratio(self) -> float:
        """Variance seen over variance expected; NaN where none was expected and none seen."""
        if self.expected_sd == 0:
            return math.inf if self.sd else math.nan
        return (self.sd / self.expected_sd) ** 2


def wilson(right: int, pictures: int, *, level: float = 0.95) -> Interval:
    """Return the interval of one network's accuracy on new pictures of the kind tested (Wilson 1927).

    Several seeds' pictures must not be pooled: they are the same pictures.

    Raises:
        ValueError: If there are no pictures, or more right ones than pictures.
    """
    if not 0 <= right <= pictures or pictures < 1:
        raise ValueError(f"0 <= right <= pictures and pictures >= 1 must hold, but got {right=}, {pictures=}")
    return _score_interval(right / pictures, pictures, float(scipy.special.ndtri((1 + level) / 2)), level)


def _score_interval(share: float, pictures: float, quantile: float, level: float) -> Interval:
    inflation = 1 + quantile**2 / pictures
    centre = (share + quantile**2 / (2 * pictures)) / inflation
    half = quantile / inflation * math.sqrt(share * (1 - share) / pictures + quantile**2 / (4 * pictures**2))
    return Interval(max(0.0, centre - half), min(1.0, centre + half), level)


def seed_interval(accuracies: Accuracies, *, level: float = 0.95) -> Interval | None:
    """Return the t interval of a candidate's mean accuracy over new seeds, on these same pictures.

    It says nothing of new pictures. None for fewer than two seeds, and where all are equal: a few seeds that meet by chance, as they
    do on few pictures, do not show how far others lie.
    """
    seeds = len(accuracies)
    if seeds < 2 or np.ptp(accuracies) == 0:
        return None
    half = t_quantile(level, seeds - 1) * float(np.std(accuracies, ddof=1)) / math.sqrt(seeds)
    mean = float(np.mean(accuracies))
    return Interval(max(0.0, mean - half), min(1.0, mean + half), level)


def t_quantile(level: float, freedom: float) -> float:
    """Return how many standard errors an interval of this level reaches to either side."""
    return float(scipy.special.stdtrit(freedom, (1 + level) / 2))


def seed_noise(correct: Bits) -> SeedNoise:
    """Return how far seeds lie apart, and how far they should.

    Networks of one candidate err almost independently of each other, picture by picture (Jordan 2023,
    arXiv:2304.01910). A picture that a share p of all seeds gets right then adds p(1-p) to the variance of the number
    right; k/(k-1) makes up for p being estimated from k seeds.

    Args:
        correct: Shape (seeds, pictures), two seeds at least.

    Raises:
        ValueError: If there are fewer than two seeds.
    """
    seeds, pictures = correct.shape
    if seeds < 2:
        raise ValueError(f"seeds must be two at least to lie apart, but got {seeds}")
    share = correct.mean(axis=0)
    expected = seeds / (seeds - 1) * float((share * (1 - share)).sum()) / pictures**2
    seen = float(np.var(correct.sum(axis=1), ddof=1)) / pictures**2  # of counts: equal ones differ by nothing at all
    return SeedNoise(seeds, math.sqrt(seen), math.sqrt(expected), math.sqrt(max(0.0, seen - expected)))


def seed_chances(correct: Bits) -> tuple[float, ...]:
    """Return, for each seed, how likely chance alone brings it so far from the others: a two-sided probability.

    Chance gives each picture's right answers to seeds at random. How many a seed then has is a sum of binomials, one
    for each number of seeds that got a picture right, and its distribution is computed exactly, through its
    characteristic function. Unlike a standard deviation it holds where only a handful of pictures tell seeds apart.
    For two seeds it is McNemar's exact test.

    Args:
        correct: Shape (seeds, pictures), one seed at least.
    """
    seeds = len(correct)
    right = correct.sum(axis=0)
    disputed = (right > 0) & (right < seeds)
    pictures = int(disputed.sum())
    frequencies = np.exp(-2j * np.pi * np.arange(pictures + 1) / (pictures + 1))
    transform = np.ones(pictures + 1, dtype=complex)
    for number, count in enumerate(np.bincount(right[disputed], minlength=seeds)):
        share = number / seeds
        transform *= (1 - share + share * frequencies) ** count
    chances = np.fft.ifft(transform).real.clip(0)
    at_most = np.cumsum(chances)
    at_least = np.cumsum(chances[::-1])[::-1]
    own = correct[:, disputed].sum(axis=1)
    return tuple(float(min(1.0, 2 * min(at_most[number], at_least[number]))) for number in own)


def satterthwaite(total: float, uncertain: Iterable[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a variance that was put together from estimates (Satterthwaite 1946).

    They are never fewer than those of the least certain estimate: an estimate that is larger than the whole, of which
    only a part went in, would else bring them below.

    Args:
        total: The whole variance, above 0.
        uncertain: The estimates in it, each with the degrees of freedom that it rests on.
    """
    uncertain = list(uncertain)
    found = total**2 / sum(variance**2 / freedom for variance, freedom in uncertain)
    return max(found, min(freedom for _, freedom in uncertain))


def accuracy_interval(correct: Bits, *, level: float = 0.95) -> Interval:
    """Return the interval of a candidate's accuracy with new seeds, on new pictures of the kind tested.

    The variance is that of the pictures' mean results over the number of pictures, plus the seeds' excess spread over
    the number of seeds. It enters Wilson's formula as the number of pictures that one network would have needed for it
    (the effective sample size, as Franco et al. 2019 do for surveys, PMC6690503), with the t quantile. That number is
    found with one picture added on which all seeds do what is rare, after Agresti and Min (2005) as for gaps: a handful
    of rare mistakes, each of one seed, does not show that seeds err apart, and would make it that of all their answers.
    For one seed this is Wilson's interval, and covers no other seed.

    Args:
        correct: Shape (seeds, pictures), two pictures at least.
        level: The probability to cover the true value.
    """
    seeds, pictures = correct.shape
    mean = float(correct.mean())
    if seeds == 1 or mean in (0, 1):
        return wilson(int(correct[0].sum()), pictures, level=level)
    rare = float(mean < 0.5)
    by_picture = np.append(correct.mean(axis=0), rare)
    of_pictures = float(np.var(by_picture, ddof=1)) / pictures
    noise = seed_noise(correct)
    total = of_pictures + noise.excess_sd**2 / seeds
    freedom = satterthwaite(total, [(of_pictures, pictures), (noise.sd**2 / seeds, seeds - 1)])
    worth = float(by_picture.mean() * (1 - by_picture.mean())) / total
    return _score_interval(mean, worth, t_quantile(level, freedom), level)
