"""Whether two candidates differ: with other seeds on these pictures, or on new pictures as well.

Two questions that must not be blurred. *Would A beat B again on these pictures, trained anew?* is answered by Welch's
test on the seeds' accuracies; *on new pictures of this kind?* by `gap_on_new_pictures`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from bakeoff.analysis.statistics.intervals import (
    Accuracies,
    Bits,
    Interval,
    SeedNoise,
    satterthwaite,
    seed_noise,
    t_quantile,
)

EXACT_PERMUTATIONS = 200_000
"""Most divisions of the seeds that are all tried: 184,756 for ten seeds each."""

BOOTSTRAP_DRAWS = 2_000

ROUNDING = 1e-9
"""Accuracies that lie nearer are equal: shares of up to a hundred million pictures lie farther apart, or not at all."""


@dataclass(frozen=True, slots=True)
class Welch:
    """Welch's t test on the accuracies of two candidates' seeds (Welch 1947)."""

    difference: float
    """Difference of the means, first minus second."""

    freedom: float
    p: float
    """Two-sided."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference of two candidates on new pictures with new seeds."""

    value: float
    standard_error: float
    freedom: float
    pictures_variance: float
    """The share of the squared standard error that comes of the pictures, each with its results over these seeds."""

    noise: tuple[SeedNoise, SeedNoise]
    pictures: int

    def interval(self, level: float = 0.95) -> Interval:
        """Return the t interval of this level, within the differences that two accuracies can have."""
        half = t_quantile(level, self.freedom) * self.standard_error
        return Interval(max(-1.0, self.value - half), min(1.0, self.value + half), level)

    @property
    def p(self) -> float:
        """The two-sided p value of no difference."""
        return float(2 * scipy.stats.t.sf(abs(self.value) / self.standard_error, self.freedom))

    @property
    def floor_variance(self) -> float:
        """The squared standard error that would be left with seeds without number: that of these pictures alone."""
        by_chance = sum(noise.expected_sd**2 / noise.seeds for noise in self.noise)
        return max(0.0, self.pictures_variance - by_chance)

    def equivalent_within(self, bound: float, *, alpha: float = 0.05) -> bool:
        """Return whether the difference is smaller than a bound: two one-sided tests of level alpha (Schuirmann 1987)."""
        interval = self.interval(1 - 2 * alpha)
        return -bound < interval.low and interval.high < bound


