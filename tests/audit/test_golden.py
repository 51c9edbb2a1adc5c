"""The paper's study and the fair one: what the audit must say of them, and what it must not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bakeoff.analysis.statistics.power import smallest_difference
from bakeoff.audit import Evidence, Finding, Severity, State, audit, open_errors, unranked
from bakeoff.audit.evidence import Baseline
from bakeoff.spec import CandidateSpec, StudySpec
from bakeoff.study import Plan, facts_of
from bakeoff.study.evidence import gather
from bakeoff.study.planning import plan_resolved
from tests.audit.made_up import FACTS, finished
from tests.audit.paper import recorded
from tests.builders import small_dataset

pytestmark = pytest.mark.timeout(180)  # AlexNet at 224 pixels, on a machine that may be busy

STUDIES = Path(__file__).parents[2] / "studies"

LINEAR = Baseline(accuracy=0.3969, train_pictures=20_000, test_pictures=10_000, size=32)
"""Measured on the JPEG copy of CIFAR-10."""

FIRES = {"D1", "D3", "D7", "P1", "P2", "P4", "P6", "P7", "S1"}
"""What is wrong with the paper's study, as a reader of it would say."""

TRUE_TOO = {"P5"}
"""ResNet-18 had five trials, AlexNet one and MobileNet two."""


def planned(name: str, tmp_path: Path) -> Plan:
    """A study file planned on a stand-in for CIFAR-10: 32 pixels, ten classes, noise."""
    dataset = small_dataset(train=200, test=100, classes=10, size=32)
    spec = StudySpec.from_file(STUDIES / f"{name}.toml")
    fewer = spec.data.model_copy(update={"validation": min(spec.data.validation, 50)})
    study = spec.model_copy(update={"data": fewer}).resolve(facts_of(dataset, None))
    return plan_resolved(study, dataset, folder=tmp_path / "study", cache=tmp_path, device="cpu")


def seen(plan: Plan) -> Evidence:
    """What can be known of a planned study before training."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this busy with small batches gain little from more
    probes = gather(plan)
    torch.set_num_threads(before)
    return Evidence(
        study=plan.study,
        labels=plan.labels,
        views=probes.views,
        networks=probes.networks,
        data=probes.data,
        macs=plan.macs,
        validated=plan.study.validation > 0,
    )


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, list[Finding]]:
    folder = tmp_path_factory.mktemp("paper")
    evidence = seen(planned("realm-of-deep-learning", folder))
    runs, epochs = recorded(folder, evidence.study)
    whole = replace(evidence, runs=runs, epochs=epochs, baseline=LINEAR)
    return whole, audit(whole)


def firing(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings if finding.state is State.FIRES}


def test_the_papers_study_breaks_the_rules_that_it_breaks_and_no_others(
    paper: tuple[Evidence, list[Finding]],
) -> None:
    _, findings = paper
    assert firing(findings) - {"H7"} == FIRES | TRUE_TOO


def test_the_field_of_view_names_the_2_per_cent_and_shows_what_the_network_saw(
    paper: tuple[Evidence, list[Finding]],
) -> None:
    evidence, findings = paper
    (view,) = (finding for finding in findings if finding.rule == "D1")
    assert view.message == (
        "2.0 % of each picture reaches mobilenet_v2 in training, and 2.0 % in evaluation: the network's 32x32 input is a "
        "window of 4.5 x 4.5 of the picture's 32 x 32 pixels."
    )
    assert view.evidence["coverage_train"] == pytest.approx(0.0203, abs=0.0005)
    assert view.evidence["window_width"] == pytest.approx(32 / 7, abs=0.1)  # 32 of 224 pixels, of a picture of 32
    models = {candidate.id: candidate.model for candidate in evidence.study.candidates}
    assert {models[one] for one in view.candidates} == {"mobilenet_v2"}


def test_nothing_is_concluded_about_mobilenet_or_any_other_candidate(paper: tuple[Evidence, list[Finding]]) -> None:
    evidence, findings = paper
    reasons = unranked(findings, [candidate.id for candidate in evidence.study.candidates])
    for candidate in evidence.study.candidates:
        assert "D3 random evaluation" in reasons[candidate.id]
        assert ("D1 field of view" in reasons[candidate.id]) == (candidate.model == "mobilenet_v2")
        assert ("P7 implausibly low" in reasons[candidate.id]) == (candidate.model == "mobilenet_v2")


def test_the_papers_study_is_trained_all_the_same_because_its_file_says_why(
    paper: tuple[Evidence, list[Finding]],
) -> None:
    evidence, findings = paper
    stopping = {finding.rule for finding in open_errors(findings) if finding.rule[0] == "D"}
    assert stopping == set(evidence.study.audit.despite) == {"D1", "D3"}
    assert all(evidence.study.audit.despite.values())


def test_the_fair_study_breaks_no_rule_before_it_is_trained(tmp_path: Path) -> None:
    plan = planned("classics", tmp_path)
    assert len(plan.study.seeds) == 5
    findings = audit(seen(plan))
    assert firing(findings) == set()
    passed = {finding.rule for finding in findings if finding.state is State.PASS}
    assert {"D1", "D2", "D3", "D4", "D5", "D6", "D7", "P1", "P2", "P3", "P5", "P6"} <= passed


def _as_hoped(candidate: CandidateSpec) -> float:
    """Accuracies of a fair comparison: each network's best rate lies inside its grid, and networks lie apart."""
    best = {"resnet18": 0.93, "mobilenet_v2": 0.905, "alexnet": 0.85}[candidate.model]
    optimum = {"adam": 0.0014, "sgd": 0.022}[candidate.recipe.optimizer]
    behind = 0.012 if candidate.recipe.optimizer == "adam" else 0.0
    return best - behind - 0.03 * math.log10(candidate.recipe.learning_rate / optimum) ** 2


def test_the_fair_study_finished_as_hoped_is_told_only_what_its_seeds_cannot_show(tmp_path: Path) -> None:
    study = StudySpec.from_file(STUDIES / "classics.toml").resolve(FACTS)
    findings = finished(tmp_path / "study", study, _as_hoped).findings()
    told = {finding.rule: finding for finding in findings if finding.state is State.FIRES}
    assert set(told) == {"S3"}
    # True of it: 24 candidates make 276 pairs, and neighbouring rates lie nearer than five seeds can tell apart.
    assert told["S3"].severity is Severity.WARNING
    seen = told["S3"].evidence
    assert smallest_difference(5, float(seen["sd"] or 0), alpha=0.05 / 276) > 0.005  # half a point counts
    not_run = {finding.rule for finding in findings if finding.state is State.NOT_RUN}
    assert not_run == {"H2", "H9"}  # only if asked for; the rate falls, and nothing was trained for half as long
