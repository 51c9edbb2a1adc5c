"""What the audit says of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """What came of a rule."""

    PASS = "pass"
    FIRES = "fires"
    NOT_RUN = "not run"
    """The evidence it needs is not there; never to be shown as a pass."""


class Severity(StrEnum):
    """What a rule that fires does to the ranking."""

    ERROR = "error"
    """The candidates touched leave the ranking."""

    WARNING = "warning"
    """The ranking is shown with the sentence attached."""

    NOTE = "note"
    """Told in the report's appendix."""


class Ranking(StrEnum):
    """What candidates are ranked by."""

    ACCURACY = "accuracy"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says of a study."""

    rule: str
    """Its id, such as `D1`."""

    title: str
    """The rule in a few words, such as `field of view`."""

    state: State
    severity: Severity
    """How bad this finding is: one rule may fire as an error or as a warning. A pass has the worst that the rule can be."""

    message: str
    """What was seen, in one or two plain sentences with the numbers; for `not run`, why."""

    candidates: tuple[str, ...] = ()
    """Ids of the candidates touched; none if it is about the study as a whole."""

    evidence: dict[str, float | int | str | bool | None] = field(default_factory=dict)
    """The numbers that it rests on, by name."""

    threshold: str = ""
    """What the evidence was held against, such as `mean coverage < 0.25`."""

    blocks: str = ""
    """The claim that does not hold while this fires, such as `any accuracy of these candidates`."""

    advice: str = ""
    """What to do, in one sentence."""

    ranking: Ranking = Ranking.ACCURACY
    """Which ranking the candidates touched leave while this is an open error."""

    silenced: str | None = None
    """The reason written in the study file for not heeding it."""

    @property
    def open(self) -> bool:
        """Whether it fires and nobody has given a reason not to heed it."""
        return self.state is State.FIRES and self.silenced is None
