"""Rules are asked, silenced, ordered; what cannot be asked is never taken for a pass."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from bakeoff.audit import Evidence, Finding, Ranking, Rule, Severity, Stage, State, audit, registry, rule, unranked
from tests.audit.studies import evidence, study


def made(id: str, severity: Severity | None = None, **changes: Any) -> Rule:
    """A rule that fires with this severity, or passes."""

    def check(study: Any) -> Iterator[Finding]:
        if severity is not None:
            yield one.fires(severity, "seen")

    settings: dict[str, Any] = {
        "title": f"about {id}",
        "stage": Stage.AFTER,
        "severity": Severity.ERROR,
        "blocks": "any claim",
        "needs": ("study",),
        "check": check,
    }
    one = Rule(id=id, **(settings | changes))
    return one


def states(findings: list[Finding]) -> dict[str, State]:
    return {finding.rule: finding.state for finding in findings}


def test_a_rule_that_finds_nothing_passes() -> None:
    (finding,) = audit(evidence(), of=[made("X1")])
    assert (finding.rule, finding.state, finding.open) == ("X1", State.PASS, False)
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize(("given", "told"), [("crops at the border", "crops at the border"), ("", "about X1")])
def test_a_finding_made_by_hand_keeps_its_title_and_takes_the_rules_where_it_has_none(given: str, told: str) -> None:
    by_hand = Finding(rule="X1", title=given, state=State.FIRES, severity=Severity.NOTE, message="seen")
    (finding,) = audit(evidence(), of=[made("X1", check=lambda study: [by_hand])])
    assert finding.title == told
    assert finding.blocks == "any claim"


def test_a_rule_without_its_evidence_is_not_run_and_says_why() -> None:
    needy = made("X1", needs=("study", "runs"))
    (finding,) = audit(evidence(absent={"runs": "nothing was trained yet"}), of=[needy])
    assert (finding.state, finding.message) == (State.NOT_RUN, "nothing was trained yet")
    (finding,) = audit(evidence(), of=[needy])
    assert finding.state is State.NOT_RUN
    assert "runs" in finding.message


def test_a_rule_that_raises_is_not_run_and_names_the_exception() -> None:
    def check(study: object) -> list[Finding]:
        raise ZeroDivisionError("division by zero")

    found = audit(evidence(), of=[made("X1", check=check), made("X2", Severity.NOTE)])
    assert states(found) == {"X2": State.FIRES, "X1": State.NOT_RUN}
    assert "ZeroDivisionError: division by zero" in found[1].message


def test_a_rule_that_raises_half_way_keeps_none_of_what_it_said() -> None:
    @rule("X1", "halfway", stage=Stage.AFTER, severity=Severity.ERROR, blocks="", needs=("study",))
    def halfway(study: object) -> Iterator[Finding]:
        yield halfway.passes("so far")
        raise RuntimeError("then not")

    (finding,) = audit(evidence(), of=[halfway])
    assert finding.state is State.NOT_RUN


def test_what_fires_comes_first_the_worst_before_the_rest_and_passes_last() -> None:
    asked = [made("P"), made("N", Severity.NOTE), made("R", needs=("runs",)), made("W", Severity.WARNING)]
    found = audit(evidence(), of=[*asked, made("E", Severity.ERROR)])
    assert [finding.rule for finding in found] == ["E", "W", "N", "R", "P"]


def test_a_silenced_finding_keeps_its_reason_and_is_not_open() -> None:
    of = study(audit={"silence": {"E": "known, and harmless here"}})
    found = audit(evidence(of), of=[made("E", Severity.ERROR), made("W", Severity.WARNING)])
    assert [finding.rule for finding in found] == ["W", "E"]
    assert found[1].silenced == "known, and harmless here"
    assert not found[1].open
    assert not unranked(found, ["a"])


def test_a_silence_for_a_rule_that_is_not_installed_is_told() -> None:
    found = audit(evidence(study(audit={"silence": {"Q9": "of a package that is not here"}})), of=[made("X1")])
    assert states(found) == {"Q9": State.NOT_RUN, "X1": State.PASS}


def test_only_rules_of_the_stage_are_asked() -> None:
    asked = [made("B", stage=Stage.BEFORE), made("A")]
    assert [finding.rule for finding in audit(evidence(), of=asked, stage=Stage.BEFORE)] == ["B"]


def test_an_open_error_takes_the_candidates_it_touches_out_of_the_ranking() -> None:
    one, two = made("E1"), made("E2")
    found = [
        one.fires(Severity.ERROR, "", candidates=["a"]),
        two.fires(Severity.ERROR, "", candidates=["a", "b"]),
        two.fires(Severity.ERROR, "again", candidates=["b"]),
        one.fires(Severity.WARNING, "", candidates=["c"]),
    ]
    assert unranked(found, ["a", "b", "c"]) == {"a": "E1 about E1; E2 about E2", "b": "E2 about E2"}


def test_an_error_about_the_study_touches_every_candidate() -> None:
    assert set(unranked([made("E1").fires(Severity.ERROR, "")], ["a", "b"])) == {"a", "b"}


def test_an_error_about_costs_leaves_the_ranking_by_accuracy_alone() -> None:
    found = [made("C", ranking=Ranking.COST).fires(Severity.ERROR, "", candidates=["a"])]
    assert not unranked(found, ["a", "b"])
    assert set(unranked(found, ["a", "b"], Ranking.COST)) == {"a"}


def entry(monkeypatch: pytest.MonkeyPatch, **points: object) -> None:
    """Have a distribution installed whose entry points give these."""

    class Distribution:
        name = "lab-rules"

    class Given(EntryPoint):
        def load(self) -> object:
            found = points[self.name]
            if isinstance(found, Exception):
                raise found
            return found

    given = [Given(name, f"lab:{name}", registry.GROUP)._for(Distribution()) for name in points]  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "entry_points", lambda group: given if group == "bakeoff.rules" else [])


def test_rules_of_another_package_are_asked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, one=made("L1", Severity.WARNING), several=[made("L2"), made("L3")])
    found = {finding.rule: finding for finding in audit(evidence())}
    assert found["L1"].state is State.FIRES
    assert {"L2", "L3"} <= found.keys()


def test_a_package_whose_rule_cannot_be_loaded_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, broken=ImportError("no module named lab"), stranger=42, one=made("L1", Severity.WARNING))
    found = {finding.rule: finding for finding in audit(evidence())}
    assert found["broken"].state is State.NOT_RUN
    assert "no module named lab" in found["broken"].message
    assert "lab-rules" in found["broken"].title
    assert "int" in found["stranger"].message
    assert found["L1"].state is State.FIRES


def test_a_rule_may_not_take_the_id_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, first=made("L1"), second=made("L1", Severity.ERROR))
    found = [finding for finding in audit(evidence()) if finding.rule in ("L1", "second")]
    assert states(found) == {"L1": State.PASS, "second": State.NOT_RUN}


def test_every_rule_of_bakeoff_has_its_own_id_and_needs_what_evidence_has() -> None:
    ids = [one.id for one in registry.built_in()]
    assert len(set(ids)) == len(ids)
    for one in registry.built_in():
        assert set(one.needs) <= set(Evidence.__dataclass_fields__)
        assert one.title
        assert one.blocks


def test_with_no_evidence_but_the_study_no_rule_fails() -> None:
    for finding in audit(evidence()):
        assert "failed with" not in finding.message
