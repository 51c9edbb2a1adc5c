"""Amounts as people write them: 10ms, 5M, 2GB, 80%."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from bakeoff.errors import SpecError

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
MACS = {f"{prefix}MACs": 1000.0**power for power, prefix in enumerate(["", "k", "M", "G", "T", "P", "E"])}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
POINTS = {"": 0.01, "%": 0.01, "points": 0.01, "point": 0.01}


def seconds(text: str, what: str) -> float:
    """Return a time in seconds: 10ms, 90s, 10min, 1.5h.

    Args:
        text: As the user wrote it.
        what: What it is for, such as the flag's name, for the error.

    Raises:
        SpecError: If it is no time above 0, or has no unit.
    """
    return _amount(text, SECONDS, what, "a time with its unit, such as 10ms, 90s or 10min")


def number(text: str, what: str) -> float:
    """Return a count: 5M, 1.2G, 300k, 5000000.

    Raises:
        SpecError: If it is no number above 0, or has another unit.
    """
    return _amount(text, COUNTS, what, "a number, such as 5M, 1.2G or 300k")


def macs(text: str, what: str) -> float:
    """Return multiply-accumulates: 500 TMACs, 1.2PMACs. FLOPs are refused: some count two of them for one, some one.

    Raises:
        SpecError: If it is no number above 0, or has no or another unit.
    """
    return _amount(
        text, MACS, what, "multiply-accumulates with their unit, such as 500 TMACs (FLOPs are counted in two ways)"
    )


def memory(text: str, what: str) -> float:
    """Return a size in bytes: 500MB, 2GB, 1.5GiB.

    Raises:
        SpecError: If it is no size above 0, or has no unit.
    """
    return _amount(text, BYTES, what, "a size with its unit, such as 500MB or 2GB")


def points(text: str, what: str) -> float:
    """Return percentage points as a share: 0.5, 0.5%, 0.5points.

    Raises:
        SpecError: If it is no number above 0 and below 100.
    """
    value = _amount(text, POINTS, what, "percentage points, such as 0.5")
    if value >= 1:
        raise SpecError(f"{what} takes percentage points below 100, but got '{text}'; half a point is 0.5")
    return value


def share(text: str, what: str) -> float:
    """Return a share of 1: 80%, 0.8.

    Raises:
        SpecError: If it is neither a percentage nor a share in (0, 1].
    """
    value = _amount(text, {"": 1.0, "%": 0.01}, what, "a percentage such as 80%, or a share such as 0.8")
    if value > 1:
        raise SpecError(f"{what} takes at most 100 %, but got '{text}'; 80 % is 80% or 0.8")
    return float(f"{value:.15g}")  # 70 times 0.01 is a little more than 0.7, which whoever reaches just that would miss


def _amount(text: str, units: Mapping[str, float], what: str, expected: str) -> float:
    matched = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµ%]*)\s*", text)
    try:
        value = float(matched[1]) if matched else math.nan
    except ValueError:
        value = math.nan
    if matched is None or not 0 < value < math.inf:
        raise SpecError(f"{what} takes {expected}, but got '{text}'")
    unit = _unit(matched[2], units)
    if unit is None:
        known = ", ".join(name for name in units if name)
        lacking = "has no unit" if not matched[2] else f"has the unit '{matched[2]}'"
        raise SpecError(f"{what} takes {expected}, but '{text}' {lacking}; known are {known}")
    return value * units[unit]


def _unit(written: str, units: Mapping[str, float]) -> str | None:
    """Return the unit that was meant: as written, or the only one that differs in nothing but capitals."""
    written = written.replace("µ", "u")
    if written in units:
        return written
    alike = [unit for unit in units if unit.lower() == written.lower()]
    return alike[0] if len(alike) == 1 else None
