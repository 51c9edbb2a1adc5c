"""How many seeds to train: from a given spread, and from a study's."""

from __future__ import annotations

import numpy as np
import pytest

from bakeoff.analysis.decision import ALPHA, ALPHA_OF_A_LOOK
from bakeoff.analysis.seed_plan import plan_seeds, spread_of
from bakeoff.analysis.verdict import judge
from bakeoff.errors import SpecError, StudyError
from tests.analysis.people import contender
from tests.stored import bits


def test_a_plan_holds_the_known_figures() -> None:
    plan = plan_seeds(0.003, candidates=3)
    assert dict(plan.needed) == {0.001: 190, 0.002: 49, 0.003: 23, 0.005: 10, 0.01: 4, 0.02: 3}
    assert dict(plan_seeds(0.003).seen)[5] == pytest.approx(2.02 * 0.003, rel=0.005)
    assert plan.alpha == pytest.approx(0.05 / 3)


def test_only_what_was_asked_is_planned() -> None:
    plan = plan_seeds(0.002, differences=[0.004], seeds=[7])
    assert [difference for difference, _ in plan.needed] == [0.004]
    assert [seeds for seeds, _ in plan.seen] == [7]


@pytest.mark.parametrize(
    "wrong", [{"sd": 0.0}, {"candidates": 1}, {"seeds": [1]}, {"differences": [0.0]}, {"sd": float("inf")}]
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="but got"):
        plan_seeds(**({"sd": 0.003} | wrong))  # type: ignore[arg-type]


def test_a_studys_spread_is_pooled_over_its_candidates() -> None:
    people = [
        contender("a", test=[0.90, 0.92, 0.94]),
        contender("b", test=[0.80, 0.81]),
        contender("single", test=[0.5]),
        contender("waiting", test=[]),
    ]
    spread = spread_of(judge(people))
    pooled = (2 * np.var([0.90, 0.92, 0.94], ddof=1) + np.var([0.80, 0.81], ddof=1)) / 3
    assert spread.sd == pytest.approx(np.sqrt(pooled))
    assert (spread.seeds, spread.candidates, spread.picture_margin) == (5, 3, None)


def test_a_study_that_is_settled_round_by_round_is_planned_at_its_own_level() -> None:
    people = [contender("a", test=[0.90, 0.92, 0.94]), contender("b", test=[0.80, 0.81])]
    assert spread_of(judge(people)).alpha == ALPHA
    assert spread_of(judge(people, sequential=True)).alpha == ALPHA_OF_A_LOOK
    stricter = plan_seeds(0.003, alpha=ALPHA_OF_A_LOOK)
    assert stricter.alpha == ALPHA_OF_A_LOOK
    assert dict(stricter.seen)[5] > dict(plan_seeds(0.003).seen)[5]


def test_what_pictures_leave_open_shrinks_with_their_number_and_not_with_seeds() -> None:
    def margin(seeds: int, pictures: int) -> float:
        generator = np.random.default_rng(0)
        people = [
            contender(name, bits(0.9, seeds=seeds, seed=place, pictures=pictures)[:, generator.permutation(pictures)])
            for place, name in enumerate("ab")
        ]
        found = spread_of(judge(people)).picture_margin
        assert found is not None
        return found

    assert margin(10, 1000) == pytest.approx(margin(3, 1000), rel=0.05)
    assert margin(3, 4000) == pytest.approx(margin(3, 1000) / 2, rel=0.1)


@pytest.mark.parametrize("test", [[0.5], [0.5, 0.5]])
def test_without_two_seeds_that_differ_there_is_no_spread(test: list[float]) -> None:
    with pytest.raises(StudyError, match="give it with --sd"):
        spread_of(judge([contender("a", test=test)]))
