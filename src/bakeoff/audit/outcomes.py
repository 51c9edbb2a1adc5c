"""Findings of the three kinds, from what all findings of one rule share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.audit.finding import Finding, Severity, State


def passed(common: dict[str, Any], severity: Severity, message: str, evidence: Mapping[str, Any]) -> Finding:
    """Return that all is well, with the worst severity that the rule can have."""
    return Finding(**common, state=State.PASS, severity=severity, message=message, evidence=dict(evidence))


def not_run(common: dict[str, Any], severity: Severity, reason: str) -> Finding:
    """Return that the evidence is not there, and why."""
    return Finding(**common, state=State.NOT_RUN, severity=severity, message=reason)


def fires(
    common: dict[str, Any],
    severity: Severity,
    message: str,
    evidence: Mapping[str, Any],
    advice: str,
    candidates: tuple[str, ...] = (),
) -> Finding:
    """Return that the rule fires."""
    return Finding(
        **common,
        state=State.FIRES,
        severity=severity,
        message=message,
        evidence=dict(evidence),
        advice=advice,
        candidates=candidates,
    )
