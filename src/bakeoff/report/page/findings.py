"""What the audit says, as the page tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.audit import Finding, State
from bakeoff.report.page.words import shown
from bakeoff.words import clean, plural

REASONS = 3
"""Reasons why rules were not run that are told in one sentence; the findings tell all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingShown:
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
    """All that the audit says: what fires, the worst first; what was not run; what passes."""

    firing: tuple[FindingShown, ...]
    not_run: tuple[FindingShown, ...]
    passed: tuple[FindingShown, ...]
    found_before: str = ""
    """Which other version of bakeoff found all this and why it was not asked again; nothing if it is of this one."""

    @property
    def open(self) -> tuple[FindingShown, ...]:
        """Errors and warnings that nobody has given a reason not to heed."""
        return tuple(one for one in self.firing if one.silenced is None and one.severity != "note")

    @property
    def rules(self) -> Mapping[str, State]:
        """What came of each rule: one that fires for a candidate does not pass for another."""
        told = ((State.FIRES, self.firing), (State.NOT_RUN, self.not_run), (State.PASS, self.passed))
        found: dict[str, State] = {}
        for state, those in told:
            for one in those:
                found.setdefault(one.rule, state)
        return found

    def counted(self, state: State) -> int:
        """Return of how many rules this came."""
        return sum(one == state for one in self.rules.values())

    def sentences(self) -> list[str]:
        """Return how far the audit qualifies a verdict, beyond what is open: a rule that was not run is no rule that passed."""
        rules, left = len(self.rules), self.counted(State.NOT_RUN)
        if not rules:
            return ["The study was not audited."]
        if left == rules:
            return [f"The audit has not judged yet: none of its {rules} rules could be asked ({self._reasons()})."]
        asked = f"{plural(rules - left, 'rule')} that {'was' if rules - left == 1 else 'were'} asked"
        said = [] if self.open else [f"No error or warning is open of the {asked}."]
        if left:
            were = "was" if left == 1 else "were"
            said.append(f"{left} of {plural(rules, 'rule')} {were} not run ({self._reasons()}).")
        return said

    def _reasons(self) -> str:
        """Return why rules were not run, the commonest reason first."""
        first = {one.rule: one.message for one in reversed(self.not_run) if self.rules[one.rule] is State.NOT_RUN}
        known = Counter(first.values()).most_common()
        told = [f"{count}: {reason.rstrip('.')}" for reason, count in known[:REASONS]]
        rest = sum(count for _, count in known[REASONS:])
        return "; ".join([*told, *([f"{rest}: other reasons"] if rest else [])])


def audit_facts(findings: Sequence[Finding], labels: Mapping[str, str], found_before: str = "") -> Audit:
    """Return findings as the page tells them, in their order.

    Args:
        findings: As `audit` gives them.
        labels: Of candidates, by id.
        found_before: As `Audit` has it.
    """
    told = [(finding.state, _told(place, finding, labels)) for place, finding in enumerate(findings)]
    firing, not_run, passed = (
        tuple(one for state, one in told if state is wanted) for wanted in (State.FIRES, State.NOT_RUN, State.PASS)
    )
    return Audit(firing=firing, not_run=not_run, passed=passed, found_before=clean(found_before))


def _told(place: int, finding: Finding, labels: Mapping[str, str]) -> FindingShown:
    return FindingShown(
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
