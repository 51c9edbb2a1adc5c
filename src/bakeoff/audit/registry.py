"""Which rules there are: bakeoff's own, and those of other packages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from bakeoff.audit.evidence import AbsentError
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage

GROUP = "bakeoff.rules"
"""The entry-point group in which a package names its rules: each a `Rule`, or a sequence of them."""


def built_in() -> tuple[Rule, ...]:
    """Return bakeoff's own rules, in the order in which they are told."""
    from bakeoff.audit import accounting, cost, data, health, protocol, statistics  # SciPy's statistics load with them

    return (*data.RULES, *protocol.RULES, *health.RULES, *statistics.RULES, *cost.RULES, *accounting.RULES)


def rules() -> tuple[Rule, ...]:
    """Return bakeoff's own rules and those that installed packages add.

    One that cannot be loaded, or that takes the id of another, is there as a rule that is never run and says why.
    """
    known = list(built_in())
    for entry in _entries():
        for one in _loaded(entry):
            taken = any(one.id == other.id for other in known)
            known.append(_unusable(entry, f"it calls a rule {one.id}, which there is already") if taken else one)
    return tuple(known)


def added() -> list[tuple[str, ...]]:
    """Return what installed packages add to bakeoff's rules: entry point, rule's id, package and its version, sorted."""
    return sorted(
        (entry.name, entry.value, one.id, *((entry.dist.name, entry.dist.version) if entry.dist else ("", "")))
        for entry in _entries()
        for one in _loaded(entry)
    )


def _entries() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _loaded(entry: EntryPoint) -> list[Rule]:
    try:
        found = entry.load()
        added = list(found) if isinstance(found, Iterable) else [found]
    except Exception as error:  # whatever another package does wrong, the audit goes on and says so
        return [_unusable(entry, f"{type(error).__name__}: {error}")]
    strangers = [one for one in added if not isinstance(one, Rule)]
    return [_unusable(entry, f"it holds a {type(strangers[0]).__name__}, which is no Rule")] if strangers else added


def _unusable(entry: EntryPoint, why: str) -> Rule:
    """Return a rule that is never run, in place of what an entry point should have given."""

    def check() -> list[Finding]:
        raise AbsentError(f"the entry point {entry.value} cannot be used: {why}")

    return Rule(
        id=entry.name,
        title=f"a rule of {entry.dist.name if entry.dist else 'another package'}",
        stage=Stage.BEFORE,
        severity=Severity.NOTE,
        blocks="",
        needs=(),
        check=check,
    )
