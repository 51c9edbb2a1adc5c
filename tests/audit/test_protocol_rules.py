"""Each rule about the protocol catches its planted fault and is silent on what is healthy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bakeoff.audit import Finding, Severity, State, protocol
from bakeoff.audit.evidence import Baseline, DataProbe
from bakeoff.records import RunStatus
from bakeoff.spec import ResolvedStudy, labels
from tests.audit.probes import DATA, NETWORK, overlapping
from tests.audit.studies import study
from tests.synthetic import Run, frames

STUDY = study()
IDS = [candidate.id for candidate in STUDY.candidates]
LINEAR = Baseline(accuracy=0.4, train_pictures=20_000, test_pictures=10_000, size=32)
TEN = replace(DATA, classes=tuple("abcdefghij"))


def results(path: Path, accuracies: dict[str, float | None], **changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of one finished run a candidate, by its id, with this test accuracy."""
    path.mkdir(exist_ok=True)
    return frames(path, *(Run(candidate=one, test=accuracy, **changes) for one, accuracy in accuracies.items()))


def test_p1_fires_where_the_test_set_chooses() -> None:
    (found,) = protocol.selection.check(study=STUDY, validated=False, data=DATA)
    assert found.severity is Severity.ERROR
    assert "3 candidates" in found.message


def test_p1_lets_a_validation_split_and_a_single_candidate_be() -> None:
    assert not list(protocol.selection.check(study=STUDY, validated=True, data=DATA))
    alone = study(candidates=[{"model": "resnet18"}])
    assert not list(protocol.selection.check(study=alone, validated=False, data=DATA))
    assert not list(protocol.selection.check(study=alone, validated=False, data=None))


def test_p1_does_not_pass_a_validation_split_that_nobody_looked_at() -> None:
    (found,) = protocol.selection.check(study=STUDY, validated=True, data=None)
    assert found.state is State.NOT_RUN
    assert "test pictures" in found.message


def test_p1_fires_where_the_validation_split_is_the_test_set() -> None:
    alias = overlapping("validation", "test", same=1000)
    (found,) = protocol.selection.check(study=STUDY, validated=True, data=alias)
    assert found.severity is Severity.ERROR
    few = overlapping("validation", "test", same=3)  # copies are D5's
    assert not list(protocol.selection.check(study=STUDY, validated=True, data=few))


def headline(of: ResolvedStudy, tables: tuple[Any, Any] = (None, None)) -> list[Finding]:
    runs, epochs = tables
    return list(protocol.headline.check(study=of, labels=labels(of.candidates), runs=runs, epochs=epochs))


@pytest.mark.parametrize(
    ("declared", "severity"), [("train", Severity.ERROR), ("validation", Severity.WARNING), ("test", None)]
)
def test_p2_fires_by_the_declared_headline(declared: str, severity: Severity | None) -> None:
    found = headline(study(audit={"headline": declared}))
    assert [one.severity for one in found] == [severity] * (severity is not None)


def test_p2_fires_on_runs_that_have_no_figure_but_training_accuracy(tmp_path: Path) -> None:
    tables = frames(
        tmp_path,
        Run(candidate=IDS[0], val=None, test=None),
        Run(candidate=IDS[1], val=None, test=0.5),
        Run(candidate=IDS[2], val=None, test=None, status=RunStatus.DIVERGED),
    )
    (found,) = headline(STUDY, tables)
    assert found.candidates == (IDS[0],)


def test_p3_fires_on_draws_and_on_leaks_in_evaluation() -> None:
    networks = {
        IDS[0]: replace(NETWORK, repeat_difference=0.3),
        IDS[1]: replace(NETWORK, company_difference=0.2),
        IDS[2]: NETWORK,
    }
    drawn, leaking = protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks)
    assert (drawn.severity, drawn.candidates) == (Severity.ERROR, (IDS[0],))
    assert (leaking.severity, leaking.candidates) == (Severity.ERROR, (IDS[1],))


def test_p3_fires_on_a_leak_that_only_the_gradient_shows() -> None:
    networks = dict.fromkeys(IDS, NETWORK) | {IDS[1]: replace(NETWORK, company_difference=1e-5, foreign_gradient=1e-4)}
    (found,) = protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks)
    assert (found.severity, found.candidates) == (Severity.ERROR, (IDS[1],))
    assert "gradient" in found.message


