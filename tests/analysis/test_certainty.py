"""Intervals beside the ranking, against SciPy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bakeoff.analysis.certainty import with_intervals
from bakeoff.analysis.contenders import contenders
from bakeoff.analysis.cube import Cube
from bakeoff.analysis.ranking import rank
from bakeoff.records import RunStatus
from tests.synthetic import Run, frames


def cube(**correct: np.ndarray) -> Cube:
    pictures = len(next(iter(correct.values()), np.empty(0)))
    return Cube(
        np.arange(pictures),
        np.zeros(pictures, np.int64),
        {key.replace("_", "/"): one for key, one in correct.items()},
        {},
    )


def test_validation_has_the_t_interval_over_seeds(tmp_path: Path) -> None:
    values = (0.80, 0.84, 0.85)
    tables = frames(tmp_path, *(Run(seed=seed, val=(value,), train=(0.5,)) for seed, value in enumerate(values)))
    (row,) = with_intervals(rank(*tables), contenders(rank(*tables), *tables, cube())).to_dict("records")
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (row["val_accuracy_low"], row["val_accuracy_high"]) == pytest.approx((low, high))
    assert math.isnan(row["test_accuracy_low"])  # no predictions


def test_the_test_accuracy_of_one_seed_has_wilsons_interval(tmp_path: Path) -> None:
    right = np.arange(200) < 150
    tables = frames(tmp_path, Run(seed=0, test=0.75))
    (row,) = with_intervals(rank(*tables), contenders(rank(*tables), *tables, cube(alpha_0=right))).to_dict("records")
    expected = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert (row["test_accuracy_low"], row["test_accuracy_high"]) == pytest.approx((expected.low, expected.high))
    assert math.isnan(row["val_accuracy_low"])  # one seed


def test_without_a_finished_run_nothing_is_sure(tmp_path: Path) -> None:
    tables = frames(tmp_path, Run(status=RunStatus.FAILED, test=None))
    (row,) = with_intervals(rank(*tables), contenders(rank(*tables), *tables, cube())).to_dict("records")
    assert all(math.isnan(row[f"{split}_accuracy_{end}"]) for split in ("val", "test") for end in ("low", "high"))
    assert with_intervals(rank(*frames(tmp_path)).iloc[:0], []).empty


def test_time_to_best_ends_with_the_epoch_of_the_best_validation_accuracy(tmp_path: Path) -> None:
    runs = [  # an epoch takes 10 s and waits a quarter more
        Run(seed=0, val=(0.4, 0.6, 0.5)),
        Run(seed=1, val=(0.6, 0.5, 0.6)),
        Run(candidate="unvalidated", val=None),
    ]
    table = rank(*frames(tmp_path, *runs)).set_index("candidate")
    assert table["seconds_to_best"]["alpha"] == pytest.approx((25.0 + 12.5) / 2)
    assert math.isnan(table["seconds_to_best"]["unvalidated"])


def test_an_interval_of_some_seeds_does_not_stand_beside_the_mean_of_all(tmp_path: Path) -> None:
    right = np.arange(200) < 150
    tables = frames(tmp_path, Run(seed=0, test=0.75), Run(seed=1, test=0.75))
    (row,) = with_intervals(rank(*tables), contenders(rank(*tables), *tables, cube(alpha_0=right))).to_dict("records")
    assert math.isnan(row["test_accuracy_low"])
