"""Studies and evidence that the tests of the rules share."""

from __future__ import annotations

from typing import Any

from bakeoff.audit import Evidence
from bakeoff.spec import DataFacts, ResolvedStudy, StudySpec, labels

FACTS = DataFacts(
    fingerprint="0123456789abcdef", size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)


def study(facts: DataFacts = FACTS, **content: Any) -> ResolvedStudy:
    """A study with every value decided, by default of three networks with one recipe."""
    return StudySpec.from_mapping(content).resolve(facts)


def evidence(of: ResolvedStudy | None = None, **known: Any) -> Evidence:
    """Evidence of a study; what is not given is absent."""
    of = of or study()
    return Evidence(study=of, labels=labels(of.candidates), **known)
