"""What can go wrong by the user's input or machine, each told as rule, value and remedy.

Everything bakeoff raises on purpose derives from `BakeoffError`; the command line prints its message without a
traceback and exits with code 2. Any other exception is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_PROBLEMS = 20
"""Files named in one message."""


class BakeoffError(Exception):
    """Base of all errors that the user can mend."""


class SpecError(BakeoffError, ValueError):
    """A study file, flag or argument asks for something that is not allowed or does not exist."""


class OtherFormatError(SpecError):
    """A file is of a format that another bakeoff wrote; the message says to use that one."""


class DataError(BakeoffError):
    """The pictures cannot be found, read or compared."""


class UnusablePicturesError(DataError):
    """Some files cannot be used as pictures; the message lists the first, `problems` all."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        """Path below the data set's folder, and why."""

        lines = [f"  {path}: {reason}" for path, reason in problems[:SHOWN_PROBLEMS]]
        more = (
            f"\n  and {len(problems) - SHOWN_PROBLEMS} more; `bakeoff data` lists them all"
            if len(problems) > SHOWN_PROBLEMS
            else ""
        )
        super().__init__(
            f"every picture must be whole, but {len(problems)} cannot be used; repair or remove them:\n"
            + "\n".join(lines)
            + more
        )


class StudyError(BakeoffError):
    """A study folder cannot be written, read or continued."""


class RunError(StudyError):
    """One run cannot go on, for a reason that is its own: the study's others can."""


class AuditError(BakeoffError):
    """A study's results would say nothing, so that training it would be a waste; the message says why, and how to insist."""


class MissingExtraError(BakeoffError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency that is not installed: pip install 'bakeoff[{extra}]'")


def near_miss(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest of the known names, or nothing when none is close."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
