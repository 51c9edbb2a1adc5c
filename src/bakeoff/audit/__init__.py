"""The rules that a fair comparison keeps: each a small function from evidence to a finding."""

from bakeoff.audit.finding import Finding, Severity, State

__all__ = ["Finding", "Severity", "State"]
