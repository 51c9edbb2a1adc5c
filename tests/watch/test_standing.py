"""How far a study has come, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bakeoff.records import RunStatus
from bakeoff.spec import StudySpec
from bakeoff.store import Store
from bakeoff.watch.standing import StudyStanding, rows_of, standing, summary, told
from tests.synthetic import Run, fill, planned
from tests.watch.browsing import FACTS
from tests.watch.writer import record


def row(run: str, *, status: RunStatus = RunStatus.PENDING, done: int = 0, seconds: float = 0.0) -> dict[str, object]:
    candidate, seed = run.split("/")
    return {
        "run_id": run, "candidate_id": candidate, "label": candidate, "seed": int(seed), "status": status.value,
        "message": None, "epochs": 10, "done": done, "seconds": seconds,
    }  # fmt: skip


def stand(
    *rows: dict[str, object], workers: int | None = None, silent_for: float = 0.0, **since: float
) -> StudyStanding:
    heard = {key.replace("_", "/"): value for key, value in since.items()}
    return standing("s", pd.DataFrame(rows), workers=workers, since=heard, silent_for=silent_for)


def test_before_the_first_record_no_time_is_told() -> None:
    begun = stand(row("a/0", status=RunStatus.RUNNING), row("a/1"))
    assert begun.seconds_left is None
    assert summary(begun) == "0 of 2 runs done, 1 in training"


def test_time_left_is_the_epochs_left_at_the_pace_so_far() -> None:
    one = stand(row("a/0", status=RunStatus.RUNNING, done=4, seconds=8.0))
    assert one.runs[0].seconds_an_epoch == 2.0
    assert one.seconds_left == 12.0


def test_what_has_passed_of_an_epoch_is_taken_off_up_to_the_whole_epoch() -> None:
    assert stand(row("a/0", status=RunStatus.RUNNING, done=4, seconds=8.0), a_0=1.5).seconds_left == 10.5
    assert stand(row("a/0", status=RunStatus.RUNNING, done=4, seconds=8.0), a_0=99.0).seconds_left == 10.0


def test_runs_go_to_the_worker_that_is_free_first() -> None:
    rows = (
        row("a/0", status=RunStatus.RUNNING, done=5, seconds=5.0),  # 5 s left
        row("a/1", status=RunStatus.RUNNING, done=9, seconds=9.0),  # 1 s left
        row("a/2"),  # 10 s, behind the second: until 11
        row("a/3"),  # 10 s, behind the first: until 15
    )
    assert stand(*rows).seconds_left == 15.0
    assert stand(*rows, workers=1).seconds_left == 26.0


def test_a_candidate_without_records_is_taken_to_be_as_fast_as_the_others_on_average() -> None:
    rows = (
        row("a/0", status=RunStatus.DONE, done=10, seconds=10.0),
        row("b/0", status=RunStatus.DONE, done=10, seconds=30.0),
    )
    assert stand(*rows, row("c/0")).seconds_left == 20.0


def test_what_ended_early_takes_no_more_time_and_counts_in_full() -> None:
    ended = stand(
        row("a/0", status=RunStatus.DIVERGED, done=1, seconds=1.0),
        row("a/1", status=RunStatus.FAILED, done=2, seconds=2.0),
        row("a/2", status=RunStatus.DONE, done=10, seconds=10.0),
    )
    assert (ended.share, ended.seconds_left) == (1.0, 0.0)
    assert summary(ended) == "1 of 3 runs done, 1 diverged, 1 failed: every run has ended"


def test_a_study_that_was_stopped_says_what_is_left_of_it() -> None:
    stopped = stand(row("a/0", status=RunStatus.DONE, done=10, seconds=20.0), row("a/1", done=5, seconds=10.0))
    assert summary(stopped) == "1 of 2 runs done, none in training now, about 10 s left of training"


def test_silence_is_doubted_only_beyond_what_epochs_take() -> None:
    running = row("a/0", status=RunStatus.RUNNING, done=2, seconds=100.0)
    assert stand(running, silent_for=149.0).silent_for is None
    assert stand(running, silent_for=151.0).silent_for == 151.0
    assert "an epoch takes about 50 s" in told(stand(running, silent_for=151.0))["doubt"]
    assert (
        stand(row("a/0", status=RunStatus.RUNNING), silent_for=1e6).silent_for is None
    )  # its first epoch may take days
    assert stand(row("a/0", status=RunStatus.DONE, done=10, seconds=1.0), silent_for=1e6).silent_for is None


def test_a_planned_study_stands_at_nothing() -> None:
    spec = StudySpec.from_mapping({"seeds": [0, 1], "recipe": {"epochs": 7}}).resolve(FACTS)
    begun = standing("s", rows_of(spec), workers=None, since={}, silent_for=0.0)
    assert {run.epochs for run in begun.runs} == {7}
    assert [run.run_id for run in begun.runs] == [run.id for run in spec.runs()]
    assert begun.share == 0.0


def test_the_database_tells_what_the_records_say(tmp_path: Path) -> None:
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        fill(store, [Run(seconds=10.0)])
        store.add_runs([planned(Run()), planned(Run(seed=1))])
        store.mark("alpha/1", RunStatus.RUNNING)
        store.record_epoch("alpha/1", record(1, seconds=4.0))
        rows = store.progress_frame()
        epochs = store.epochs_frame()
    took = epochs.assign(all=epochs[["seconds_train", "seconds_evaluate", "seconds_wait"]].sum(axis=1))
    assert list(rows["run_id"]) == ["alpha/0", "alpha/1"]
    assert list(rows["epochs"]) == [3, 3]
    assert list(rows["done"]) == [3, 1]
    assert list(rows["seconds"]) == pytest.approx(list(took.groupby("run_id")["all"].sum()))


def test_a_run_whose_epochs_are_all_recorded_is_being_tested() -> None:
    (run,) = told(stand(row("a/0", status=RunStatus.RUNNING, done=10, seconds=1.0)))["running"]
    assert run == {"name": "a seed 0", "share": 1.0, "words": "all 10 epochs, being tested"}
