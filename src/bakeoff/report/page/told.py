"""What the audit says, as the page tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.audit import Finding, State
from bakeoff.report.page.words import shown
from bakeoff.words import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One finding."""

    anchor: str
    """Unique on the page."""

    rule: str
    title: str
    severity: str
    """`error`, `warning` or `note`."""

    message: str
    advice: str
    threshold: str
    blocks: str
    candidates: tuple[str, ...]
    """Their labels; none if it is about the study as a whole."""

    evidence: tuple[tuple[str, str], ...]
    """Names and numbers."""

    silenced: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that the audit says: what fires, the worst first; what could not be asked; what passes."""

    firing: tuple[Told, ...]
    not_run: tuple[Told, ...]
    passed: tuple[Told, ...]

    @property
    def open(self) -> tuple[Told, ...]:
        """Errors and warnings that nobody has given a reason not to heed."""
        return tuple(one for one in self.firing if one.silenced is None and one.severity != "note")


def audit_told(findings: Sequence[Finding], labels: Mapping[str, str]) -> Audit:
    """Return findings as the page tells them, in their order.

    Args:
        findings: As `audit` gives them.
        labels: Of candidates, by id.
    """
    told = [(finding.state, _told(place, finding, labels)) for place, finding in enumerate(findings)]
    firing, not_run, passed = (
        tuple(one for state, one in told if state is wanted) for wanted in (State.FIRES, State.NOT_RUN, State.PASS)
    )
    return Audit(firing=firing, not_run=not_run, passed=passed)


def _told(place: int, finding: Finding, labels: Mapping[str, str]) -> Told:
    return Told(
        anchor=f"finding-{place + 1}",
        rule=clean(finding.rule),
        title=clean(finding.title),
        severity=finding.severity.value,
        message=clean(finding.message),
        advice=clean(finding.advice),
        threshold=clean(finding.threshold),
        blocks=clean(finding.blocks),
        candidates=tuple(shown(labels.get(one, one)) for one in finding.candidates),
        evidence=tuple((shown(name), _evidence(value)) for name, value in finding.evidence.items()),
        silenced=None if finding.silenced is None else clean(finding.silenced),
    )


def _evidence(value: float | int | str | bool | None) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else shown(value)
