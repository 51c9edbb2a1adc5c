"""A study is audited before it is trained, at its end, and from its folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bakeoff.analysis.pictures import Pictures
from bakeoff.analysis.seed_plan import spread_of
from bakeoff.audit import Finding, Rule, Severity, Stage, State, in_order, kept, open_errors, registry
from bakeoff.errors import AuditError, SpecError, StudyError
from bakeoff.report.audit import audit_report
from bakeoff.reporting import Looked, page_of
from bakeoff.spec import StudySpec
from bakeoff.store import Store
from bakeoff.study import Study, auditing, budgets, driver, execute, plan_folder
from bakeoff.study.auditing import audit_file, audit_folder, examine
from bakeoff.study.folder import DATABASE
from tests.audit.made_up import fair_study, finished
from tests.study.killing import SameProcess
from tests.study.tiny import TINY, Notes, run_tiny, tiny_plan

WINDOW: dict[str, Any] = {"train": {"crop": 3, "random": True, "flip": True}}
"""Of a picture of 8 pixels: 14 %."""

ONE: dict[str, Any] = {
    "seeds": [0],
    "recipe": {"epochs": 1, "batch_size": 35},
    "candidates": [{"model": "shufflenet_v2_x0_5", "view": WINDOW}],
}


def states(findings: list[Finding]) -> dict[str, State]:
    first: dict[str, State] = {}
    for finding in findings:
        first.setdefault(finding.rule, finding.state)
    return first


def notes_of(study: Study) -> tuple[str | None, str | None]:
    with Store.open_read_only(study.folder / DATABASE) as store:
        return store.note(auditing.PROBES), store.note(auditing.FINDINGS)


def test_an_error_that_makes_training_a_waste_stops_the_study_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AuditError) as stopped:
        run_tiny(tmp_path / "study", **ONE)
    assert "D1 field of view" in str(stopped.value)
    assert "--despite D1" in str(stopped.value)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("despite", [["D1"], {"D1": "to see what becomes of it"}])
def test_whoever_insists_may_train_it_and_the_finding_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, despite: object
) -> None:
    monkeypatch.setattr(driver, "LocalExecutor", SameProcess)
    study, outcome, notes = run_tiny(tmp_path / "study", **ONE, audit={"despite": despite})
    assert not outcome.failed
    assert any(warning.startswith("D1 field of view (error)") for warning in notes.warnings)
    assert states(study.findings())["D1"] is State.FIRES
    (candidate,) = study.spec.candidates
    assert "D1 field of view" in study.unranked()[candidate.id]
    table = study.table()
    assert table["rank"].isna().all()
    assert "D1 field of view" in table["unranked"][0]


def test_a_study_goes_on_from_its_folder_in_spite_of_what_the_command_names(tmp_path: Path) -> None:
    planned = tiny_plan(tmp_path / "study", **ONE, audit={"despite": ["D1"]})
    driver.write_study_file(make(planned.folder), planned.study)
    assert dict(plan_folder(planned.folder, device="cpu").study.audit.despite) == {"D1": ""}
    again = plan_folder(planned.folder, device="cpu", despite=["D4"])
    assert set(again.study.audit.despite) == {"D1", "D4"}
    driver.write_study_file(planned.folder, again.study)
    assert set(Study(planned.folder).spec.audit.despite) == {"D1", "D4"}


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_what_is_declared_may_change_but_for_the_smallest_difference(tmp_path: Path) -> None:
    folder = make(tmp_path / "study")
    driver.write_study_file(folder, tiny_plan(folder, **ONE).study)
    silent = tiny_plan(
        folder, **ONE, audit={"silence": {"D7": "known"}, "subject": ["view"], "headline": "validation"}
    ).study
    driver.write_study_file(folder, silent)
    assert Study(folder).spec == silent
    with pytest.raises(StudyError, match=r"audit\.smallest_difference: 0\.005 -> 0\.02"):
        driver.write_study_file(folder, tiny_plan(folder, **ONE, audit={"smallest_difference": 0.02}).study)


def test_only_the_candidates_that_are_to_be_trained_stop_it(tmp_path: Path) -> None:
    both = [*ONE["candidates"], {"model": "shufflenet_v2_x0_5", "name": "whole"}]
    planned = tiny_plan(tmp_path / "study", **ONE | {"candidates": both}, only=["whole"])
    auditing.stop_if_wasted(planned, examine(planned).findings)
    planned = tiny_plan(tmp_path / "study", **ONE | {"candidates": both})
    with pytest.raises(AuditError):
        auditing.stop_if_wasted(planned, examine(planned).findings)


def test_rules_about_the_protocol_never_stop_a_study(tmp_path: Path) -> None:
    planned = tiny_plan(
        tmp_path / "study", data={"source": "digits", "validation": 0, "limit": 160}, audit={"headline": "train"}
    )
    findings = examine(planned).findings
    assert {"P1", "P2", "P4"} <= {one.rule for one in findings if one.open and one.severity is Severity.ERROR}
    auditing.stop_if_wasted(planned, findings)


@pytest.mark.parametrize("key", ["despite", "silence"])
def test_a_rule_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path, key: str) -> None:
    planned = tiny_plan(tmp_path / "study", audit={key: {"D11": "a slip"}})
    with pytest.raises(SpecError, match=rf"audit\.{key}.*'D11' .there are: D1, D2"):
        examine(planned)


def test_a_finished_study_keeps_what_was_measured_and_found(whole: Study) -> None:
    probes_text, findings_text = notes_of(whole)
    probes = kept.probes_from_json(probes_text)
    assert probes is not None
    assert set(probes.views) == {candidate.id for candidate in whole.spec.candidates}
    assert probes.baseline is not None
    assert json.loads(findings_text or "")["findings"]
    assert states(whole.findings())["P7"] is State.FIRES  # silenced
    assert not any(one.open for one in whole.findings() if one.rule == "P7")


def test_nothing_is_measured_again_when_a_study_goes_on(whole: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "gather", lambda *_: pytest.fail("measured again"))
    examine(tiny_plan(whole.folder))


def test_what_was_found_is_read_until_something_changes(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = tmp_path / "study", []
    shutil.copytree(whole.folder, folder)
    study = Study(folder)
    monkeypatch.setattr(auditing, "audit", lambda *_, **__: asked.append(1) or [])
    assert study.findings()
    assert not asked
    with Store.create_or_open(folder / DATABASE) as store:
        store.set_costs(study.spec.candidates[0].id, {"latency": 1.0})
    assert study.findings() == []
    assert asked


@dataclass
class Package:
    name: str
    version: str


class Point:
    """An entry point of an installed package."""

    name, value = "lab", "my_lab.rules:many"

    def __init__(self, *rules: Rule, version: str = "1.0") -> None:
        self.rules, self.dist = rules, Package("my-lab", version)

    def load(self) -> tuple[Rule, ...]:
        return self.rules


def test_rules_that_a_package_adds_or_changes_are_asked_at_once(whole: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def lab(name: str) -> Rule:
        return Rule(
            id=name, title="ours", stage=Stage.BEFORE, severity=Severity.NOTE, blocks="", needs=(),
            check=lambda: asked.append(name) or [],
        )  # fmt: skip

    def installed(*points: Point) -> State | None:
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        return states(Study(whole.folder).findings()).get("LAB1")

    before = auditing._state_of(whole.reading())
    assert installed() is None
    assert installed(Point(lab("LAB1"))) is State.PASS
    seen = {auditing._state_of(whole.reading())}
    for other in (Point(lab("LAB1"), version="1.1"), Point(lab("LAB1"), lab("LAB2")), Point(lab("LAB2"))):
        installed(other)
        seen.add(auditing._state_of(whole.reading()))
    assert len(seen | {before}) == 5
    assert installed() is None
    assert auditing._state_of(whole.reading()) == before
    assert asked == ["LAB1", "LAB1", "LAB1", "LAB2", "LAB2"]


def test_findings_are_asked_anew_where_predictions_were_lost_or_cut_off(whole: Study, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "study")
    study = Study(tmp_path / "study")
    seen = [auditing._state_of(study.reading())]
    first, second, *_ = sorted((tmp_path / "study" / "predictions").glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-100])
    seen.append(auditing._state_of(study.reading()))
    second.unlink()
    seen.append(auditing._state_of(study.reading()))
    assert len(set(seen)) == 3
    assert auditing._state_of(whole.reading()) == seen[0]


def old(whole: Study, folder: Path) -> Study:
    """The study as a bakeoff without an audit left it."""
    for name in ("study.toml", "results.sqlite"):
        shutil.copy(whole.folder / name, folder / name)
    with Store.create_or_open(folder / DATABASE) as store:
        store.set_note(auditing.PROBES, "")
        store.set_note(auditing.FINDINGS, "")
    return Study(folder)


def test_a_study_from_before_there_was_an_audit_says_what_it_cannot_know(whole: Study, tmp_path: Path) -> None:
    found = old(whole, tmp_path).findings()
    told = states(found)
    assert {told[rule] for rule in ("D1", "D3", "D4", "D5", "D6", "D7", "P1", "P3", "P7")} == {State.NOT_RUN}
    assert told["P2"] is State.PASS
    assert all("before bakeoff kept" in one.message for one in found if one.rule == "D1")


def _gone() -> NoReturn:
    raise StudyError("the pictures must be where they were")


def test_errors_that_another_version_found_stay_where_nothing_can_be_asked_anew(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = old(whole, tmp_path)
    probes, found = notes_of(whole)
    assert probes is not None
    assert found is not None
    with Store.create_or_open(study.folder / DATABASE) as store:
        store.set_note(auditing.PROBES, probes.replace(f'"format": {kept.PROBES_FORMAT}', '"format": 1'))
        store.set_note(
            auditing.FINDINGS, json.dumps(json.loads(found) | {"of": "a state as that version named it", "by": "0.0.7"})
        )
    assert states(study.findings()) == states(whole.findings())
    assert study.unranked() == whole.unranked()
    # They are told as what they are, on the page and in the terminal.
    here = version("bakeoff")
    said = study.reading().audit_result.found_before
    assert said.startswith(
        f"Found by bakeoff 0.0.7; not asked again, because bakeoff {here} cannot read what that one measured"
    )
    assert (
        page_of(study.reading(), Looked(classes=(), pictures=Pictures())).count(said) == 2
    )  # its findings.json has it too
    assert said in audit_report(study.findings(), found_before=said)[0].plain
    assert whole.reading().audit_result.found_before == ""
    # Nor where `bakeoff audit` cannot measure: the pictures are gone.
    monkeypatch.setattr(auditing, "plan_folder", lambda *_, **__: _gone())
    audited = audit_folder(study.folder)
    assert states(audited.findings) == states(whole.findings())
    assert "the pictures must be where they were" in audited.found_before
    assert states(study.findings()) == states(whole.findings())


def test_a_version_that_did_not_write_its_name_is_told_as_another_one(whole: Study, tmp_path: Path) -> None:
    study = old(whole, tmp_path)
    kept_before = json.loads(notes_of(whole)[1] or "")
    del kept_before["by"]
    with Store.create_or_open(study.folder / DATABASE) as store:
        store.set_note(auditing.FINDINGS, json.dumps(kept_before | {"of": "another state"}))
    assert study.reading().audit_result.found_before.startswith("Found by another version of bakeoff; not asked again")


def test_the_audit_measures_what_an_old_study_lacks_and_keeps_it(whole: Study, tmp_path: Path) -> None:
    study = old(whole, tmp_path)
    audited = audit_folder(study.folder)
    assert states(audited.findings)["D1"] is State.PASS
    assert states(audited.findings)["P7"] is State.FIRES
    probes, findings = notes_of(study)
    assert kept.probes_from_json(probes) is not None
    assert findings
    assert states(study.findings()) == states(audited.findings)


def test_what_takes_long_is_tried_when_it_is_asked_for_and_kept(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = old(whole, tmp_path)
    monkeypatch.setattr(auditing, "by_heart", lambda *_: {})
    (found,) = [one for one in audit_folder(study.folder, deep=True).findings if one.rule == "P8"]
    assert (found.state, found.message) == (State.PASS, "")
    probes = kept.probes_from_json(notes_of(study)[0])
    assert probes is not None
    assert set(probes.repeats or {}) == {candidate.id for candidate in study.spec.candidates}
    monkeypatch.setattr(auditing, "repeated", lambda *_: pytest.fail("trained again"))
    audit_folder(study.folder, deep=True)


def test_without_its_pictures_an_old_study_is_audited_as_far_as_that_goes(whole: Study, tmp_path: Path) -> None:
    study = old(whole, tmp_path)
    path = study.folder / "study.toml"
    path.write_text(path.read_text().replace(study.spec.fingerprint, "0" * len(study.spec.fingerprint)))
    audited = audit_folder(study.folder)
    told = {one.rule: one for one in audited.findings}
    assert told["D1"].state is State.NOT_RUN
    assert "have changed since" in told["D1"].message


def test_a_study_file_is_audited_by_the_rules_that_can_be_asked_before(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(StudySpec.from_mapping(TINY | ONE).to_toml())
    audited = audit_file(path)
    assert states(audited.findings)["D1"] is State.FIRES
    assert {rule.id for rule in auditing.rules() if rule.stage is Stage.AFTER}.isdisjoint(states(audited.findings))


def test_a_study_file_is_audited_whatever_is_in_the_folder_of_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.toml"
    folder = tmp_path / "results" / TINY["name"]
    folder.mkdir(parents=True)
    driver.write_study_file(folder, tiny_plan(folder).study)
    before = (folder / "study.toml").read_bytes()
    path.write_text(StudySpec.from_mapping(TINY | ONE | {"seeds": [7]}).to_toml())
    assert states(audit_file(path).findings)["D1"] is State.FIRES
    assert (folder / "study.toml").read_bytes() == before
    (folder / "study.toml").write_text("damaged")
    assert states(audit_file(path).findings)["D1"] is State.FIRES


def test_an_audit_of_a_study_file_measures_no_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "Trials", None)  # whoever measures now fails
    path = tmp_path / "study.toml"
    for shared in ({"protocol": "time", "budget": "1s"}, {"protocol": "flops", "budget": "500 MMACs"}):
        path.write_text(StudySpec.from_mapping(TINY | ONE | {"recipe": {"batch_size": 35}} | shared).to_toml())
        audited = audit_file(path)
        assert states(audited.findings)["D1"] is State.FIRES
        assert audited.study.decided == (shared["protocol"] == "flops")


def test_what_is_declared_to_the_audit_decides_no_number(tmp_path: Path) -> None:
    plain, declared = (
        tiny_plan(tmp_path / "study", audit=audit).study
        for audit in (
            {},
            {"despite": ["D1"], "silence": {"P4": "why"}, "smallest_difference": 0.1, "headline": "train"},
        )
    )
    assert [run.id for run in plain.runs()] == [run.id for run in declared.runs()]
    assert plain.id == declared.id


def test_a_study_that_failed_all_over_is_audited_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_drive", lambda *_: driver.Outcome(interrupted=True, failed=0))
    study, _ = execute(tiny_plan(tmp_path / "study"), Notes())
    assert states(study.findings())["P8"] is State.NOT_RUN


@pytest.mark.parametrize("headline", ["test", "validation"])
@pytest.mark.parametrize(("second", "linear", "left"), [(0.695, 0.65, 2), (0.55, 0.65, 1), (0.695, 0.95, 0)])
def test_rules_on_what_the_verdict_tells_leave_out_whom_another_error_took_out(
    second: float, linear: float, left: int, headline: str, tmp_path: Path
) -> None:
    reached = {"resnet18": 0.7, "mobilenet_v2": second, "alexnet": 0.55}
    study = fair_study(candidates=[{"model": list(reached)}], audit={"headline": headline})
    whole = finished(tmp_path / "study", study, lambda candidate: reached[candidate.model])
    with Store.create_or_open(whole.folder / DATABASE) as store:
        probes = kept.probes_from_json(store.note(auditing.PROBES))
        assert probes is not None
        assert probes.baseline is not None
        better = replace(probes, baseline=replace(probes.baseline, accuracy=linear))
        store.set_note(auditing.PROBES, kept.probes_to_json(better))
    found = Study(whole.folder).findings()
    assert [one.message for one in found if "failed with" in one.message] == []
    places = {one.id: place for place, one in enumerate(registry.rules())}
    assert found == in_order(sorted(found, key=lambda one: places[one.rule]))
    low = [one for error in open_errors(found) if error.rule == "P7" for one in error.candidates]
    assert len(low) == len(reached) - left
    told, verdict = {one.rule: one for one in found}, Study(whole.folder).verdict()
    assert len(verdict.candidates) == left
    if left == 2:
        assert told["S3"].evidence["alpha"] == 0.05  # one pair, not three
        assert "5 seeds of each of 2 candidates" in told["S3"].message
        assert told["S3"].evidence["sd"] == spread_of(verdict).sd
        assert told["S5"].evidence["tested"] == 1
        assert told["S6"].evidence["candidates"] == 2
        assert told["S2"].state is (State.FIRES if headline == "validation" else State.PASS)
    else:
        assert told["S3"].state is State.NOT_RUN
        assert "there are not two candidates" in told["S3"].message
        assert told["S2"].state is not State.FIRES
