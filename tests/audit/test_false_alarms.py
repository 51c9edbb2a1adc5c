"""Healthy studies are left in peace: one that is trained now, and a hundred at night."""

from __future__ import annotations

import pytest

from bakeoff.audit import registry
from tests.audit import false_alarms
from tests.audit.healthy import FIRST, STUDIES, findings_of_healthy


def alarms(studies: dict[str, dict[str, str]]) -> dict[str, int]:
    """Return how often each rule fires as an error or a warning, of those that do."""
    found = {rule: of["error"] + of["warning"] for rule, of in false_alarms.counts(studies).items()}
    return {rule: times for rule, times in found.items() if times}


def test_a_healthy_study_raises_no_alarm_and_is_asked_every_rule_but_those_on_costs() -> None:
    studies = {"8": false_alarms.outcomes_of(findings_of_healthy(8))}
    assert not alarms(studies)
    asked = {rule for rule, of in false_alarms.counts(studies).items() if of["asked"]}
    assert {rule.id for rule in registry.built_in()} - asked == {"C1", "C2", "C3", "C4", "C5"}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_rule_fires_on_more_than_one_in_a_hundred_healthy_studies() -> None:
    studies = {
        str(number): false_alarms.outcomes_of(findings_of_healthy(number)) for number in range(FIRST, FIRST + STUDIES)
    }
    assert all(times <= false_alarms.MOST * STUDIES for times in alarms(studies).values())
