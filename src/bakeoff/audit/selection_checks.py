"""The checks behind rule S6 and the second half of P5: what choosing the best of many does to its score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bakeoff.analysis.statistics.selection import expected_maximum, order_at_equal_trials
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.health.curves import standard_error
from bakeoff.audit.rule import Rule
from bakeoff.audit.statistics_checks import Labels
from bakeoff.words import percent, plural

ERRORS = 3.0
"""Standard errors of the difference of validation and test accuracy that chance is granted. With two, one candidate of
one seed would be told so in 2.5 % of healthy studies (simulated); with three, in 0.2 %."""


def s6_winners_curse(
    asking: Rule,
    *,
    test: Mapping[str, Sequence[float]],
    validation: Mapping[str, Sequence[float]] | None,
    test_pictures: int | None,
    validation_pictures: int | None,
    labels: Labels,
) -> Finding:
    """Check that the winner does on the test set as on validation, which chose it.

    Args:
        asking: The rule that asks.
        test: Test accuracies of each candidate's seeds, by id.
        validation: Their validation accuracies, in the same order; None without a validation split.
        test_pictures: In the test set.
        validation_pictures: In the validation split.
        labels: Of the candidates.
    """
    threshold = "validation - test <= 3 SE + what the best of all gains by luck, test - validation <= 3 SE"
    finished = {one: values for one, values in test.items() if len(values)}
    if not finished:
        return asking.not_run("no candidate has a finished seed that may be judged")
    if validation is None:
        return asking.not_run("there is no validation split to hold the test accuracy against")
    if test_pictures is None or validation_pictures is None:
        return asking.not_run("it is not known on how many pictures accuracies were measured")
    return _validation_against_test(asking, threshold, finished, validation, test_pictures, validation_pictures, labels)


def _validation_against_test(
    asking: Rule,
    threshold: str,
    test: Mapping[str, Sequence[float]],
    validation: Mapping[str, Sequence[float]],
    test_pictures: int,
    validation_pictures: int,
    labels: Labels,
) -> Finding:
    means = {one: float(np.mean(validation[one])) for one in test}
    winner = max(means, key=means.__getitem__)
    share, seeds = means[winner], len(test[winner])
    got = float(np.mean(test[winner]))
    # The same pictures for every seed, so the seeds do not narrow it.
    of_validation = standard_error(share, validation_pictures)
    error = math.hypot(of_validation, standard_error(got, test_pictures))
    of_seeds = float(np.std(validation[winner], ddof=1)) / math.sqrt(seeds) if seeds > 1 else 0.0
    spread = max(of_validation, of_seeds)  # seeds may meet by chance, most of all where nearly all is right
    luck = expected_maximum(len(means)) * spread if len(means) > 1 else 0.0
    evidence = {
        "validation": share,
        "test": got,
        "standard_error": error,
        "luck_of_the_best": luck,
        "candidates": len(means),
    }
    says = f"{labels[winner]} has {percent(share)} on validation and {percent(got)} on the test set"
    if share - got > ERRORS * error + luck:
        message = (
            f"{says}, {100 * (share - got):.2f} points less, where luck explains {100 * (ERRORS * error + luck):.2f}."
        )
        advice = "Report the test accuracy, and look for test pictures that differ from the training set's."
        return asking.fires(Severity.WARNING, message, evidence=evidence, threshold=threshold, advice=advice)
    if got - share > ERRORS * error:
        explained = 100 * ERRORS * error
        message = f"{says}, {100 * (got - share):.2f} points more, where luck explains {explained:.2f}: the splits are not alike."
        advice = "Look for test pictures that are also in the training set, and for easier classes in the test set."
        return asking.fires(Severity.WARNING, message, evidence=evidence, threshold=threshold, advice=advice)
    return asking.passes(f"{says}.", evidence=evidence, threshold=threshold)


def p5_order_at_equal_trials(asking: Rule, *, scores: Mapping[str, Sequence[float]] | None) -> Finding:
    """Check that the order of tuned methods would be the same had each had as few trials as the one with fewest.

    This is the second half of the rule on equal budgets; that budgets are equal is checked from their sizes.

    Args:
        asking: The rule that asks.
        scores: Of each method that was tuned, such as a model's name, the validation accuracies of all its trials.
    """
    threshold = "the order by expected best accuracy at the smallest number of trials is that by best accuracy"
    if scores is None or len(scores) < 2 or not all(map(len, scores.values())):
        return asking.not_run("there are not two methods with finished trials")
    trials, by_best, by_expected = order_at_equal_trials(scores)
    evidence = {"fewest_trials": trials, "most_trials": max(map(len, scores.values()))}
    if by_best == by_expected:
        return asking.passes(
            f"The order is the same at {plural(trials, 'trial')} each.", evidence=evidence, threshold=threshold
        )
    message = (
        f"By their best trials the order is {', '.join(by_best)}, but {plural(trials, 'trial')} each would be expected to give "
        f"{', '.join(by_expected)}."
    )
    return asking.fires(
        Severity.WARNING,
        message,
        evidence=evidence,
        threshold=threshold,
        advice=f"Give every method the same number of trials, or compare at {trials}.",
    )
