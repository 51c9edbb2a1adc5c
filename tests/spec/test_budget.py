"""A fair budget is read with its unit, divided into whole epochs, and kept with the study; old files mean equal epochs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.errors import SpecError
from bakeoff.flags import adapted_spec
from bakeoff.spec import DataFacts, EpochCost, ResolvedStudy, StudySpec, TrainingBudget, TrialConditions
from bakeoff.spec.budget import parse_budget

CIFAR = DataFacts(
    fingerprint="f" * 12, size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)
HERE = TrialConditions(device="cpu", at_once=2, threads=1)


def study(**changes: Any) -> StudySpec:
    content = {"protocol": "time", "budget": "10min", "candidates": [{"model": ["resnet18", "alexnet"]}]}
    return StudySpec.from_mapping(
        {key: value for key, value in (content | changes).items() if value is not None}, where="my.toml"
    )


def seconds(*amounts: float) -> list[EpochCost]:
    return [EpochCost(amount=amount, images_per_second=45_000 / amount, spread=0.01) for amount in amounts]


@pytest.mark.parametrize(
    ("text", "protocol", "amount"),
    [
        ("90s", "time", 90),
        ("10min", "time", 600),
        (" 1.5 h ", "time", 5400),
        ("2d", "time", 172_800),
        ("500 TMACs", "flops", 5e14),
        ("1.5PMACs", "flops", 1.5e15),
        ("3e12 MACs", "flops", 3e12),
        ("7 kMACs", "flops", 7e3),
    ],
)
def test_a_budget_is_read_with_its_unit(text: str, protocol: Any, amount: float) -> None:
    assert parse_budget(text, protocol) == pytest.approx(amount)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": "600"}, ["'600'", "10min"]),
        ({"budget": "10 minutes"}, ["'10 minutes'", "10min"]),
        ({"budget": "0s"}, ["'0s'"]),
        ({"budget": "-5min"}, ["'-5min'"]),
        ({"budget": "1e999s"}, ["'1e999s'"]),
        ({"budget": "500 TMACs"}, ["under protocol = 'time'", "a time with its unit", "'TMACs'"]),
        ({"protocol": "flops"}, ["under protocol = 'flops'", "TMACs", "'10min'"]),
        ({"protocol": "flops", "budget": "5 TFLOPs"}, ["FLOPs are counted in two ways", "'TFLOPs'"]),
        ({"protocol": "epochs"}, ["budget = '10min'", "time or flops"]),
        ({"protocol": "tmie", "budget": None}, ["did you mean 'time'"]),
        ({"recipe": {"epochs": 5}}, ["a budget decides the epochs", "leave one of them out"]),
        ({"candidates": [{"model": "resnet18", "epochs": 5}]}, ["a budget decides the epochs"]),
    ],
)
def test_a_budget_that_makes_no_sense_is_told_with_the_remedy(changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        study(**changes)
    for words in ["my.toml", *said]:
        assert words in str(caught.value)


def test_a_given_budget_affords_whole_epochs_and_what_is_left_is_recorded() -> None:
    granted = study().resolve(CIFAR).granted(seconds(100, 250), HERE)
    assert [candidate.recipe.epochs for candidate in granted.candidates] == [6, 2]
    assert granted.budget is not None
    assert [grant.left for grant in granted.budget.grants] == [0, 100]
    assert granted.budget.conditions == HERE
    assert granted.decided


def test_without_a_given_budget_it_is_what_the_first_candidate_takes_for_its_epochs() -> None:
    granted = study(budget=None, recipe={"epochs": 7}).resolve(CIFAR).granted(seconds(0.1, 0.03))
    assert [candidate.recipe.epochs for candidate in granted.candidates] == [7, 23]
    assert granted.budget is not None
    assert granted.budget.given is None
    assert granted.budget.amount == pytest.approx(0.7)


def test_a_candidate_whose_first_epoch_exceeds_the_budget_gets_it_and_the_record_says_so() -> None:
    granted = study().resolve(CIFAR).granted(seconds(700, 300))
    assert granted.budget is not None
    assert [(grant.epochs, grant.left) for grant in granted.budget.grants] == [(1, -100), (2, 0)]


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5), st.integers(1, 300), st.none() | st.floats(1e-3, 1e9))
def test_no_budget_is_exceeded_by_more_than_a_single_epoch_and_none_is_left_for_another(
    costs: list[float], first: int, amount: float | None
) -> None:
    budget = TrainingBudget(given=amount).divided([first] * len(costs), [EpochCost(amount=cost) for cost in costs])
    assert budget.amount is not None
    if amount is None:
        assert budget.grants[0].epochs == first
    for grant, cost in zip(budget.grants, costs, strict=True):
        if grant.epochs > 1:
            assert grant.epochs * cost <= budget.amount * (1 + 1e-6)
        assert (grant.epochs + 1) * cost > budget.amount * (1 - 1e-6)
        assert grant.left == pytest.approx(budget.amount - grant.epochs * cost, abs=1e-6 * cost)


def test_the_study_survives_its_files_before_and_after_epochs_are_granted() -> None:
    spec = study()
    assert StudySpec.from_toml(spec.to_toml()) == spec
    granted = spec.resolve(CIFAR).granted(seconds(100, 250), HERE)
    for resolved in (spec.resolve(CIFAR), granted):
        assert ResolvedStudy.from_toml(resolved.to_toml()) == resolved
    assert granted.asked() == spec.resolve(CIFAR)


def test_a_runs_id_depends_on_its_epochs_and_not_on_how_they_were_found() -> None:
    granted = study().resolve(CIFAR).granted(seconds(100, 100))
    equal = study(protocol=None, budget=None, recipe={"epochs": 6}).resolve(CIFAR)
    assert [run.id for run in granted.runs()] == [run.id for run in equal.runs()]
    assert granted.id == equal.id


def test_files_from_before_there_were_protocols_mean_equal_epochs() -> None:
    spec = StudySpec.from_toml('format = 1\n[[candidates]]\nmodel = "resnet18"\n')
    resolved = spec.resolve(CIFAR)
    old = "\n".join(
        line for line in resolved.to_toml().splitlines() if not line.startswith(("protocol", "further_seeds"))
    )
    assert "protocol" not in old
    again = ResolvedStudy.from_toml(old)
    assert (again.protocol, again.budget, again.further_seeds) == ("epochs", None, ())
    assert again == resolved
    assert again.decided


def test_a_resolved_study_whose_epochs_are_not_those_granted_is_refused() -> None:
    text = study().resolve(CIFAR).granted(seconds(100, 250)).to_toml()
    tampered = text.replace("[candidates.recipe]", "[candidates.recipe]\n#", 1).replace(
        "\nepochs = 2\nbatch", "\nepochs = 3\nbatch"
    )
    assert tampered != text
    with pytest.raises(SpecError, match="epochs that they are granted"):
        ResolvedStudy.from_toml(tampered)


def test_candidates_that_differ_in_epochs_alone_are_refused_where_epochs_are_granted() -> None:
    spec = study(budget=None, recipe={"epochs": [20, 30]})
    with pytest.raises(SpecError, match="stands twice"):
        spec.resolve(CIFAR)


def test_a_warm_up_is_as_long_as_the_budget_allows_whatever_epochs_are_usual() -> None:
    asked = study(recipe={"warmup_epochs": 12.5}).resolve(CIFAR)
    assert [one.recipe.epochs for one in asked.granted(seconds(20, 25), HERE).candidates] == [30, 24]
    with pytest.raises(SpecError, match=r"resnet18 has 12\.5 and affords 12"):
        asked.granted(seconds(50, 25), HERE)


def test_a_budget_of_more_epochs_than_can_be_written_down_is_refused() -> None:
    with pytest.raises(SpecError, match=r"must afford fewer epochs than 9e\+18.*lower `budget`"):
        study(budget="1000000000000000d").resolve(CIFAR).granted(seconds(1e-3, 25), HERE)


def test_a_warm_up_longer_than_what_is_granted_is_refused() -> None:
    spec = study(recipe={"warmup_epochs": 2})
    with pytest.raises(SpecError, match="alexnet has 2 and affords 2"):
        spec.resolve(CIFAR).granted(seconds(100, 250))


def test_a_budget_flag_stands_in_place_of_the_files_epochs() -> None:
    base = study(protocol=None, budget=None, recipe={"epochs": 30}, candidates=[{"model": "resnet18", "epochs": 20}])
    spec, adapted = adapted_spec(base, protocol="time", budget="5min")
    assert adapted
    assert (spec.protocol, spec.budget, spec.recipe.epochs, spec.candidates[0].epochs) == ("time", "5min", None, None)
    with pytest.raises(SpecError, match="leave one of them out"):
        adapted_spec(base, protocol="time", budget="5min", epochs=[3])


def test_a_protocol_flag_drops_the_budget_of_another() -> None:
    spec, _ = adapted_spec(study(), protocol="flops")
    assert (spec.protocol, spec.budget) == ("flops", None)
    spec, _ = adapted_spec(study(), protocol="time")
    assert spec.budget == "10min"


def test_differences_name_the_protocol_and_the_budget() -> None:
    one, other = study().resolve(CIFAR), study(budget="20min").resolve(CIFAR)
    assert one.differences(other) == ["budget.given: 600.0 -> 1200.0"]
    equal = study(protocol=None, budget=None).resolve(CIFAR)
    assert "protocol: time -> epochs" in one.differences(equal)
