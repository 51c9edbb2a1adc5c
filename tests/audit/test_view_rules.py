"""Each rule about views catches its planted fault and is silent on what is healthy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakeoff.audit import Finding, Rule, Severity, views
from bakeoff.audit.evidence import InputStatistics, ViewProbe
from bakeoff.spec import labels
from tests.audit.probes import CLEAN, GEOMETRY, INPUTS, VIEW, WHOLE, inputs
from tests.audit.studies import study

STUDY = study()
FIRST, SECOND, THIRD = (candidate.id for candidate in STUDY.candidates)


def of_views(rule: Rule, *probes: ViewProbe) -> list[Finding]:
    """What a rule says where the candidates have these views; the last goes on for those that are left."""
    seen = dict(zip((FIRST, SECOND, THIRD), (*probes, probes[-1], probes[-1]), strict=False))
    return list(rule.check(study=STUDY, labels=labels(STUDY.candidates), views=seen))


@pytest.mark.parametrize("rule", [views.field_of_view, views.scale, views.random_evaluation, views.input_range])
def test_a_healthy_view_is_let_be(rule: Rule) -> None:
    assert not of_views(rule, VIEW)


@pytest.mark.parametrize(
    ("train", "evaluate"),
    [
        (GEOMETRY, WHOLE),  # crop 32 of 32 with padding 4
        (
            replace(GEOMETRY, coverage=0.54, least=0.08),
            replace(WHOLE, coverage=0.77),
        ),  # random resized crop; 224 of 256
        (replace(GEOMETRY, coverage=0.998), replace(WHOLE, coverage=0.998)),
    ],
)
def test_d1_lets_usual_views_be(train: object, evaluate: object) -> None:
    assert not of_views(views.field_of_view, replace(VIEW, train=train, evaluate=evaluate))


def test_d1_fires_on_a_sliver_and_names_its_size() -> None:
    sliver = replace(GEOMETRY, coverage=0.0203, window=(4.6, 4.6))
    (found,) = of_views(views.field_of_view, VIEW, VIEW, replace(VIEW, train=sliver, evaluate=sliver))
    assert (found.severity, found.candidates) == (Severity.ERROR, (THIRD,))
    assert "2.0 % of each picture reaches mobilenet_v2" in found.message
    assert "4.6 x 4.6" in found.message


def test_d1_asks_more_of_evaluation_than_of_training() -> None:
    half = replace(GEOMETRY, coverage=0.4)
    (found,) = of_views(views.field_of_view, replace(VIEW, evaluate=half))
    assert found.severity is Severity.ERROR
    assert not of_views(views.field_of_view, replace(VIEW, train=half))


def test_d1_warns_of_unlike_shares_but_not_beside_an_error() -> None:
    narrow = replace(VIEW, train=replace(GEOMETRY, coverage=0.54))
    (found,) = of_views(views.field_of_view, VIEW, narrow)
    assert found.severity is Severity.WARNING
    sliver = replace(VIEW, train=replace(GEOMETRY, coverage=0.02))
    assert [one.severity for one in of_views(views.field_of_view, VIEW, sliver)] == [Severity.ERROR]


@pytest.mark.parametrize(("scale", "fires"), [(2.0, True), (0.5, True), (1.36, False), (0.7, False)])
def test_d2_fires_where_things_have_another_size_in_evaluation(scale: float, fires: bool) -> None:
    found = of_views(views.scale, replace(VIEW, train=replace(GEOMETRY, scale=scale)))
    assert [one.severity for one in found] == [Severity.WARNING] * fires
    assert all("every candidate" in one.message for one in found)


def test_d3_fires_where_a_second_look_shows_other_pictures() -> None:
    (found,) = of_views(views.random_evaluation, VIEW, replace(VIEW, differing=63, fetched=64))
    assert found.severity is Severity.ERROR
    assert "63 of 64" in found.message
    assert found.candidates == (SECOND, THIRD)


@pytest.mark.parametrize(
    ("train", "evaluate", "severity"),
    [
        (inputs(CLEAN, mean=120, std=64, largest=255), inputs(CLEAN, mean=120, std=64, largest=255), Severity.ERROR),
        (inputs(CLEAN, mean=-8, std=17, largest=19), CLEAN, Severity.ERROR),  # normalised twice
        (inputs(CLEAN, std=0.05), inputs(CLEAN, std=0.05), Severity.ERROR),
        (CLEAN, inputs(CLEAN, mean=0.48, std=0.25, largest=1), Severity.NOTE),  # evaluation left in [0, 1], hardly off
        (CLEAN, inputs(CLEAN, mean=0.6), Severity.WARNING),  # training and evaluation unlike
        (inputs(CLEAN, mean=-1.9), inputs(CLEAN, mean=-1.9), Severity.WARNING),  # of much darker pictures
        (inputs(CLEAN, std=0.15), inputs(CLEAN, std=0.15), Severity.WARNING),
        (inputs(CLEAN, mean=0.48, std=0.25, largest=1), inputs(CLEAN, mean=0.48, std=0.25, largest=1), Severity.NOTE),
        (INPUTS, CLEAN, None),
        (inputs(CLEAN, mean=0.1, std=0.9), inputs(CLEAN, mean=0.1, std=0.9), None),  # of ImageNet's normalisation
    ],
)
def test_d4_fires_by_how_far_inputs_are_off(
    train: InputStatistics, evaluate: InputStatistics, severity: Severity | None
) -> None:
    found = of_views(views.input_range, replace(VIEW, train_inputs=train, evaluate_inputs=evaluate))
    assert [one.severity for one in found] == [severity] * (severity is not None)
    # The study normalises by its own pictures already.
    assert not any("Set `normalize" in one.advice for one in found)
