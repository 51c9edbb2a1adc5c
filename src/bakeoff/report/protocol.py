"""What candidates got equal shares of, in words."""

from __future__ import annotations

from collections.abc import Mapping

from bakeoff.spec import ResolvedStudy, labels
from bakeoff.spec.budget import Grant
from bakeoff.words import count, duration, plural, speed

LEAST_PREFIXED = 999.5
"""The number from which on numbers are shown with a prefix, which goes before the unit: 37 MMACs."""


def protocol_words(study: ResolvedStudy) -> str:
    """Return in one sentence what candidates got equal shares of."""
    if study.budget is None or study.budget.amount is None:
        return "Every candidate trains for the epochs of its recipe."
    what = "seconds of training" if study.protocol == "time" else "multiply-accumulates of training"
    each = f"{_amount(study, study.budget.amount)} a run"
    whence = "" if study.budget.given is not None else ", what the first one takes for its epochs"
    return f"Candidates got equal {what}, as far as whole epochs go: {each}{whence}."


def budget_words(study: ResolvedStudy, took: Mapping[str, float] | None = None) -> list[str]:
    """Return the protocol and for each candidate what its budget affords it; nothing where epochs are equal.

    Args:
        study: Under any protocol.
        took: Seconds of training that a run took, mean over its seeds, by candidate id.
    """
    if study.budget is None:
        return []
    names = labels(study.candidates)
    pairs = zip(study.candidates, study.budget.grants, strict=True)
    shares = [f"{names[one.id]}: {_granted(study, grant, (took or {}).get(one.id))}" for one, grant in pairs]
    return [protocol_words(study), *shares]


def _granted(study: ResolvedStudy, grant: Grant, took: float | None) -> str:
    rate = grant.epoch.images_per_second
    at = "" if rate is None else f" at {speed(rate)} images/s"
    left = f"{_amount(study, grant.left)} left" if grant.left >= 0 else f"{_amount(study, -grant.left)} over the budget"
    ended = "" if took is None or took != took else f"; a run took {duration(took)}"
    return f"{plural(grant.epochs, 'epoch')} of {_amount(study, grant.epoch.amount)}{at}, {left}{ended}"


def _amount(study: ResolvedStudy, number: float) -> str:
    if study.protocol == "time":
        return duration(number)
    return count(number) + (" MACs" if number < LEAST_PREFIXED else "MACs")
