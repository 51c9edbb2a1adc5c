"""Probes and findings as JSON: what a study keeps of its audit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from bakeoff.audit.evidence import Probes
from bakeoff.audit.finding import Finding

PROBES_FORMAT = 3
"""Raised when probes measure something else than before: older ones are then measured anew."""

FINDINGS_FORMAT = 6
"""Raised when the rules say something else of the same evidence than before."""

_PROBES = TypeAdapter(Probes)
_FINDINGS = TypeAdapter(list[Finding])


class AuditResult(NamedTuple):
    """What the audit says of a study."""

    of: str
    """A name of the state that the study was in."""

    findings: list[Finding]
    found_before: str = ""
    """Which other version of bakeoff found this, and why it was not asked again; nothing if it is of this version."""


def probes_to_json(probes: Probes) -> str:
    """Write probes."""
    return json.dumps({"format": PROBES_FORMAT, "probes": json.loads(_PROBES.dump_json(probes))})


def probes_from_json(text: str | None) -> Probes | None:
    """Read what `probes_to_json` wrote, or return None where there is nothing, or nothing of this format."""
    if text is None:
        return None
    try:
        content = json.loads(text)
        return _PROBES.validate_python(content["probes"]) if content["format"] == PROBES_FORMAT else None
    except (ValueError, ValidationError, KeyError, TypeError, RecursionError):
        return None


def findings_to_json(findings: Sequence[Finding], of: str) -> str:
    """Write findings, with a name of what they were found in and the version of bakeoff that found them."""
    return json.dumps({"of": of, "by": version("bakeoff"), "findings": plain(findings)})


def findings_from_json(text: str | None, of: str | None = None) -> list[Finding] | None:
    """Read what `findings_to_json` wrote, of one thing alone if it is named, or return None."""
    if text is None:
        return None
    try:
        content = json.loads(text)
        return _FINDINGS.validate_python(content["findings"]) if of in (None, content["of"]) else None
    except (ValueError, ValidationError, KeyError, TypeError, RecursionError):
        return None


def finder_of(text: str) -> str | None:
    """Return which version of bakeoff wrote findings that can be read, or None where it did not say."""
    by = json.loads(text).get("by")
    return by if isinstance(by, str) else None


def plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings as plain JSON values."""
    written: list[dict[str, Any]] = json.loads(_FINDINGS.dump_json(list(findings)))  # what is not finite becomes null
    return written


def document(name: str, findings: Sequence[Finding], labels: Mapping[str, str], found_before: str = "") -> str:
    """Return an audit as JSON for other programs: the findings, and what the candidates' ids stand for.

    Args:
        name: The study's.
        findings: Of it.
        labels: Of candidates, by id.
        found_before: As `AuditResult` has it.
    """
    content = {
        "study": name,
        "open_errors": sum(finding.open and finding.severity == "error" for finding in findings),
        "found_before": found_before or None,
        "candidates": dict(labels),
        "findings": plain(findings),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
