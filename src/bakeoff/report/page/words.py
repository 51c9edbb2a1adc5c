"""Names and numbers as the page has them."""

from __future__ import annotations

import math
from typing import Any

from bakeoff.words import class_name, clean

LONGEST = 200
"""Characters of a name that are shown."""


def shown(name: object) -> str:
    """Return a name as one line of text, nothing in it obeyed, not too long to be laid out."""
    text = clean(str(name)).replace("\n", " ")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def class_shown(name: object) -> str:
    """Return a class's name as the page has it."""
    return shown(class_name(name))


def number_or_none(value: Any) -> float | None:
    """Return a finite number, or None for all else: what is missing, NaN, infinity."""
    if value is None or isinstance(value, str | bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):  # pandas' NA among them
        return None
    return number if math.isfinite(number) else None


def rounded(value: Any, digits: int = 5) -> float | int | None:
    """Return a number with as many significant digits as a picture can show, for a compact page."""
    number = number_or_none(value)
    if number is None:
        return None
    short = float(f"{number:.{digits}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short
