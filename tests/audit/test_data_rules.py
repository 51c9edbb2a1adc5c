"""Each rule about pictures and views catches its planted fault and is silent on what is healthy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakeoff.audit import Finding, Rule, Severity, data
from bakeoff.audit.evidence import DataProbe, InputStatistics, NetworkProbe, ViewProbe
from bakeoff.spec import labels
from tests.audit.probes import CLEAN, DATA, GEOMETRY, INPUTS, NETWORK, VIEW, WHOLE, inputs, overlapping
from tests.audit.studies import study

STUDY = study()
FIRST, SECOND, THIRD = (candidate.id for candidate in STUDY.candidates)


def of_views(rule: Rule, *probes: ViewProbe) -> list[Finding]:
    """What a rule says where the candidates have these views; the last goes on for those that are left."""
    views = dict(zip((FIRST, SECOND, THIRD), (*probes, probes[-1], probes[-1]), strict=False))
    return list(rule.check(study=STUDY, labels=labels(STUDY.candidates), views=views))


def of_networks(*probes: NetworkProbe) -> list[Finding]:
    networks = dict(zip((FIRST, SECOND, THIRD), (*probes, probes[-1], probes[-1]), strict=False))
    return list(data.last_map.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks))


@pytest.mark.parametrize("rule", [data.field_of_view, data.scale, data.random_evaluation, data.input_range])
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
    assert not of_views(data.field_of_view, replace(VIEW, train=train, evaluate=evaluate))


def test_d1_fires_on_a_sliver_and_names_its_size() -> None:
    sliver = replace(GEOMETRY, coverage=0.0203, window=(4.6, 4.6))
    (found,) = of_views(data.field_of_view, VIEW, VIEW, replace(VIEW, train=sliver, evaluate=sliver))
    assert (found.severity, found.candidates) == (Severity.ERROR, (THIRD,))
    assert "2.0 % of each picture reaches mobilenet_v2" in found.message
    assert "4.6 x 4.6" in found.message


def test_d1_asks_more_of_evaluation_than_of_training() -> None:
    half = replace(GEOMETRY, coverage=0.4)
    (found,) = of_views(data.field_of_view, replace(VIEW, evaluate=half))
    assert found.severity is Severity.ERROR
    assert not of_views(data.field_of_view, replace(VIEW, train=half))


def test_d1_warns_of_unlike_shares_but_not_beside_an_error() -> None:
    narrow = replace(VIEW, train=replace(GEOMETRY, coverage=0.54))
    (found,) = of_views(data.field_of_view, VIEW, narrow)
    assert found.severity is Severity.WARNING
    sliver = replace(VIEW, train=replace(GEOMETRY, coverage=0.02))
    assert [one.severity for one in of_views(data.field_of_view, VIEW, sliver)] == [Severity.ERROR]


@pytest.mark.parametrize(("scale", "fires"), [(2.0, True), (0.5, True), (1.36, False), (0.7, False)])
def test_d2_fires_where_things_have_another_size_in_evaluation(scale: float, fires: bool) -> None:
    found = of_views(data.scale, replace(VIEW, train=replace(GEOMETRY, scale=scale)))
    assert [one.severity for one in found] == [Severity.WARNING] * fires
    assert all("every candidate" in one.message for one in found)


def test_d3_fires_where_a_second_look_shows_other_pictures() -> None:
    (found,) = of_views(data.random_evaluation, VIEW, replace(VIEW, differing=63, fetched=64))
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
    found = of_views(data.input_range, replace(VIEW, train_inputs=train, evaluate_inputs=evaluate))
    assert [one.severity for one in found] == [severity] * (severity is not None)


def copies(probe: DataProbe) -> list[tuple[Severity, str]]:
    return [(found.severity, found.message) for found in data.copies.check(data=probe)]


def test_d5_lets_disjoint_splits_be() -> None:
    assert not copies(DATA)


def test_d5_fires_by_the_share_of_copied_test_pictures() -> None:
    ((severity, message),) = copies(overlapping("train", "test", same=50))
    assert severity is Severity.ERROR
    assert "50 of 1,000 test pictures (5.0 %)" in message
    ((severity, _),) = copies(overlapping("train", "test", same=1))
    assert severity is Severity.WARNING


def test_d5_warns_of_copies_in_the_validation_split() -> None:
    assert [severity for severity, _ in copies(overlapping("train", "validation", same=50))] == [Severity.WARNING]


def test_d5_notes_near_copies_and_what_is_known_of_cifar() -> None:
    near = replace(overlapping("train", "test", near=3), name="cifar10")
    ((severity, message),) = copies(near)
    assert severity is Severity.NOTE
    assert "3 of 1,000 test pictures (0.3 %)" in message
    assert "3.3 % of CIFAR-10's" in message


def test_d5_warns_where_near_copies_are_many() -> None:
    ((severity, _),) = copies(overlapping("train", "test", near=101))
    assert severity is Severity.WARNING


def test_d5_warns_of_one_picture_with_two_labels() -> None:
    ((severity, message),) = copies(replace(DATA, contradicting=2))
    assert severity is Severity.WARNING
    assert "another label" in message


def of_data(**changes: object) -> list[Finding]:
    return list(data.integrity.check(data=replace(DATA, **changes)))  # type: ignore[arg-type]


def test_d6_lets_stratified_splits_be() -> None:
    assert not of_data()
    assert not of_data(counts={"train": (1000, 1100), "validation": (50, 45), "test": (100, 104)})


def test_d6_fires_on_a_class_that_a_split_lacks() -> None:
    (found,) = of_data(counts={"train": (900, 900), "validation": (200, 0), "test": (500, 500)})
    assert found.severity is Severity.ERROR
    assert "'dog'" in found.message
    assert "validation" in found.message


def test_d6_warns_of_other_shares_in_a_split() -> None:
    (found,) = of_data(counts={"train": (900, 900), "test": (700, 300)})
    assert found.severity is Severity.WARNING
    assert "40.0 %" in found.message
    assert not of_data(counts={"train": (900, 900), "test": (7, 3)})  # chance


def test_d6_warns_of_uneven_classes_with_what_the_frequent_one_gives() -> None:
    (found,) = of_data(counts={"train": (1600, 400), "test": (400, 100)})
    assert found.severity is Severity.WARNING
    assert "80.0 %" in found.message


def test_d6_warns_of_pictures_of_one_colour() -> None:
    (found,) = of_data(constant={"train": 30, "test": 0})
    assert "30 of 1,800 train pictures" in found.message
    assert not of_data(constant={"train": 1, "test": 0})


def test_d7_lets_maps_of_one_size_be_and_networks_without_maps() -> None:
    assert not of_networks(NETWORK)
    assert not of_networks(NETWORK, replace(NETWORK, map_side=None))
    assert not of_networks(replace(NETWORK, map_side=7), replace(NETWORK, map_side=8))


def test_d7_fires_where_nothing_is_left_of_the_map() -> None:
    (found,) = of_networks(replace(NETWORK, map_side=1), replace(NETWORK, map_side=1), replace(NETWORK, map_side=2))
    assert found.severity is Severity.WARNING
    assert found.candidates == (FIRST, SECOND)


def test_d7_fires_where_maps_differ_much_in_area() -> None:
    (found,) = of_networks(NETWORK, replace(NETWORK, map_side=9))
    assert "4x4" in found.message
    assert "9x9" in found.message
