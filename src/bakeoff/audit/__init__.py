"""The rules that a fair comparison keeps: each a small function from evidence to findings."""

from bakeoff.audit.engine import audit, in_order, open_errors, unranked
from bakeoff.audit.evidence import Evidence
from bakeoff.audit.finding import Finding, Ranking, Severity, State
from bakeoff.audit.registry import rules
from bakeoff.audit.rule import Rule, Stage, rule

__all__ = [
    "Evidence",
    "Finding",
    "Ranking",
    "Rule",
    "Severity",
    "Stage",
    "State",
    "audit",
    "in_order",
    "open_errors",
    "rule",
    "rules",
    "unranked",
]
