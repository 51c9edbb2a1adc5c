"""What choosing the best of many does to its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy


def expected_best(scores: Sequence[float], trials: int) -> float:
    """Return the best score that so many trials would have given on average, from the scores of more trials.

    The i-th of N sorted scores is the best of m draws (with replacement) with chance (i/N)^m - ((i-1)/N)^m (Dodge et
    al. 2019, arXiv:1909.03004; slightly low where m comes near N, Dodge et al. 2021, arXiv:2110.00613). For trials
    drawn alike, such as a random search or a grid, not for one that learns from trial to trial.

    Args:
        scores: One a trial, the higher the better, such as validation accuracies.
        trials: How many, 1 at least.

    Raises:
        ValueError: If there are no scores, or fewer than one trial.
    """
    number = len(scores)
    if number < 1 or trials < 1:
        raise ValueError(f"scores and trials must be one at least, but got {number} scores, {trials=}")
    reached = (np.arange(number + 1) / number) ** trials
    return float(np.sort(np.asarray(scores, float)) @ np.diff(reached))


def expected_maximum(number: int) -> float:
    """Return how far the best of so many equal candidates lies above their mean by luck, in standard deviations."""
    # The chance that all lie below a height is ndtr^m; the mean is the integral of what is missing to it on either side.
    above = scipy.integrate.quad(lambda height: 1 - scipy.special.ndtr(height) ** number, 0, 12)[0]
    below = scipy.integrate.quad(lambda height: scipy.special.ndtr(height) ** number, -12, 0)[0]
    return float(above - below)


def order_at_equal_trials(scores: Mapping[str, Sequence[float]]) -> tuple[int, list[str], list[str]]:
    """Return the order of tuned methods by their best score, and by what each would reach with equally many trials.

    Args:
        scores: Of each method, the scores of its trials.

    Returns:
        The smallest number of trials that a method had, the order by best score, the order by expected best score
        with that many trials each.
    """
    trials = min(map(len, scores.values()))
    by_best = sorted(scores, key=lambda method: -max(scores[method]))
    by_expected = sorted(scores, key=lambda method: -expected_best(scores[method], trials))
    return trials, by_best, by_expected
