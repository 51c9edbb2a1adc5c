"""The luck of the best, against published figures and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.analysis.statistics.selection import expected_best, expected_maximum, order_at_equal_trials


@pytest.mark.parametrize(("trials", "expected"), [(1, 0.7840), (2, 0.8344), (3, 0.8550), (5, 0.8745)])
def test_the_expected_best_of_five_known_scores(trials: int, expected: float) -> None:
    assert round(expected_best([0.83, 0.61, 0.90, 0.78, 0.80], trials), 4) == expected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(1, 3))
def test_the_expected_best_is_the_mean_over_all_draws(scores: list[float], trials: int) -> None:
    draws = [max(draw) for draw in itertools.product(scores, repeat=trials)]
    assert expected_best(scores, trials) == pytest.approx(np.mean(draws))


def test_no_scores_and_no_trials_have_no_best() -> None:
    for scores, trials in (([], 1), ([0.5], 0)):
        with pytest.raises(ValueError, match="one at least"):
            expected_best(scores, trials)


@pytest.mark.parametrize(("number", "deviations"), [(1, 0.0), (2, 0.56), (5, 1.16), (10, 1.54), (100, 2.51)])
def test_the_best_of_many_equals_by_luck(number: int, deviations: float) -> None:
    assert round(expected_maximum(number), 2) == deviations


def test_more_trials_win_by_number_alone_until_they_are_made_equal() -> None:
    scores = {"many": [0.5, 0.6, 0.7, 0.8, 0.92], "few": [0.9, 0.91]}
    trials, by_best, by_expected = order_at_equal_trials(scores)
    assert trials == 2
    assert by_best == ["many", "few"]
    assert by_expected == ["few", "many"]
