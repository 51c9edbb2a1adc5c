"""Time to accuracy, with misses as infinity."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.analysis.ranking import rank
from bakeoff.analysis.time_to_accuracy import COLUMNS, time_to_accuracy, usual_targets
from bakeoff.errors import SpecError
from bakeoff.records import RunStatus
from tests.synthetic import Run, frames


def times(tmp_path: Path, *runs: Run, targets: tuple[float, ...] = (0.5,)) -> pd.DataFrame:
    tmp_path.mkdir(exist_ok=True)
    return time_to_accuracy(*frames(tmp_path, *runs), targets)


def test_the_median_is_over_seeds_and_counts_training_and_waiting(tmp_path: Path) -> None:
    # Each epoch takes 10 s and 2.5 s of waiting.
    runs = [
        Run(seed=0, val=(0.5, 0.6, 0.7)),
        Run(seed=1, val=(0.4, 0.5, 0.6)),
        Run(seed=2, val=(0.1, 0.2, 0.9)),
    ]
    row = times(tmp_path, *runs).iloc[0]
    assert (row["seconds"], row["epoch"], row["hits"], row["seeds"]) == (25.0, 2, 3, 3)


def test_a_seed_that_never_gets_there_counts_as_infinity(tmp_path: Path) -> None:
    runs = [Run(seed=seed, val=(0.6, 0.6, 0.6)) for seed in range(3)] + [Run(seed=3, val=(0.1, 0.1, 0.1))]
    row = times(tmp_path, *runs).iloc[0]
    assert (row["seconds"], row["hits"], row["seeds"]) == (12.5, 3, 4)
    # The successful ones alone would say 12.5 seconds here too.
    half = [Run(seed=0, val=(0.6, 0.6, 0.6)), *(Run(seed=seed, val=(0.1, 0.1, 0.1)) for seed in (1, 2))]
    row = times(tmp_path / "half", *half).iloc[0]
    assert math.isinf(row["seconds"])
    assert (row["hits"], row["seeds"]) == (1, 3)


def test_seeds_that_ended_early_are_misses_and_those_under_way_are_not_counted_yet(tmp_path: Path) -> None:
    runs = [
        Run(seed=0, val=(0.6, 0.6, 0.6)),
        Run(seed=1, status=RunStatus.DIVERGED, val=(0.1, 0.1, 0.1), test=None, message="nan"),
        Run(seed=2, status=RunStatus.FAILED, val=(0.1, 0.1, 0.1), message="no memory"),
        Run(seed=3, status=RunStatus.RUNNING, val=(0.1, 0.1, 0.1)),
        Run(seed=4, status=RunStatus.PENDING),
        Run(seed=5, status=RunStatus.RUNNING, val=(0.6, 0.6, 0.6)),
    ]
    row = times(tmp_path, *runs).iloc[0]
    assert (row["hits"], row["seeds"]) == (2, 4)


def test_each_target_has_a_row_and_may_change_who_is_first(tmp_path: Path) -> None:
    runs = [Run(candidate="early", val=(0.5, 0.5, 0.5)), Run(candidate="late", val=(0.1, 0.2, 0.8))]
    table = times(tmp_path, *runs, targets=(0.8, 0.5))
    assert list(table.columns) == COLUMNS
    assert table["target"].tolist() == [0.5, 0.8, 0.5, 0.8]
    assert table["seconds"].tolist() == [12.5, math.inf, 37.5, 37.5]


def test_without_a_validation_split_or_a_run_there_is_nothing_to_time(tmp_path: Path) -> None:
    assert times(tmp_path, Run(val=None)).empty
    assert times(tmp_path / "none").empty
    assert times(tmp_path / "pending", Run(status=RunStatus.PENDING)).empty


@pytest.mark.parametrize("target", [0.0, 1.2, 80])
def test_a_target_is_a_share(tmp_path: Path, target: float) -> None:
    with pytest.raises(SpecError, match=r"80 % is 0\.8"):
        times(tmp_path, Run(), targets=(target,))


def test_the_usual_targets_lie_below_the_best_candidate(tmp_path: Path) -> None:
    tables = frames(tmp_path, Run(candidate="a", val=(0.1, 0.2, 0.8)), Run(candidate="b", val=(0.1, 0.2, 0.3)))
    assert usual_targets(rank(*tables)) == [0.72, 0.76, 0.792]


def test_without_validation_there_are_no_usual_targets(tmp_path: Path) -> None:
    assert usual_targets(rank(*frames(tmp_path, Run(val=None)))) == []


@pytest.mark.parametrize(("best", "targets"), [(0.0, []), (0.0004, []), (0.00052, [0.001])])
def test_no_usual_target_is_0_where_next_to_nothing_is_right(tmp_path: Path, best: float, targets: list[float]) -> None:
    tables = frames(tmp_path, Run(train=(0.5, 0.5), val=(0.0, best)))
    assert usual_targets(rank(*tables)) == targets
    assert len(time_to_accuracy(*tables, usual_targets(rank(*tables)))) == len(targets)
