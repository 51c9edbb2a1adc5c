"""Rules about pictures and views."""

from __future__ import annotations

from bakeoff.audit.rule import Rule

RULES: tuple[Rule, ...] = ()
