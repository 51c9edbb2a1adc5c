"""How sure each candidate's accuracies are, beside the ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.statistics.intervals import Interval, accuracy_interval, seed_interval

INTERVALS = ("val_accuracy_low", "val_accuracy_high", "test_accuracy_low", "test_accuracy_high")


def with_intervals(table: pd.DataFrame, contenders: Sequence[Contender]) -> pd.DataFrame:
    """Return the ranking with the 95 % intervals of both accuracies, NaN where there is none of all finished seeds.

    That of the validation accuracy is for new seeds on the same pictures, and takes two finished seeds; that of the test
    accuracy is for new seeds on new pictures (with one seed: for this network on new pictures), and takes predictions.

    Args:
        table: As `rank` gives it.
        contenders: As `contenders` gives them.
    """
    known = {(one.candidate_id, len(one.seeds)): _bounds(one) for one in contenders}
    none = (math.nan,) * len(INTERVALS)
    rows = [known.get(finished, none) for finished in zip(table["candidate_id"], table["done"], strict=True)]
    columns = zip(*rows, strict=True) if rows else ((),) * len(INTERVALS)
    return table.assign(
        **{name: pd.Series(column, dtype="float64") for name, column in zip(INTERVALS, columns, strict=True)}
    )


def _bounds(one: Contender) -> tuple[float, ...]:
    validation = one.validation[np.isfinite(one.validation)]
    test = accuracy_interval(one.correct) if one.correct.size > 1 else None
    return (*_ends(seed_interval(validation)), *_ends(test))


def _ends(interval: Interval | None) -> tuple[float, float]:
    return (math.nan, math.nan) if interval is None else (interval.low, interval.high)
