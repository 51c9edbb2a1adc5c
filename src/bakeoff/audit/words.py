"""How the rules name candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from bakeoff.spec import ResolvedStudy

Value = TypeVar("Value")

NAMED = 4
"""Candidates named in one message."""


def named(candidates: Iterable[str], study: ResolvedStudy, labels: Mapping[str, str]) -> str:
    """Return candidates in a few words: a model by its name where all of its candidates are meant.

    Args:
        candidates: Their ids.
        study: Whose they are.
        labels: A short name by candidate id.
    """
    meant = set(candidates)
    if len(study.candidates) > 1 and meant >= {candidate.id for candidate in study.candidates}:
        return "every candidate"
    words: list[str] = []
    for model in dict.fromkeys(candidate.model for candidate in study.candidates):
        ids = [candidate.id for candidate in study.candidates if candidate.model == model]
        here = [one for one in ids if one in meant]
        words += [model] if len(here) == len(ids) else [labels[one] for one in here]
    more = len(words) - NAMED
    return listed(words[:NAMED] + ([f"{more} more"] if more > 0 else []))


def listed(words: Sequence[str]) -> str:
    """Return words as one phrase: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def rounded_percent(share: float) -> str:
    """Return a share as a percentage: 100 %, 25.8 %, 2.0 %, 0.02 %."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 99.95 else f"{value:.1f} %" if value >= 1 or value == 0 else f"{value:.1g} %"


def by_value(values: Mapping[str, Value]) -> dict[Value, list[str]]:
    """Return the keys that share each value, in their order."""
    shared: dict[Value, list[str]] = {}
    for key, value in values.items():
        shared.setdefault(value, []).append(key)
    return shared
