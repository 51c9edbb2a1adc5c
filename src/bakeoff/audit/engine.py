"""Asking every rule, and what follows from the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bakeoff.audit.evidence import AbsentError, Evidence
from bakeoff.audit.finding import Finding, Ranking, Severity, State
from bakeoff.audit.registry import rules
from bakeoff.audit.rule import Rule, Stage

SEVERITIES = list(Severity)
STATES = (State.FIRES, State.NOT_RUN, State.PASS)


def audit(evidence: Evidence, *, of: Sequence[Rule] | None = None, stage: Stage | None = None) -> list[Finding]:
    """Ask every rule about a study.

    Args:
        evidence: What is known of it.
        of: The rules; default all, `registry.rules()`.
        stage: Ask only those that can be asked then; default all.

    Returns:
        What fires, the worst first and the silenced last, then what was not run and why, then what passes: at least
        one finding a rule.
    """
    asked = [one for one in (rules() if of is None else of) if stage is None or one.stage is stage]
    findings = [finding for one in asked for finding in _answers(one, evidence)]
    silence = evidence.study.audit.silence
    findings = [
        replace(finding, silenced=silence[finding.rule]) if finding.rule in silence else finding for finding in findings
    ]
    if stage is None:
        findings += _unknown(silence, asked)
    return in_order(findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which `audit` gives them; within a group they stay as they are."""
    return sorted(findings, key=_order)


def _answers(one: Rule, evidence: Evidence) -> list[Finding]:
    try:
        found = [_of_rule(finding, one) for finding in one.check(**evidence.named(one.needs, one.uses))]
        return found or [one.passes()]
    except AbsentError as absent:
        return [one.not_run(str(absent))]
    except Exception as error:  # a rule that breaks must not take the others' findings with it
        return [one.not_run(f"the rule failed with {type(error).__name__}: {error}")]


def _of_rule(finding: Finding, one: Rule) -> Finding:
    """Return a finding completed from its rule, with NumPy's numbers in its evidence turned into Python's."""
    evidence: dict[str, Any] = {}
    for key, value in finding.evidence.items():
        number: Any = value
        evidence[key] = number.item() if hasattr(number, "item") else number
    return replace(
        finding,
        title=finding.title or one.title,
        blocks=finding.blocks or one.blocks,
        ranking=one.ranking,
        evidence=evidence,
    )


def _unknown(silence: Mapping[str, str], asked: Sequence[Rule]) -> list[Finding]:
    """Say which silenced rules are none that could be asked."""
    known = {one.id for one in asked}
    return [
        Finding(
            rule=name,
            title="unknown rule",
            state=State.NOT_RUN,
            severity=Severity.NOTE,
            message="the study silences it, but no installed package has a rule of that name",
            silenced=reason,
        )
        for name, reason in silence.items()
        if name not in known
    ]


def _order(finding: Finding) -> tuple[int, bool, int]:
    return STATES.index(finding.state), finding.silenced is not None, SEVERITIES.index(finding.severity)


def open_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the errors that nobody has given a reason not to heed."""
    return [finding for finding in findings if finding.open and finding.severity is Severity.ERROR]


def unranked(
    findings: Iterable[Finding], candidates: Iterable[str], ranking: Ranking = Ranking.ACCURACY
) -> dict[str, str]:
    """Return which candidates leave a ranking, and why.

    Args:
        findings: Of the study.
        candidates: Ids of all its candidates: an error about the study as a whole touches each.
        ranking: Which.

    Returns:
        By candidate id, the rules whose open errors touch it, such as `D1 field of view; S1 too few seeds`.
    """
    reasons: dict[str, list[str]] = {candidate: [] for candidate in candidates}
    for finding in open_errors(findings):
        if finding.ranking is ranking:
            for candidate in finding.candidates or reasons:
                said = f"{finding.rule} {finding.title}"
                if said not in reasons.setdefault(candidate, []):
                    reasons[candidate].append(said)
    return {candidate: "; ".join(said) for candidate, said in reasons.items() if said}
