"""Rules about how training went: H1 to H9."""

from __future__ import annotations

from bakeoff.audit.health import fit, start, training
from bakeoff.audit.rule import Rule

RULES: tuple[Rule, ...] = (*start.RULES, *training.RULES, *fit.RULES)
