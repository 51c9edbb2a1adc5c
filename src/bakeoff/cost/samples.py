"""What a list of timings says: its middle, its tail, how sure they are, how steady it was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import scipy

CONFIDENCE = 0.95

Interval = tuple[float | None, float | None]


def quantile(samples: Sequence[float], share: float) -> float:
    """Return a quantile, interpolated between the two nearest samples.

    Args:
        samples: At least one.
        share: In [0, 1]; 0.5 is the median.
    """
    return float(np.quantile(np.asarray(samples), share))


def quantile_interval(samples: Sequence[float], share: float, confidence: float = CONFIDENCE) -> Interval:
    """Return an interval that holds a quantile of whatever the samples were drawn from, without assuming its shape.

    Its ends are samples: of n, the number that lie below the quantile is binomial (n, share), which says how many places
    to either side of it one must go (David & Nagaraja 2003, Order Statistics, section 7.1).

    Args:
        samples: Independent draws, in any order.
        share: Which quantile, in (0, 1).
        confidence: That it is inside; each end is missed with at most half of the rest.

    Returns:
        Both ends; None for one that so few samples cannot give.
    """
    ordered, miss = sorted(samples), (1 - confidence) / 2
    # Samples sure to lie below: the lower end is the last of them.
    below = int(scipy.stats.binom.ppf(miss, len(ordered), share))
    above = int(scipy.stats.binom.ppf(1 - miss, len(ordered), share)) + 1
    low = ordered[below - 1] if below >= 1 else None
    high = ordered[above - 1] if above <= len(ordered) else None
    return low, high


def spread(samples: Sequence[float]) -> float:
    """Return the interquartile range as a share of the median."""
    return (quantile(samples, 0.75) - quantile(samples, 0.25)) / quantile(samples, 0.5)


def drift(samples: Sequence[float]) -> float:
    """Return how much higher the median of the last third is than that of the first, as a share.

    Args:
        samples: In the order in which they were taken; fewer than three have no drift.
    """
    third = len(samples) // 3
    if third == 0:
        return 0.0
    return statistics.median(samples[-third:]) / statistics.median(samples[:third]) - 1
