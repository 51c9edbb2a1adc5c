"""Who is named first in a figure, and that no name lies on anything."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bakeoff.report.naming import Box, order_of_names, placed

AREA = Box(0, 0, 100, 100)

points = st.tuples(st.floats(0, 100), st.floats(0, 100))


def test_the_winner_comes_first_then_the_best_for_their_cost_then_the_rest_of_the_front() -> None:
    costs = {"cheap": 1.0, "middle": 2.0, "no better": 3.0, "best": 4.0, "pointless": 5.0}
    accuracy = {"cheap": 0.7, "middle": 0.8, "no better": 0.79, "best": 0.9, "pointless": 0.85}
    front = ("cheap", "middle", "no better", "best")
    assert order_of_names(costs, accuracy, front) == ("best", "middle", "cheap", "no better", "pointless")
    assert order_of_names(costs, accuracy, front, "no better")[0] == "no better"


def test_who_has_no_cost_is_not_named() -> None:
    assert order_of_names({"a": 1.0}, {"a": 0.5, "b": 0.9}, ("a", "b"), "b") == ("a",)


def test_a_name_stands_to_the_right_where_that_is_free() -> None:
    assert placed([(50, 50)], {0: (20, 10)}, [], AREA, gap=2) == {0: Box(52, 45, 72, 55)}


def test_at_the_right_edge_it_stands_to_the_left() -> None:
    assert placed([(95, 50)], {0: (20, 10)}, [], AREA, gap=2) == {0: Box(73, 45, 93, 55)}


def test_who_comes_first_has_the_place_and_who_has_none_is_left_out() -> None:
    crowd = [(50.0, 50.0)] * 9
    found = placed(crowd, dict.fromkeys(range(8, -1, -1), (40.0, 30.0)), [], AREA, gap=1)
    assert 8 in found
    assert len(found) < 9


@given(st.lists(points, max_size=30), st.floats(1, 40), st.floats(1, 20))
def test_names_lie_inside_and_neither_on_each_other_nor_on_points(
    at: list[tuple[float, float]], width: float, height: float
) -> None:
    taken = [Box(x - 1, y - 1, x + 1, y + 1) for x, y in at]
    boxes = placed(at, dict.fromkeys(range(len(at)), (width, height)), taken, AREA, gap=2)
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.meets(other)
    for box in boxes.values():
        assert box.within(AREA)
        assert not any(box.meets(mark) for mark in taken)
