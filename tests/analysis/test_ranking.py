"""From runs to a ranking: means, spreads, ties, and what must be said with them."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.analysis.ranking import COLUMNS, curves, rank, ranked_by, remarks
from bakeoff.records import Numerics, RunStatus
from bakeoff.store import Store
from tests.synthetic import Run, fill, frames

DONE, DIVERGED, FAILED, PENDING = RunStatus.DONE, RunStatus.DIVERGED, RunStatus.FAILED, RunStatus.PENDING


def last(accuracy: float) -> list[float]:
    """A history that ends at an accuracy."""
    return [0.1, 0.2, accuracy]


def test_the_best_mean_validation_accuracy_comes_first(tmp_path: Path) -> None:
    runs = [
        Run(candidate="good", seed=0, val=last(0.8), test=0.1),
        Run(candidate="bad", seed=0, val=last(0.9), test=0.9),
        Run(candidate="good", seed=1, val=last(0.9), test=0.1),
        Run(candidate="bad", seed=1, val=last(0.6), test=0.9),
    ]
    table = rank(*frames(tmp_path, *runs))
    assert table["candidate"].tolist() == ["good", "bad"]
    assert table["rank"].tolist() == [1, 2]
    assert set(table["ranked_by"]) == {"val"}
    assert list(table.columns) == COLUMNS


def test_means_and_spreads_are_those_of_the_statistics_module(tmp_path: Path) -> None:
    vals, tests = [0.71, 0.74, 0.69], [0.66, 0.7, 0.68]
    runs = [Run(seed=seed, val=last(val), test=test) for seed, (val, test) in enumerate(zip(vals, tests, strict=True))]
    row = rank(*frames(tmp_path, *runs)).iloc[0]
    assert row["val_accuracy"] == pytest.approx(mean(vals))
    assert row["val_accuracy_sd"] == pytest.approx(stdev(vals))
    assert row["test_accuracy"] == pytest.approx(mean(tests))
    assert row["test_accuracy_sd"] == pytest.approx(stdev(tests))


def test_training_time_counts_waiting_but_not_evaluation(tmp_path: Path) -> None:
    # Three epochs of 10 s and 2.5 s of waiting, 640 pictures each; evaluation takes 100 s an epoch and the test 1 s.
    row = rank(*frames(tmp_path, Run(seed=0), Run(seed=1))).iloc[0]
    assert row["seconds_train"] == pytest.approx(37.5)
    assert row["images_per_second"] == pytest.approx(3 * 640 / 37.5)
    assert row["seconds_total"] == pytest.approx(2 * (37.5 + 300 + 1))


def test_equal_accuracies_share_a_rank(tmp_path: Path) -> None:
    runs = [Run(candidate=name, val=last(val)) for name, val in [("a", 0.5), ("b", 0.7), ("c", 0.7), ("d", 0.3)]]
    table = rank(*frames(tmp_path, *runs))
    assert dict(zip(table["candidate"], table["rank"], strict=True)) == {"b": 1, "c": 1, "a": 3, "d": 4}


def test_without_a_validation_split_the_test_set_ranks(tmp_path: Path) -> None:
    runs = [Run(candidate="a", val=None, test=0.6), Run(candidate="b", val=None, test=0.7)]
    tables = frames(tmp_path, *runs)
    table = rank(*tables)
    assert table["candidate"].tolist() == ["b", "a"]
    assert set(table["ranked_by"]) == {"test"}


def test_only_finished_seeds_count(tmp_path: Path) -> None:
    runs = [
        Run(seed=0, val=last(0.8)),
        Run(seed=1, val=last(0.1), status=DIVERGED, test=None, message="loss is nan at step 5"),
        Run(seed=2, val=last(0.2), status=FAILED, message="no more memory"),
        Run(seed=3, status=PENDING),
    ]
    row = rank(*frames(tmp_path, *runs)).iloc[0]
    assert row["val_accuracy"] == 0.8
    assert (row["runs"], row["done"], row["diverged"], row["failed"]) == (4, 1, 1, 1)


def test_candidates_without_a_finished_run_come_last_and_unranked(tmp_path: Path) -> None:
    runs = [
        Run(candidate="waiting", status=PENDING),
        Run(candidate="broken", status=DIVERGED, val=last(0.99), test=None, message="nan"),
        Run(candidate="sound", val=last(0.3)),
    ]
    table = rank(*frames(tmp_path, *runs))
    assert table["candidate"].tolist() == ["sound", "waiting", "broken"]
    assert table["rank"].isna().tolist() == [False, True, True]


def test_no_runs_and_no_records_give_empty_tables(tmp_path: Path) -> None:
    runs, epochs = frames(tmp_path)
    assert rank(runs, epochs).empty
    assert list(rank(runs, epochs).columns) == COLUMNS
    assert curves(runs, epochs).empty
    assert remarks(runs, epochs) == []


def test_a_study_that_has_only_begun_does_not_claim_to_be_ranked_on_the_test_set(tmp_path: Path) -> None:
    runs, epochs = frames(tmp_path, Run(status=PENDING))
    assert ranked_by(epochs) == "val"
    assert not any("test set" in one for one in remarks(runs, epochs))


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_ranks_agree_with_counting_the_better_ones(accuracies: list[float]) -> None:
    runs = pd.DataFrame(
        [
            {
                "run_id": str(place),
                "candidate_id": str(place),
                "label": str(place),
                "model": "m",
                "seed": 0,
                "status": "done",
                "test_accuracy": accuracy,
                "seconds_test": 0.0,
                "started_at": pd.Timestamp(0),
                "parameters": 1,
                "macs": 1,
                "changes": [],
            }
            for place, accuracy in enumerate(accuracies)
        ]
    )
    records = Run().records()[:1]
    epochs = pd.DataFrame(
        [
            {field: getattr(records[0], field) for field in records[0].__slots__}
            | {"run_id": str(place), "val_accuracy": accuracy}
            for place, accuracy in enumerate(accuracies)
        ]
    )
    table = rank(runs, epochs)
    for row in table.to_dict("records"):
        mine = accuracies[int(row["candidate"])]
        assert row["rank"] == 1 + sum(other > mine for other in accuracies)
    assert table["rank"].is_monotonic_increasing


def test_curves_hold_one_row_an_epoch_with_the_time_so_far(tmp_path: Path) -> None:
    table = curves(*frames(tmp_path, Run(candidate="a", seed=3, val=[0.1, 0.2, 0.3])))
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["val_accuracy"].tolist() == [0.1, 0.2, 0.3]
    assert table["seconds"].tolist() == [12.5, 25.0, 37.5]
    assert set(table["candidate"]) == {"a"}
    assert set(table["seed"]) == {3}


# How far each candidate has come


def test_a_candidate_is_planned_until_a_run_begins_and_finished_once_all_have_ended(tmp_path: Path) -> None:
    runs = [
        Run(candidate="planned", status=PENDING),
        Run(candidate="running", status=RunStatus.RUNNING, test=None),
        Run(candidate="running", seed=1, status=PENDING),
        Run(candidate="half", seed=0),
        Run(candidate="half", seed=1, status=PENDING),
        Run(candidate="finished", seed=0),
        Run(candidate="finished", seed=1, status=FAILED, message="no memory"),
        Run(candidate="stopped"),
    ]
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        fill(store, runs)
        store.mark("stopped/0", PENDING)
        table = rank(store.runs_frame(), store.epochs_frame()).set_index("candidate")
    assert table["status"].to_dict() == {
        "planned": "planned",
        "running": "begun",
        "half": "begun",
        "finished": "finished",
        "stopped": "begun",
    }
    assert table["not_begun"].to_dict() == {"planned": 1, "running": 1, "half": 1, "finished": 0, "stopped": 0}


# Remarks


def said(tmp_path: Path, *runs: Run) -> str:
    return "\n".join(remarks(*frames(tmp_path, *runs)))


def test_diverged_and_failed_runs_are_told_once_a_candidate_with_their_seeds(tmp_path: Path) -> None:
    words = said(
        tmp_path,
        Run(candidate="a", seed=0, status=DIVERGED, test=None, message="loss is nan at step 5."),
        Run(candidate="a", seed=2, status=DIVERGED, test=None, message="loss is inf at step 9"),
        Run(candidate="b", status=FAILED, message=None),
    )
    assert "a diverged with seed 0, 2: loss is nan at step 5. A lower learning rate" in words
    assert "b failed with seed 0: no reason was recorded." in words


def test_short_memory_is_told(tmp_path: Path) -> None:
    words = said(tmp_path, Run(candidate="big", micro_batch=16), Run(candidate="small"))
    assert "Memory was short for big: batches of 64 went through 16 at a time" in words
    assert "for small" not in words


def test_runs_under_other_conditions_are_told_since_their_times_cannot_be_compared(tmp_path: Path) -> None:
    runs = [Run(candidate=name, seed=seed) for name in "ab" for seed in (0, 1)]
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        fill(store, runs)
        for run in runs:
            store.set_numerics(run.id, Numerics(device="cpu", threads=2, channels_last=True, micro_batch=64))
        assert remarks(store.runs_frame(), store.epochs_frame()) == []
        store.set_numerics(runs[-1].id, Numerics(device="cuda", threads=1, channels_last=True, micro_batch=64))
        (words,) = remarks(store.runs_frame(), store.epochs_frame())
    assert "unlike conditions: 1 run with cuda and 1 thread (b seed 1), 3 runs with cpu and 2 threads." in words


def test_changed_networks_are_told_once_a_model(tmp_path: Path) -> None:
    runs = [Run(candidate=f"net {name}", model="net", changes=("stride 2 -> 1",)) for name in "ab"]
    assert said(tmp_path, *runs).count("net was fitted to small pictures: stride 2 -> 1.") == 1


def test_a_model_changed_in_one_candidate_only_is_told_by_candidate(tmp_path: Path) -> None:
    runs = [
        Run(candidate="net original", model="net"),
        Run(candidate="net small", model="net", changes=("stride 2 -> 1",)),
    ]
    assert "net small was fitted to small pictures" in said(tmp_path, *runs)


def test_losses_that_are_not_finite_leave_the_accuracy_ranking_alone(tmp_path: Path) -> None:
    runs = [Run(candidate="a", loss=[1.0, math.nan, math.inf], val=last(0.9)), Run(candidate="b", val=last(0.5))]
    assert rank(*frames(tmp_path, *runs))["candidate"].tolist() == ["a", "b"]


def test_what_is_not_to_be_ranked_stands_below_what_is_with_its_reason_and_by_accuracy(tmp_path: Path) -> None:
    accuracies = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
    tables = frames(tmp_path, *(Run(candidate=name, val=last(value)) for name, value in accuracies.items()))
    table = rank(*tables, unranked={"a": "D1", "c": "P4"})
    assert table["candidate"].tolist() == ["b", "d", "a", "c"]
    assert table["rank"].tolist()[:2] == [1, 2]
    assert table["rank"].isna().tolist() == [False, False, True, True]
    assert table["unranked"].tolist() == ["", "", "D1", "P4"]
