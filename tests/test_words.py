"""Numbers and hostile text as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.words import brief, class_name, clean, count, duration, percent, size, with_spread


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.5, "9.5 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h"),
        (3660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_durations_have_two_units(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, "1 k"),
        (37_000_000, "37 M"),
        (555_422_720, "555 M"),
        (11_173_962, "11.2 M"),
        (99_960_000, "100 M"),
        (999_999, "1 M"),
        (2_310_000_000, "2.31 G"),
        (math.nan, "-"),
    ],
)
def test_large_numbers_have_three_digits_and_a_unit(number: float, words: str) -> None:
    assert count(number) == words


def test_a_spread_is_shown_where_there_is_one() -> None:
    assert with_spread(0.87823, 0.00417) == "87.82 ± 0.42 %"
    assert with_spread(0.87823, math.nan) == "87.82 %"
    assert with_spread(math.nan, math.nan) == "-"
    assert percent(None) == "-"


def test_bytes_have_a_unit() -> None:
    assert [size(number) for number in (12, 3_400, 5e6, 7.25e9, None)] == [
        "12 bytes",
        "3.4 kB",
        "5.0 MB",
        "7.2 GB",
        "-",
    ]


def test_short_times_have_three_digits_in_the_unit_that_suits_them() -> None:
    shown = [brief(seconds) for seconds in (0.0000852, 0.000999, 0.0009999, 0.00431, 0.0999, 0.5, 1.0, 12.34, 2000.0)]
    assert shown == ["85.2 µs", "999 µs", "1.00 ms", "4.31 ms", "99.9 ms", "500 ms", "1.00 s", "12.3 s", "2,000 s"]
    assert brief(None) == brief(math.nan) == "-"


def test_escape_sequences_and_direction_marks_are_shown_not_obeyed() -> None:
    assert clean("cat\x1b[31m\u202edog\r\x07") == r"cat\x1b[31m\u202edog\r\x07"


@given(st.text())
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert all(one.isprintable() or one == "\n" for one in clean(text))


@given(st.text(st.characters(categories=("L", "N", "P"))))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


@given(st.floats(min_value=0) | st.just(math.nan))
def test_every_number_can_be_said(number: float) -> None:
    assert duration(number)
    assert count(number)


def test_a_class_whose_name_is_a_number_is_called_a_class() -> None:
    assert [class_name(name) for name in (9, "9", "cat", "class 9", "3D", "")] == [
        "class 9",
        "class 9",
        "cat",
        "class 9",
        "3D",
        "",
    ]
