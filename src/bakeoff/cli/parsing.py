"""Comma lists, as flags take them."""

from __future__ import annotations

from collections.abc import Sequence

from bakeoff.errors import SpecError


def numbers(text: str | None, flag: str, kind: type[int] | type[float]) -> list[int] | list[float] | None:
    """Parse a comma list of numbers; whole numbers may be given as ranges such as 0-4."""
    if text is None:
        return None
    values: list[float] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            found: Sequence[float] = (
                range(int(first), int(last) + 1) if kind is int and dash and first else [kind(part)]
            )
        except ValueError as error:
            what = "whole numbers, or ranges such as 0-4," if kind is int else "numbers"
            raise SpecError(f"{flag} takes {what} with commas between them, but got '{text}'") from error
        if not found:
            raise SpecError(f"{flag} takes ranges from low to high, but got '{part.strip()}'; give {last}-{first}")
        values += found
    return values


def word_list(text: str | None) -> list[str] | None:
    """Return the words of a comma list, or None if there is none."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
