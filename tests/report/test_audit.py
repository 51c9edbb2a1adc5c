"""What the audit found, as a terminal shows it."""

from __future__ import annotations

from bakeoff.audit import Finding, Severity, State
from bakeoff.report.audit import audit_report, reasons


def found(rule: str, state: State = State.FIRES, severity: Severity = Severity.ERROR, **more: object) -> Finding:
    return Finding(rule=rule, title=f"about {rule}", state=state, severity=severity, message="was seen", **more)  # type: ignore[arg-type]


def said(*findings: Finding, whole: bool = False) -> list[str]:
    return [line.plain for line in audit_report(findings, whole=whole)]


def test_only_what_fires_is_told_at_a_runs_end_and_the_rest_is_counted() -> None:
    lines = said(
        found("D1", advice="Do this."),
        found("S1", severity=Severity.WARNING),
        found("D5", severity=Severity.NOTE),
        found("P7", State.NOT_RUN),
        found("P1", State.PASS),
        found("P2", State.PASS),
    )
    assert lines == [
        "error D1 about D1: was seen Do this.",
        "warning S1 about S1: was seen",
        "audit: 1 note, 2 rules passed, 1 not run; `bakeoff audit` tells all",
    ]


def test_the_whole_audit_tells_thresholds_blocked_claims_and_why_rules_were_not_run() -> None:
    lines = said(found("D1", threshold="less than half", blocks="everything"), found("P7", State.NOT_RUN), whole=True)
    assert "    threshold: less than half" in lines
    assert "    does not hold: everything" in lines
    assert "not run  P7 about P7: was seen" in lines


def test_a_rule_that_fires_for_one_candidate_counts_neither_as_passed_nor_as_not_asked() -> None:
    lines = said(found("P4"), found("P4", State.NOT_RUN), found("P4", State.PASS))
    assert lines[-1].startswith("audit: 0 rules passed, 0 not run")


def test_a_silenced_finding_is_told_with_its_reason() -> None:
    (line, _) = said(found("P4", silenced="two rates are all we can afford"))
    assert line == "silenced P4 about P4 (error): was seen Reason given: two rates are all we can afford"


def test_words_of_strangers_cannot_write_to_the_terminal() -> None:
    hostile = Finding(
        rule="X\x1b[2J", title="\x1b[31m", state=State.FIRES, severity=Severity.ERROR, message="\x07", advice="\u202e"
    )
    silenced = found("P4", silenced="\x1b[2J")
    for line in said(hostile, silenced, whole=True):
        assert all(one.isprintable() for one in line)


def test_candidates_that_are_not_ranked_for_one_reason_are_told_together() -> None:
    labels = {"a": "alpha", "b": "beta", "c": "gamma"}
    assert reasons({"a": "D1", "b": "D1"}, labels) == ["Not ranked: alpha, beta: D1"]
    assert reasons({"a": "D1", "b": "P4"}, labels) == ["Not ranked: alpha: D1", "Not ranked: beta: P4"]
    assert reasons(dict.fromkeys(labels, "S1 too few seeds"), labels) == ["No candidate is ranked: S1 too few seeds"]
    assert reasons({}, labels) == []
