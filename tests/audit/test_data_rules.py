"""Each rule about pictures and maps catches its planted fault and is silent on what is healthy."""

from __future__ import annotations

from dataclasses import replace

from bakeoff.audit import Finding, Severity, data
from bakeoff.audit.evidence import DataProbe, NetworkProbe
from bakeoff.spec import labels
from tests.audit.probes import DATA, NETWORK, overlapping
from tests.audit.studies import study

STUDY = study()
FIRST, SECOND, THIRD = (candidate.id for candidate in STUDY.candidates)


def of_networks(*probes: NetworkProbe) -> list[Finding]:
    networks = dict(zip((FIRST, SECOND, THIRD), (*probes, probes[-1], probes[-1]), strict=False))
    return list(data.last_map.check(study=STUDY, labels=labels(STUDY.candidates), networks=networks))


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