def test_p3_lets_networks_be_that_have_no_gradient() -> None:
    networks = dict.fromkeys(IDS, replace(NETWORK, foreign_gradient=None))
    assert not list(protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks))


def test_p3_lets_rounding_be_and_more_of_it_in_bfloat16() -> None:
    rounding = dict.fromkeys(IDS, replace(NETWORK, company_difference=1e-2))
    assert list(protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=rounding))
    half = study(precision="bfloat16")
    same = dict.fromkeys((one.id for one in half.candidates), replace(NETWORK, company_difference=1e-2))
    assert not list(protocol.evaluation_mode.check(study=half, labels=labels(half.candidates), networks=same))


def test_p3_fires_on_a_network_that_cannot_score_a_picture_alone() -> None:
    # As one that takes an unbiased deviation over the batch in evaluation: of one picture it is not a number.
    networks = dict.fromkeys(IDS, NETWORK) | {IDS[1]: replace(NETWORK, company_difference=None, foreign_gradient=1.0)}
    (found,) = protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks)
    assert (found.severity, found.candidates) == (Severity.ERROR, (IDS[1],))
    assert "none by itself" in found.message


def test_p3_is_not_run_where_scores_are_not_finite() -> None:
    networks = dict.fromkeys(IDS, replace(NETWORK, repeat_difference=None, company_difference=None))
    (found,) = protocol.evaluation_mode.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks)
    assert found.state is State.NOT_RUN


def low(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    *,
    linear: Baseline = LINEAR,
    data: DataProbe = TEN,
    of: ResolvedStudy = STUDY,
) -> list[Finding]:
    runs, epochs = tables
    return list(
        protocol.implausibly_low.check(
            study=of, labels=labels(of.candidates), runs=runs, epochs=epochs, baseline=linear, data=data
        )
    )


def test_p7_fires_below_a_linear_classifier_and_lets_what_beats_it_be(tmp_path: Path) -> None:
    (found,) = low(results(tmp_path, {IDS[0]: 0.65, IDS[1]: 0.41, IDS[2]: 0.2581}))
    assert (found.severity, found.candidates) == (Severity.ERROR, (IDS[2],))
    assert "25.8 %" in found.message
    assert "40.0 %" in found.message


def test_p7_only_notes_what_is_hardly_below_a_linear_classifier_that_is_hard_to_beat(tmp_path: Path) -> None:
    perfect = replace(LINEAR, accuracy=1.0)
    (found,) = low(results(tmp_path, {IDS[0]: 0.97, IDS[1]: 1.0, IDS[2]: 1.0}), linear=perfect)
    assert found.severity is Severity.NOTE


def test_p7_takes_training_accuracy_where_there_is_no_other(tmp_path: Path) -> None:
    found = low(results(tmp_path, {IDS[0]: None, IDS[1]: 0.6, IDS[2]: 0.6}, val=None, train=(0.2,)))
    assert [one.evidence["of"] for one in found] == ["training"]


def test_p7_says_of_which_candidates_nothing_has_finished(tmp_path: Path) -> None:
    (found,) = low(results(tmp_path, {IDS[0]: 0.6, IDS[1]: 0.6}))
    assert (found.state, found.candidates) == (State.NOT_RUN, (IDS[2],))


@pytest.mark.parametrize(("epochs", "severity"), [(100, Severity.ERROR), (30, Severity.NOTE)])
def test_p7_fires_far_below_a_published_figure_by_how_much_was_trained(
    tmp_path: Path, epochs: int, severity: Severity
) -> None:
    of = study(recipe={"epochs": epochs}, candidates=[{"model": "mobilenet_v2"}])
    cifar = replace(TEN, name="cifar10")
    tables = results(tmp_path, {of.candidates[0].id: 0.45})
    (found,) = low(tables, data=cifar, of=of)
    assert found.severity is severity
    assert "94.43%" in found.message
    assert "kuangliu" in found.message
    assert not low(tables, data=TEN, of=of)
    assert not low(results(tmp_path / "good", {of.candidates[0].id: 0.85}), data=cifar, of=of)
