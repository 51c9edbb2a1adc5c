"""Comma lists, and where to write, as flags take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bakeoff.errors import SpecError

STANDARD_OUTPUT = Path("-")
"""What `--out` takes for the terminal instead of a file."""


def check_folder(out: Path | None, what: str, instead: str) -> None:
    """Check that --out is no standard output, where a folder is written.

    Args:
        out: As it was given.
        what: What is written.
        instead: A folder that would do.

    Raises:
        SpecError: If it is.
    """
    if out == STANDARD_OUTPUT:
        raise SpecError(
            f"--out takes a folder for {what}, which is several files, but got '-', which stands for standard output; give a "
            f"folder, such as '{instead}'"
        )


MOST_NUMBERS = 10_000
"""Numbers in one range; whoever asks for more has mistyped."""


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
        if len(found) > MOST_NUMBERS:
            raise SpecError(f"{flag} takes at most {MOST_NUMBERS:,} numbers, but '{part.strip()}' is {len(found):,}")
        if not found:
            raise SpecError(f"{flag} takes ranges from low to high, but got '{part.strip()}'; give {last}-{first}")
        values += found
    return values


def word_list(text: str | None) -> list[str] | None:
    """Return the words of a comma list, or None if there is none."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
