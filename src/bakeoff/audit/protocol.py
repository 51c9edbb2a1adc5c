"""Rules about the protocol."""

from __future__ import annotations

from bakeoff.audit.rule import Rule

RULES: tuple[Rule, ...] = ()
