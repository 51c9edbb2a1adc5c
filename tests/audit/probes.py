"""Healthy probes for the tests of the rules; a test plants one fault in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bakeoff.audit.evidence import DataProbe, FieldOfView, InputStatistics, NetworkProbe, Overlap, ViewProbe

GEOMETRY = FieldOfView(coverage=0.86, least=0.77, window=(30.0, 30.0), scale=1.0, size=32, draws=256)
"""A random crop of 32 out of 32 pixels with padding 4."""

WHOLE = FieldOfView(coverage=1.0, least=1.0, window=(32.0, 32.0), scale=1.0, size=32, draws=1)

INPUTS = InputStatistics(mean=(-0.27, -0.25, -0.2), std=(1.1, 1.1, 1.1), largest=2.6, pictures=2048)
"""The black borders of such a crop lower the mean."""

CLEAN = InputStatistics(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), largest=2.6, pictures=2048)

VIEW = ViewProbe(train=GEOMETRY, evaluate=WHOLE, train_inputs=INPUTS, evaluate_inputs=CLEAN, fetched=128, differing=0)

NETWORK = NetworkProbe(
    map_side=4, initial_loss=2.3, repeat_difference=0.0, company_difference=1e-6, foreign_gradient=0.0, pictures=8
)

DATA = DataProbe(
    name="pictures",
    size=32,
    classes=("cat", "dog"),
    own_validation=False,
    counts={"train": (900, 900), "validation": (100, 100), "test": (500, 500)},
    constant={"train": 0, "validation": 0, "test": 0},
    overlaps=(
        Overlap(first="train", second="validation", same=0, near=0, pictures=200),
        Overlap(first="train", second="test", same=0, near=0, pictures=1000),
        Overlap(first="validation", second="test", same=0, near=0, pictures=1000),
    ),
    contradicting=0,
)


def overlapping(first: str, second: str, **found: int) -> DataProbe:
    """The healthy data but for what two splits share."""
    overlaps = tuple(
        replace(one, **found) if (one.first, one.second) == (first, second) else one for one in DATA.overlaps
    )
    return replace(DATA, overlaps=overlaps)


def inputs(of: InputStatistics, **changes: Any) -> InputStatistics:
    """Input statistics with one value for all channels where a number is given."""
    return replace(of, **{key: (value,) * 3 if key in ("mean", "std") else value for key, value in changes.items()})
