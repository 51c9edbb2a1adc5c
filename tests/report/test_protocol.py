"""The protocol in words, with what each candidate's budget affords."""

from __future__ import annotations

import pytest

from bakeoff.report.protocol import budget_words, protocol_words
from bakeoff.spec import DataFacts, EpochCost, ResolvedStudy, StudySpec, TrialConditions

CIFAR = DataFacts(
    fingerprint="f" * 12, size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)


def resolved(**changes: object) -> ResolvedStudy:
    return StudySpec.from_mapping({"candidates": [{"model": ["resnet18", "alexnet"]}]} | changes).resolve(CIFAR)


def test_equal_epochs_need_no_words_but_their_own() -> None:
    assert protocol_words(resolved()) == "Every candidate trains for the epochs of its recipe."
    assert budget_words(resolved()) == []


def test_a_time_budget_is_told_with_epochs_throughput_and_what_a_run_took() -> None:
    study = resolved(protocol="time", budget="10min").granted(
        [EpochCost(amount=100, images_per_second=450), EpochCost(amount=660, images_per_second=68)],
        TrialConditions(device="cpu", at_once=2, threads=1),
    )
    assert budget_words(study, {study.candidates[0].id: 612.0, study.candidates[1].id: float("nan")}) == [
        "Candidates got equal seconds of training, as far as whole epochs go: 10 min a run.",
        "resnet18: 6 epochs of 1 min 40 s at 450 images/s, 0.0 s left; a run took 10 min 12 s",
        "alexnet: 1 epoch of 11 min at 68 images/s, 1 min over the budget",
    ]


@pytest.mark.parametrize(
    ("macs", "said"), [(2e9, "5 epochs of 2 GMACs, 0 MACs left"), (4e9, "2 epochs of 4 GMACs, 2 GMACs left")]
)
def test_a_budget_of_flops_is_told_in_multiply_accumulates(macs: float, said: str) -> None:
    study = resolved(protocol="flops", recipe={"epochs": 10}).granted([EpochCost(amount=1e9), EpochCost(amount=macs)])
    assert budget_words(study) == [
        "Candidates got equal multiply-accumulates of training, as far as whole epochs go: 10 GMACs a run, what the first "
        "one takes for its epochs.",
        "resnet18: 10 epochs of 1 GMACs, 0 MACs left",
        f"alexnet: {said}",
    ]
