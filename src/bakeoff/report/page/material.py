"""What a page is made of: plain results, gathered by whoever may open a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from bakeoff.analysis.effects import Effects
from bakeoff.analysis.progress import COMPLETE, Progress
from bakeoff.audit import Finding
from bakeoff.cost_records import Cost
from bakeoff.spec import ResolvedStudy

if TYPE_CHECKING:
    from bakeoff.analysis.per_class import ClassFacts
    from bakeoff.analysis.pictures import Pictures
    from bakeoff.analysis.recommendation import Recommendation


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How a study came about; None where nobody wrote it down."""

    command: str | None = None
    """The command as it was typed."""

    git: str | None = None
    """The commit of the code that was run, and whether it had been changed since."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python, torch, bakeoff and others that decide numbers."""

    hardware: str | None = None
    started: str | None = None
    """When the first run started, UTC."""

    finished: str | None = None
    """When the last run finished, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a page tells of, as `Study` and the analysis give it."""

    study: ResolvedStudy
    version: str
    """Version of the bakeoff that draws the page."""

    runs: pd.DataFrame
    """As `Store.runs_frame` gives them."""

    epochs: pd.DataFrame
    """As `Store.epochs_frame` gives them."""

    table: pd.DataFrame
    """As `Study.table` gives it: one row a candidate, best first."""

    recommendation: Recommendation | None
    """The recommendation without limits: the verdict, and which candidates are worth which cost. None where nothing can be judged."""

    no_verdict: str | None = None
    """Why there is none."""

    progress: Progress = COMPLETE
    """How many runs have ended."""

    costs: Mapping[str, Cost] = field(default_factory=dict)
    """By candidate id."""

    findings: Sequence[Finding] = ()
    found_before: str = ""
    """Which other version of bakeoff found them and why they were not asked again; nothing if they are of this one."""

    remarks: Sequence[str] = ()
    """What a reader of the table must know, as `Study.remarks` gives it."""

    effects: Effects = field(default_factory=Effects)
    """What changed accuracy, as `analysis.effects.effects` gives it."""

    classes: Sequence[ClassFacts] = ()
    """As `analysis.per_class.per_class` gives them."""

    pictures: Pictures | None = None
    """As `study.pictures.shown` gives them; None if nobody looked."""

    made: Made = field(default_factory=Made)
