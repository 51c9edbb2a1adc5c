"""Rules on the luck of the best: planted faults, healthy studies, missing evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bakeoff.analysis.verdict import judge
from bakeoff.audit import Finding, Severity, State, statistics, tuning
from bakeoff.audit.selection_checks import p5_order_at_equal_trials, s6_winners_curse
from tests.analysis.people import contender

LABELS = {name: f"the {name}" for name in "abcdefghij"}

SEEDS = [0.93, 0.931, 0.932, 0.929, 0.928]


def curse(**changes: Any) -> Finding:
    evidence: dict[str, Any] = {
        "test": {"a": SEEDS, "b": [one - 0.02 for one in SEEDS]},
        "validation": {"a": [one + 0.003 for one in SEEDS], "b": [one - 0.018 for one in SEEDS]},
        "test_pictures": 10_000,
        "validation_pictures": 5000,
        "labels": LABELS,
    }
    return s6_winners_curse(statistics.winners_curse, **evidence | changes)


def test_a_validation_accuracy_far_above_the_test_is_told() -> None:
    finding = curse(validation={"a": [one + 0.03 for one in SEEDS], "b": SEEDS})
    assert finding.state is State.FIRES
    assert "the a has 96.00 % on validation and 93.00 % on the test set, 3.00 points less" in finding.message


def test_what_keeps_it_from_being_asked_is_told_as_it_is() -> None:
    verdict = judge([contender("a", test=SEEDS, validation=0.93), contender("b", test=SEEDS, validation=0.92)])
    (unseen,) = statistics.winners_curse.check(labels=LABELS, verdict=verdict, data=None)
    assert (unseen.state, "on how many pictures" in unseen.message) == (State.NOT_RUN, True)
    on_test = judge([contender("a", test=SEEDS, validation=np.nan)], ranked_by="test")
    (none,) = statistics.winners_curse.check(labels=LABELS, verdict=on_test, data=None)
    assert (none.state, "no validation split" in none.message) == (State.NOT_RUN, True)


def test_a_test_accuracy_far_above_validation_is_told() -> None:
    finding = curse(validation={name: [one - 0.04 for one in SEEDS] for name in "ab"})
    assert finding.state is State.FIRES
    assert "the splits are not alike" in finding.message


def test_a_gap_that_luck_explains_passes() -> None:
    assert curse().state is State.PASS
    many = dict.fromkeys("abcdefghij", SEEDS)
    validation = {name: [0.933] for name in many}
    assert curse(test={name: [0.93] for name in many}, validation=validation).state is State.PASS


@pytest.mark.parametrize(("candidates", "seeds"), [(1, 1), (2, 5), (8, 2)])
def test_healthy_studies_hardly_ever_fire(candidates: int, seeds: int) -> None:
    # Equal candidates on their own validation and test pictures; the best on validation is held against its test.
    generator, alarms = np.random.default_rng(0), 0
    for _ in range(300):
        easy = generator.beta(6, 1, 900)
        networks = generator.random((candidates, seeds, 900)) < easy
        validation = {
            LABELS[name]: networks[place, :, :300].mean(axis=1) for place, name in enumerate("abcdefgh"[:candidates])
        }
        test = {
            LABELS[name]: networks[place, :, 300:].mean(axis=1) for place, name in enumerate("abcdefgh"[:candidates])
        }
        finding = s6_winners_curse(statistics.winners_curse,
            test=test, validation=validation, test_pictures=600, validation_pictures=300,
            labels={label: label for label in test},
        )  # fmt: skip
        alarms += finding.state is State.FIRES
    assert alarms <= 3


@pytest.mark.parametrize(
    ("accuracy", "pictures", "seeds", "candidates"),
    [(0.97, (20, 1000), 5, 2), (0.98, (50, 1000), 3, 3), (0.975, (144, 360), 1, 4)],
)
def test_few_validation_pictures_that_are_all_right_are_no_alarm(
    accuracy: float, pictures: tuple[int, int], seeds: int, candidates: int
) -> None:
    generator, alarms = np.random.default_rng(0), 0
    names = "abcd"[:candidates]
    for _ in range(300):
        validation, test = ({name: generator.binomial(n, accuracy, seeds) / n for name in names} for n in pictures)
        finding = curse(validation=validation, test=test, validation_pictures=pictures[0], test_pictures=pictures[1])
        alarms += finding.state is State.FIRES
    assert alarms <= 3


@pytest.mark.parametrize(
    "missing", [{"validation": None}, {"test_pictures": None}, {"validation_pictures": None}, {"test": {}}]
)
def test_without_its_evidence_it_is_not_run(missing: dict[str, Any]) -> None:
    finding = curse(**missing)
    assert finding.state is State.NOT_RUN
    assert finding.message


def test_more_trials_that_made_the_order_are_told() -> None:
    many = [0.5, 0.6, 0.7, 0.8, 0.85, 0.88, 0.89, 0.9, 0.9, 0.9, 0.9, 0.92]
    finding = p5_order_at_equal_trials(tuning.unequal_tuning, scores={"many": many, "few": [0.88, 0.9, 0.91]})
    assert (finding.state, finding.severity) == (State.FIRES, Severity.WARNING)
    assert "By their best trials the order is many, few, but 3 trials each" in finding.message
    assert finding.evidence == {"fewest_trials": 3, "most_trials": 12}


def test_an_order_that_holds_at_equal_trials_passes() -> None:
    assert (
        p5_order_at_equal_trials(tuning.unequal_tuning, scores={"a": [0.9, 0.92, 0.91, 0.9], "b": [0.8, 0.81]}).state
        is State.PASS
    )
    assert p5_order_at_equal_trials(tuning.unequal_tuning, scores={"a": [0.9] * 5, "b": [0.8] * 5}).state is State.PASS


@pytest.mark.parametrize("scores", [None, {}, {"a": [0.5]}, {"a": [0.5], "b": []}])
def test_without_two_tuned_methods_the_order_is_not_checked(scores: dict[str, list[float]] | None) -> None:
    assert p5_order_at_equal_trials(tuning.unequal_tuning, scores=scores).state is State.NOT_RUN
