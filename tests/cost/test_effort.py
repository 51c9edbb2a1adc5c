"""Spans end when they should, and the protocol's least numbers are kept in any number of rounds."""

from __future__ import annotations

import pytest

from bakeoff.cost.effort import FULL, QUICK, Span


def test_a_span_needs_its_calls_and_its_seconds_unless_it_takes_too_long() -> None:
    span = Span(calls=10, seconds=2.0, most_seconds=60.0)
    assert not span.over(9, 3.0)
    assert not span.over(100, 1.9)
    assert span.over(10, 2.0)
    assert span.over(1, 60.0)
    assert not span.over(0, 100.0), "one call is always made"


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 7, 40])
def test_the_full_protocol_has_its_calls_and_seconds_in_any_number_of_rounds(rounds: int) -> None:
    effort = FULL.in_rounds(rounds)
    assert effort.rounds * effort.latency.calls >= 200
    assert effort.rounds * effort.latency.seconds >= 1.999
    assert effort.warm_up.calls >= 10
    assert effort.warm_up.seconds >= 0.5
    assert effort.train_warm_up >= 10
    assert effort.rounds * effort.train.calls >= 40
    assert effort.later_warm_up.calls >= 2


def test_the_quick_protocol_bounds_the_95th_percentile() -> None:
    assert QUICK.rounds * QUICK.latency.calls >= 72
