"""What the audit found, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from bakeoff.audit import Finding, Severity, State
from bakeoff.words import clean, plural

STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def audit_report(findings: Sequence[Finding], *, whole: bool = False, found_before: str = "") -> list[Text]:
    """Return what fires, and how many rules pass and were not run.

    Args:
        findings: As `audit` gives them, what fires first.
        whole: With the thresholds, and with why each rule was not run; else without notes, which are counted.
        found_before: Which other version of bakeoff found this and why it was not asked again, as `audit.kept.AuditResult` has it.
    """
    firing = [one for one in findings if one.state is State.FIRES and (whole or one.severity is not Severity.NOTE)]
    lines = [Text(f"The audit as it was kept: {clean(found_before)}", style="yellow")] if found_before else []
    lines += [line for one in firing for line in _told(one, whole=whole)]
    not_run = [one for one in findings if one.state is State.NOT_RUN]
    if whole:
        lines += [
            Text(f"not run  {clean(one.rule)} {clean(one.title)}: {clean(one.message)}", style="dim") for one in not_run
        ]
    notes = sum(one.state is State.FIRES and one.severity is Severity.NOTE for one in findings)
    counted = [
        *([f"{plural(notes, 'note')}"] if notes and not whole else []),
        f"{plural(_rules(findings, State.PASS), 'rule')} passed",
        f"{_rules(findings, State.NOT_RUN)} not run",
    ]
    more = "" if whole or not (notes or not_run) else "; `bakeoff audit` tells all"
    return [*lines, Text(f"audit: {', '.join(counted)}{more}")]


def _rules(findings: Sequence[Finding], state: State) -> int:
    """Return of how many rules the first word is this: a rule that fires for one candidate does not pass for another."""
    first: dict[str, State] = {}
    for one in findings:
        first.setdefault(one.rule, one.state)
    return sum(one is state for one in first.values())


def _told(one: Finding, *, whole: bool) -> list[Text]:
    if one.silenced is not None:
        return [
            Text(
                f"silenced {clean(one.rule)} {clean(one.title)} ({one.severity}): {clean(one.message)} Reason given: {clean(one.silenced)}",
                style="dim",
            )
        ]
    line = Text.assemble(
        (f"{one.severity} {clean(one.rule)} {clean(one.title)}: ", STYLES[one.severity]),
        " ".join(part for part in (clean(one.message), clean(one.advice)) if part),
    )
    if not whole:
        return [line]
    details = []
    if one.threshold:
        details.append(Text(f"    threshold: {clean(one.threshold)}", style="dim"))
    if one.blocks:
        details.append(Text(f"    does not hold: {clean(one.blocks)}", style="dim"))
    return [line, *details]


def reasons(unranked: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    """Return why candidates are not ranked, those with one reason together.

    Args:
        unranked: The reason by candidate id.
        labels: A short name by candidate id, of all candidates.
    """
    shared: dict[str, list[str]] = {}
    for candidate, reason in unranked.items():
        shared.setdefault(reason, []).append(labels.get(candidate, candidate))
    if len(shared) == 1 and len(unranked) == len(labels) > 1:
        return [f"No candidate is ranked: {next(iter(shared))}"]
    return [f"Not ranked: {', '.join(names)}: {reason}" for reason, names in shared.items()]
