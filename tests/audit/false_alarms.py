"""What the rules say of healthy studies, recorded: `python -m tests.audit.false_alarms` goes on where it was stopped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.audit import Finding, State
from tests.audit.healthy import FIRST, STUDIES, findings_of_healthy

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "audit-false-alarms.json"

MOST = 0.01
"""Share of healthy studies in which a rule may fire as an error or a warning."""

Outcomes = dict[str, str]
"""By rule, what came of one study: `error`, `warning`, `note`, `pass` or `not run`."""


def outcomes_of(findings: list[Finding]) -> Outcomes:
    """Return the worst that each rule says; findings come with the worst first."""
    found: Outcomes = {}
    for one in findings:
        said = one.severity.value if one.state is State.FIRES else one.state.value
        found.setdefault(one.rule, said)
    return dict(sorted(found.items()))


def read() -> dict[str, Any]:
    """Return the record; of no study where there is none yet."""
    if not RECORD.is_file():
        return {"studies": {}}
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def counts(studies: Mapping[str, Outcomes]) -> dict[str, dict[str, int]]:
    """Return how often each rule was asked and fired, by rule and kind."""
    rules = sorted({rule for outcomes in studies.values() for rule in outcomes})
    table = {}
    for rule in rules:
        said = [outcomes.get(rule, "not run") for outcomes in studies.values()]
        table[rule] = {
            "asked": sum(one != "not run" for one in said),
            **{kind: said.count(kind) for kind in ("error", "warning", "note")},
        }
    return table


def rows(studies: Mapping[str, Outcomes]) -> list[str]:
    """Return a line for each rule that was ever asked: how often, and how often it fired."""
    return [
        f"| {rule} | {of['asked']} | {of['error']} | {of['warning']} | {of['note']} |"
        for rule, of in counts(studies).items()
        if of["asked"]
    ]


def measure(seconds: float) -> None:
    """Audit healthy studies that are not in the record yet, until the time is up."""
    until = time.monotonic() + seconds
    record = read()
    for number in range(FIRST, FIRST + STUDIES):
        if str(number) in record["studies"]:
            continue
        if time.monotonic() > until:
            return
        findings = findings_of_healthy(number)
        record["studies"][str(number)] = outcomes_of(findings)
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        told = [f"{one.severity} {one.rule}: {one.message}" for one in findings if one.state is State.FIRES]
        sys.stdout.write("\n  ".join([f"study {number}", *told]) + "\n")


if __name__ == "__main__":
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 1e9)
    sys.stdout.write("\n".join(["| rule | asked | error | warning | note |", *rows(read()["studies"])]) + "\n")
