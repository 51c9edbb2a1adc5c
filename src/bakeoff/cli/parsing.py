"""Comma lists, and where to write, as flags take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bakeoff.errors import SpecError

STANDARD_OUTPUT = Path("-")
"""What `--out` takes for the terminal instead of a file."""

PICTURE_FILES = (".png", ".svg", ".pdf", ".eps", ".jpg", ".jpeg", ".webp")
"""How names end that nobody gives to a folder."""


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


def numbers(given: Sequence[str] | None, flag: str, kind: type[int] | type[float]) -> list[int] | list[float] | None:
    """Return the numbers of comma lists, or None if there is none; whole numbers may be given as ranges such as 0-4.

    Args:
        given: What came with the flag, each time that it was given.
        flag: Its name.
        kind: Of the numbers.

    Raises:
        SpecError: If something else than numbers is given, or no number.
    """
    if not given:
        return None
    values: list[float] = []
    for part in ",".join(given).split(","):
        try:
            values += _range(part.strip(), flag) if kind is int else [kind(part)]
        except SpecError:
            raise
        except ValueError as error:
            what = "whole numbers, or ranges such as 0-4," if kind is int else "numbers"
            raise SpecError(f"{flag} takes {what} with commas between them, but got '{','.join(given)}'") from error
    return values


def _range(part: str, flag: str) -> Sequence[int]:
    """Return the whole numbers of a range, or the one that stands there alone.

    Raises:
        ValueError: If these are no whole numbers.
        SpecError: If the range is empty or much too long.
    """
    first, dash, last = part.partition("-")
    if not (dash and first):
        return [int(part)]
    low, high = int(first), int(last)
    if high < low:
        instead = f"; give {high}-{low}" if high >= 0 else ""
        raise SpecError(f"{flag} takes ranges from low to high, but got '{part}'{instead}")
    if high - low >= MOST_NUMBERS:
        raise SpecError(f"{flag} takes at most {MOST_NUMBERS:,} numbers, but '{part}' is {high - low + 1:,}")
    return range(low, high + 1)


def word_list(given: Sequence[str] | None, flag: str) -> list[str] | None:
    """Return the words of comma lists, or None if there is none.

    Args:
        given: What came with the flag, each time that it was given.
        flag: Its name.

    Raises:
        SpecError: If the flag came without a word, as from an empty variable of a shell.
    """
    if not given:
        return None
    words = [part.strip() for part in ",".join(given).split(",") if part.strip()]
    if not words:
        raise SpecError(f"{flag} takes words with commas between them, but got '{','.join(given)}'; leave it out")
    return words


def check_place_of_figures(out: Path) -> None:
    """Check that --out is a folder's name, where figures are drawn.

    Raises:
        SpecError: If it is a file's name, standard output, or no name at all.
    """
    if out.is_dir():
        return
    check_name(out)
    check_folder(out, "figures", "figures")
    if out.exists() or out.suffix.lower() in PICTURE_FILES:
        folder = out.with_suffix("") if out.suffix else out.with_name(f"{out.name}-figures")
        raise SpecError(
            f"--out takes a folder where figures are drawn, as there are several, but got the file '{out}'; give a folder, such "
            f"as '{folder}', which then holds accuracy-by-epoch and the others"
        )


def check_name(out: Path) -> None:
    """Check that --out is the name of something.

    Raises:
        SpecError: If it is not, as `.` and `/`.
    """
    if not out.name:
        raise SpecError(f"--out takes the name of a file, for figures of a folder, but got '{out}'")