@dataclass(frozen=True, slots=True)
class McNemar:
    """The exact test of McNemar (1947) on the pictures that only one of two networks gets right.

    It speaks of these two networks, not of how networks of their kind turn out.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, slots=True)
class Superiority:
    """How often a network of the first candidate beats one of the second, over all pairs of seeds; ties count half."""

    share: float
    interval: Interval | None
    """By bootstrap over the seeds; None for one seed. With fewer than 29 seeds it describes and proves nothing: so many
    show a share of 0.75 with errors of 5 % either way (Noether 1987)."""


def welch(first: Accuracies, second: Accuracies) -> Welch | None:
    """Test whether two candidates' mean accuracies differ over seeds, on the same pictures.

    Seeds are not paired: a seed makes networks of different candidates no more alike. None for a candidate of fewer
    than two seeds. Where neither candidate's seeds differ by more than rounding, p is 0 for different means and 1 for
    equal ones; where one's do not, the other's spread alone decides.
    """
    if min(len(first), len(second)) < 2:
        return None
    difference = float(np.mean(first) - np.mean(second))
    if max(np.ptp(first), np.ptp(second)) <= ROUNDING:
        return Welch(difference, float(len(first) + len(second) - 2), float(abs(difference) <= ROUNDING))
    # As `scipy.stats.ttest_ind`, which warns where a group hardly varies; accuracies on few pictures often do not.
    parts = [(float(np.var(one, ddof=1)) / len(one), len(one) - 1.0) for one in (first, second)]
    total = sum(variance for variance, _ in parts)
    freedom = satterthwaite(total, parts)
    return Welch(difference, freedom, float(2 * scipy.stats.t.sf(abs(difference) / math.sqrt(total), freedom)))


def permutation_p(first: Accuracies, second: Accuracies) -> float | None:
    """Return the exact p value of the difference of means over all divisions of the seeds: a check on Welch's.

    As `scipy.stats.permutation_test` with all permutations, in a fraction of its time. None for fewer than four seeds
    of a candidate, where p cannot fall below 0.05, and for more than ten or so, where Welch's test needs no check.
    """
    size, total = len(first), len(first) + len(second)
    if min(size, total - size) < 4 or math.comb(total, size) > EXACT_PERMUTATIONS:
        return None
    pooled = np.concatenate([first, second])
    means = pooled[_divisions(total, size)].mean(axis=1)
    rounding = 1e-12  # sums of the same numbers in another order
    as_high = float((means >= np.mean(first) - rounding).mean())
    as_low = float((means <= np.mean(first) + rounding).mean())
    return min(1.0, 2 * min(as_high, as_low))


@functools.lru_cache(maxsize=8)
def _divisions(total: int, size: int) -> NDArray[np.uint8]:
    """Return every choice of `size` out of `total` places, one a row."""
    flat = itertools.chain.from_iterable(itertools.combinations(range(total), size))
    return np.fromiter(flat, np.uint8, math.comb(total, size) * size).reshape(-1, size)


def gap_on_new_pictures(first: Bits, second: Bits) -> Gap | None:
    """Estimate how far two candidates lie apart with new seeds on new pictures.

    The squared standard error is var(d)/n + E_first/k_first + E_second/k_second: d is each picture's difference of the
    mean results, n the number of pictures, E the excess variance of a candidate's k seeds (`SeedNoise.excess_sd`).
    What seeds do by chance, picture by picture, is in var(d) already, so nothing counts twice. Degrees of freedom
    after Satterthwaite; E is as uncertain as the seeds' whole variance that it is a part of. One picture that only one
    of the two gets right is added to the variance, as Agresti and Min (2005, Statistics in Medicine 24) do for two
    proportions: else two networks that agree on each of a few pictures would be equal beyond doubt.

    Args:
        first: Shape (seeds, pictures).
        second: Shape (seeds, pictures), of the same pictures in the same order.

    Returns:
        None for a candidate of fewer than two seeds, whose spread is unknown.

    Raises:
        ValueError: If the numbers of pictures differ, or there is only one.
    """
    pictures = first.shape[1]
    if pictures != second.shape[1] or pictures < 2:
        raise ValueError(f"pictures must be the same and two at least, but got {first.shape=}, {second.shape=}")
    if min(len(first), len(second)) < 2:
        return None
    by_picture = first.mean(axis=0) - second.mean(axis=0)
    value = float(by_picture.mean())
    squares = float(((by_picture - value) ** 2).sum()) + 1
    of_pictures = squares / (pictures - 1) / pictures
    noise = (seed_noise(first), seed_noise(second))
    total = of_pictures + sum(one.excess_sd**2 / one.seeds for one in noise)
    uncertain = [(of_pictures, pictures - 1.0), *((one.sd**2 / one.seeds, one.seeds - 1.0) for one in noise)]
    return Gap(value, math.sqrt(total), satterthwaite(total, uncertain), of_pictures, noise, pictures)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test whether two single networks differ, on the pictures that only one of them gets right.

    Args:
        first: Shape (pictures,): whether the first network was right.
        second: Shape (pictures,): whether the second was, on the same pictures.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p = float(scipy.stats.binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def superiority(first: Accuracies, second: Accuracies, *, level: float = 0.95) -> Superiority:
    """Return how often a network of the first candidate beats one of the second, with a bootstrap interval."""
    above = np.sign(np.subtract.outer(np.asarray(first, float), np.asarray(second, float))) / 2 + 0.5
    rows, columns = above.shape
    share = float(above.mean())
    if min(rows, columns) < 2:
        return Superiority(share, None)
    generator = np.random.default_rng(0)  # the same seeds give the same interval
    of_first = generator.multinomial(rows, np.full(rows, 1 / rows), BOOTSTRAP_DRAWS)
    of_second = generator.multinomial(columns, np.full(columns, 1 / columns), BOOTSTRAP_DRAWS)
    drawn = (of_first @ above * of_second).sum(axis=1) / (rows * columns)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Superiority(share, Interval(float(low), float(high), level))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number, so that one false alarm among all is as rare as promised (Holm 1979)."""
    number = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, float)[order] * np.arange(number, 0, -1)
    adjusted = np.empty(number)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled)) if number else scaled
    return [float(p) for p in adjusted]
