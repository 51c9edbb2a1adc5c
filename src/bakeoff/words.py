"""Numbers and hostile text as people read them."""

from __future__ import annotations

import math


def clean(text: str) -> str:
    """Return text whose control characters (but line breaks) are shown instead of obeyed.

    Class, file and study names come from strangers: an escape sequence could rewrite the terminal, a direction mark
    could turn a line around.
    """
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def class_name(name: object) -> str:
    """Return a class as it is told: by its name; a number, which is no name to read, with the word before it."""
    text = str(name)
    return f"class {text}" if text.isdecimal() else text


DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection)."""


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(DANGEROUS) else text


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as a percentage with two decimals, or a dash."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"


def with_spread(share: float, spread: float) -> str:
    """Return a percentage with its standard deviation in percentage points, where there is one."""
    return percent(share) if math.isnan(spread) else f"{100 * share:.2f} ± {100 * spread:.2f} %"


def duration(seconds: float | None) -> str:
    """Return seconds as the two largest units."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below, smaller in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def count(number: float) -> str:
    """Return a number with three digits and a unit: 11.2 M, 555 M, 2.31 G."""
    if not math.isfinite(number):
        return "-"
    for size, unit in ((1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * size:  # below, it is rounded up to no more than 999 of the smaller unit
            return f"{number / size:.3g}{unit}" if number < 99.95 * size else f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def size(number: float | None) -> str:
    """Return bytes in the unit that suits them."""
    if number is None:
        return "-"
    for unit_size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit_size:
            return f"{number / unit_size:.1f} {unit}"
    return f"{number:.0f} bytes"


def speed(a_second: float) -> str:
    """Return a number a second: whole, or with three digits where it is small."""
    return f"{a_second:,.0f}" if a_second >= 100 else f"{a_second:.3g}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: 1 worker, 2 workers."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def brief(seconds: float | None) -> str:
    """Return a short time with three digits in the unit that suits it: 85.2 µs, 4.31 ms, 1.20 s."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    for unit_size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= 0.9995 * unit_size:
            return f"{_three_digits(seconds / unit_size)} {unit}"
    return f"{_three_digits(seconds / 1e-6)} µs"


def _three_digits(number: float) -> str:
    decimals = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:,.{decimals}f}"
