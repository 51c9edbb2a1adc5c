"""Amounts as people write them, and what is said of those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import units
from bakeoff.errors import SpecError

Parser = Callable[[str, str], float]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.seconds, "10ms", 0.01), (units.seconds, "0.5 s", 0.5), (units.seconds, "10min", 600), (units.seconds, "1.5h", 5400),
        (units.seconds, "250us", 250e-6), (units.seconds, "250µs", 250e-6), (units.seconds, "10MS", 0.01), (units.seconds, "2d", 172_800),
        (units.number, "5M", 5e6), (units.number, "1.2G", 1.2e9), (units.number, "300k", 3e5), (units.number, "5000000", 5e6),
        (units.number, "5m", 5e6), (units.number, "1e6", 1e6),
        (units.memory, "2GB", 2e9), (units.memory, "512MiB", 2**29), (units.memory, "500mb", 5e8), (units.memory, "1KB", 1000),
        (units.share, "80%", 0.8), (units.share, "0.8", 0.8), (units.share, "100 %", 1.0),
        (units.points, "0.5", 0.005), (units.points, "0.5%", 0.005), (units.points, "1 point", 0.01),
    ],
)  # fmt: skip
def test_amounts_are_read(parse: Parser, text: str, value: float) -> None:
    assert parse(text, "--flag") == pytest.approx(value)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_percentage_is_the_same_share_as_its_hundredth(percent: int) -> None:
    assert units.share(f"{percent}%", "--flag") == percent / 100


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (units.seconds, "10", "'10' has no unit; known are us, ms, s, min, h, d"),
        (units.seconds, "10m", "has the unit 'm'"),
        (units.seconds, "soon", "a time with its unit, such as 10ms"),
        (units.seconds, "-1s", "such as 10ms"),
        (units.seconds, "0s", "such as 10ms"),
        (units.seconds, "1.2.3s", "but got '1.2.3s'"),
        (units.seconds, "", "but got ''"),
        (units.number, "5MB", "has the unit 'MB'; known are k, M, G, T"),
        (units.number, "nan", "such as 5M"),
        (units.number, "1e999", "such as 5M"),
        (units.memory, "2", "has no unit"),
        (units.memory, "2G", "has the unit 'G'; known are B, kB, MB, GB"),
        (units.share, "80", "at most 100 %, but got '80'; 80 % is 80% or 0.8"),
        (units.share, "120%", "at most 100 %"),
        (units.points, "half", "percentage points, such as 0.5"),
        (units.points, "200", "percentage points below 100, but got '200'"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(parse: Parser, text: str, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse(text, "--flag")
    assert str(raised.value).startswith("--flag takes ")
    assert said in str(raised.value)


@given(st.text(max_size=12))
def test_no_text_does_anything_but_parse_or_explain(text: str) -> None:
    for parse in (units.seconds, units.number, units.memory, units.share, units.points):
        try:
            assert parse(text, "--flag") > 0
        except SpecError:
            continue
