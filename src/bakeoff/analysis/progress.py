"""How many of a study's runs have ended: what is told first of a study of which some have not."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bakeoff.records import ENDED
from bakeoff.words import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many of a study's runs have ended."""

    runs: int = 0
    """Planned."""

    ended: int = 0
    """Runs of these that have ended, however: done, diverged or failed."""

    at_work: bool | None = None
    """Whether `bakeoff run` is at work on the others; None where that cannot be known."""

    @property
    def runs_left(self) -> int:
        """Runs that have not ended, those in training among them."""
        return self.runs - self.ended

    def sentences(self) -> list[str]:
        """Return how far the study has come, in one sentence; nothing once every run has ended."""
        if not self.runs_left:
            return []
        said = f"{self.ended:,} of {plural(self.runs, 'run')} {'has' if self.runs == 1 else 'have'} ended as this is written"
        if self.at_work is None:
            return [f"{said}; the same command goes on with the rest."]
        if self.at_work:
            return [f"{said}, while `bakeoff run` is at work on the rest."]
        return [f"{said}, and nobody is at work on the rest: the same command goes on with it."]


COMPLETE = Progress()
"""The progress of results whose study nobody asks about: no run of them is left."""


def progress_of(runs: pd.DataFrame, *, at_work: bool | None = None) -> Progress:
    """Return how many of a study's runs have ended.

    Args:
        runs: One row a run, as `Store.runs_frame` gives them.
        at_work: Whether a driver is at work on the others; None where that cannot be known.
    """
    return Progress(runs=len(runs), ended=int(runs["status"].isin(ENDED).sum()), at_work=at_work)
