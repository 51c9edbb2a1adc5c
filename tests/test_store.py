"""The results database: what goes in comes out, replays change nothing, and damage is told."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff import store as store_module
from bakeoff.errors import StudyError
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus
from bakeoff.store import Store
from tests.audit.health_evidence import health
from tests.synthetic import Run, fill, planned

NUMERICS = Numerics(device="cpu", threads=2, channels_last=True, micro_batch=64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def test_what_was_recorded_comes_back(path: Path) -> None:
    run = Run(candidate="alpha", changes=("first stride 2 -> 1",))
    with Store.create_or_open(path) as store:
        fill(store, [run])
        store.set_numerics(run.id, NUMERICS)
    with Store.create_or_open(path) as store:
        assert store.numerics(run.id) == NUMERICS
        assert store.statuses() == {run.id: RunStatus.DONE}
        row = store.runs_frame().iloc[0]
        records = store.epochs_frame().to_dict("records")
    assert row["spec"]["candidate"]["recipe"]["optimizer"] == "adam"
    assert row["changes"] == ["first stride 2 -> 1"]
    assert (row["parameters"], row["test_accuracy"]) == (11_173_962, 0.55)
    assert [EpochRecord(**{k: v for k, v in one.items() if k != "run_id"}) for one in records] == run.records()


def test_a_run_that_has_not_started_has_no_numerics(path: Path) -> None:
    with Store.create_or_open(path) as store:
        store.add_runs([planned(Run())])
        assert store.numerics("alpha/0") is None
        assert store.statuses() == {"alpha/0": RunStatus.PENDING}


def test_replaying_a_whole_history_changes_nothing(path: Path) -> None:
    runs = [Run(seed=0), Run(seed=1, status=RunStatus.DIVERGED, test=None, message="step 7")]
    with Store.create_or_open(path) as store:
        fill(store, runs)
        before = store.epochs_frame(), store.runs_frame().drop(columns=["started_at", "finished_at"])
        fill(store, runs)
        after = store.epochs_frame(), store.runs_frame().drop(columns=["started_at", "finished_at"])
    for mine, theirs in zip(before, after, strict=True):
        assert mine.equals(theirs)


def test_planning_again_keeps_what_runs_have_become(path: Path) -> None:
    with Store.create_or_open(path) as store:
        fill(store, [Run()])
        store.add_runs([planned(Run()), planned(Run(seed=1))])
        assert store.statuses() == {"alpha/0": RunStatus.DONE, "alpha/1": RunStatus.PENDING}


def test_an_epoch_recorded_again_takes_the_place_of_the_first(path: Path) -> None:
    record = Run().records()[0]
    with Store.create_or_open(path) as store:
        store.add_runs([planned(Run())])
        store.record_epoch("alpha/0", record)
        store.record_epoch("alpha/0", dataclasses.replace(record, train_loss=0.125))
        assert store.epochs_frame()["train_loss"].tolist() == [0.125]


def test_a_record_of_an_unknown_run_is_refused(path: Path) -> None:
    with Store.create_or_open(path) as store:
        with pytest.raises(KeyError, match="nobody"):
            store.mark("nobody", RunStatus.RUNNING)
        with pytest.raises(StudyError):
            store.record_epoch("nobody", Run().records()[0])


def test_a_failed_run_that_succeeds_later_forgets_its_failure(path: Path) -> None:
    with Store.create_or_open(path) as store:
        fill(store, [Run(status=RunStatus.FAILED, message="out of luck")])
        assert store.runs_frame()["traceback"].tolist() == ["Traceback ..."]
        fill(store, [Run()])
        row = store.runs_frame().iloc[0]
    assert (row["status"], row["message"], row["traceback"]) == ("done", None, None)


def test_columns_of_numbers_are_numbers_even_when_nothing_is_in_them(path: Path) -> None:
    with Store.create_or_open(path) as store:
        assert store.runs_frame()["test_accuracy"].dtype == "float64"
        fill(store, [Run(val=None, status=RunStatus.RUNNING)])
        assert store.runs_frame()["test_accuracy"].dtype == "float64"
        assert store.epochs_frame()["val_accuracy"].dtype == "float64"
        assert store.epochs_frame()["val_accuracy"].isna().all()


@settings(max_examples=15)
@given(loss=st.floats(width=64), accuracy=st.floats(0, 1))
def test_any_loss_can_be_stored(tmp_path_factory: pytest.TempPathFactory, loss: float, accuracy: float) -> None:
    record = dataclasses.replace(Run().records()[0], train_loss=loss, train_accuracy=accuracy)
    with Store.create_or_open(tmp_path_factory.mktemp("losses") / "results.sqlite") as store:
        store.add_runs([planned(Run())])
        store.record_epoch("alpha/0", record)
        row = store.epochs_frame().iloc[0]
    assert row["train_accuracy"] == accuracy
    assert row["train_loss"] == loss or (loss != loss and row["train_loss"] != row["train_loss"])


def test_hostile_text_is_stored_as_it_is(path: Path) -> None:
    label = "'); DROP TABLE runs; --\x1b[31m\u202e[bold]"
    with Store.create_or_open(path) as store:
        fill(store, [Run(candidate=label)])
        assert store.runs_frame()["label"].tolist() == [label]


# Reading while another writes


def test_a_reader_sees_what_the_writer_has_written_so_far(path: Path) -> None:
    with Store.create_or_open(path) as writer, Store.open_read_only(path) as reader:
        writer.add_runs([planned(Run())])
        assert reader.statuses() == {"alpha/0": RunStatus.PENDING}
        writer.mark("alpha/0", RunStatus.RUNNING)
        assert reader.statuses() == {"alpha/0": RunStatus.RUNNING}


def test_the_first_start_of_a_run_stays_however_often_it_is_resumed(path: Path) -> None:
    with Store.create_or_open(path) as store:
        store.add_runs([planned(Run())])
        store.mark("alpha/0", RunStatus.RUNNING)
        first = store.runs_frame()["started_at"].tolist()
        store.mark("alpha/0", RunStatus.PENDING)
        store.mark("alpha/0", RunStatus.RUNNING)
        assert store.runs_frame()["started_at"].tolist() == first
        assert first[0] is not None


def test_a_reader_cannot_write(path: Path) -> None:
    with Store.create_or_open(path) as store:
        fill(store, [Run()])
    with Store.open_read_only(path) as store, pytest.raises(StudyError, match="must be writable"):
        store.mark("alpha/0", RunStatus.FAILED)


def test_a_killed_writer_loses_nothing_it_had_recorded(path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.synthetic import *\n"
        "store = Store.create_or_open(Path(sys.argv[1])); fill(store, [Run()]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=False, cwd=root)
    with Store.open_read_only(path) as store:
        assert store.statuses() == {"alpha/0": RunStatus.DONE}
        assert len(store.epochs_frame()) == 3


def test_on_a_medium_that_takes_no_writes_the_log_beside_the_database_is_read_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.create_or_open(path).close()
    # A second connection, and a driver that has not ended, keep the log from being merged.
    with closing(sqlite3.connect(path)) as held, Store.create_or_open(path) as store:
        held.execute("SELECT * FROM meta").fetchall()
        fill(store, [Run()])
        assert path.with_name("results.sqlite-wal").stat().st_size > 0
        connect = sqlite3.connect

        class Refusing(sqlite3.Connection):
            def execute(self, *args: object) -> sqlite3.Cursor:
                raise sqlite3.OperationalError("unable to open database file")  # what SQLite says there

        def refuse(database: str | Path, *args: object, **kwargs: object) -> sqlite3.Connection:
            factory = Refusing if "mode=ro" in str(database) else sqlite3.Connection
            return connect(database, *args, **kwargs | {"factory": factory})

        monkeypatch.setattr(sqlite3, "connect", refuse)
        before = sorted(entry.name for entry in path.parent.iterdir())
        with Store.open_read_only(path) as reader:
            assert reader.statuses() == {"alpha/0": RunStatus.DONE}
        assert sorted(entry.name for entry in path.parent.iterdir()) == before


def test_the_one_file_holds_all_once_the_driver_has_ended_though_others_read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as reader:
        with Store.create_or_open(path) as store:
            reader.execute("SELECT * FROM meta").fetchall()
            fill(store, [Run()])
        copy = path.with_name("copy.sqlite")
        copy.write_bytes(path.read_bytes())
        with Store.open_read_only(copy) as store:
            assert len(store.epochs_frame()) == 3


# Damage


def test_a_study_without_a_database_says_how_to_start_it(path: Path) -> None:
    with pytest.raises(StudyError, match="bakeoff run"):
        Store.open_read_only(path)


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_bytes(b"my thesis, the only copy " * 100)
    for opening in (Store.create_or_open, Store.open_read_only):
        with pytest.raises(StudyError, match=r"results\.sqlite must be a whole results database"):
            opening(path)
    assert path.read_bytes() == b"my thesis, the only copy " * 100


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_truncated_database_is_refused_with_a_remedy(path: Path, kept: float) -> None:
    with Store.create_or_open(path) as store:
        fill(store, [Run(seed=seed) for seed in range(20)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(StudyError, match="move it away: the checkpoints"):
        Store.create_or_open(path)


def test_an_empty_file_is_called_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(StudyError, match=r"is empty; `bakeoff run .*` fills it, from the checkpoints beside it"):
        Store.open_read_only(path)


def test_an_empty_file_becomes_a_new_database(path: Path) -> None:
    path.touch()
    with Store.create_or_open(path) as store:
        assert store.statuses() == {}


def test_a_database_of_another_version_names_both_versions(path: Path) -> None:
    Store.create_or_open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99'")
    for opening in (Store.create_or_open, Store.open_read_only):
        with pytest.raises(StudyError, match=f"version {store_module.SCHEMA}, but is of version 99; use the bakeoff"):
            opening(path)


def former(path: Path) -> None:
    """Make a database as version 1 wrote it."""
    with Store.create_or_open(path) as store:
        fill(store, [Run()])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE runs DROP COLUMN health")
        connection.execute("DROP TABLE costs")
        connection.execute("UPDATE meta SET value = '1'")


def test_a_database_of_version_1_is_read_as_it_is(path: Path) -> None:
    former(path)
    before = path.read_bytes()
    with Store.open_read_only(path) as store:
        assert store.runs_frame()["health"].tolist() == [None]
        assert store.costs() == {}
    assert path.read_bytes() == before


def test_a_database_of_version_1_is_upgraded_when_written_to(path: Path) -> None:
    former(path)
    with Store.create_or_open(path) as store:
        store.set_health("alpha/0", dict(health()))
        store.set_costs("alpha", {"latency": 0.1})
    with Store.open_read_only(path) as store:
        assert store.runs_frame()["health"].tolist() == [health()]
        assert store.costs() == {"alpha": {"latency": 0.1}}
        assert store.statuses() == {"alpha/0": RunStatus.DONE}


def test_costs_measured_again_replace_those_before(path: Path) -> None:
    with Store.create_or_open(path) as store:
        store.set_costs("alpha", {"latency": 0.1})
        store.set_costs("alpha", {"latency": 0.2})
        assert store.costs() == {"alpha": {"latency": 0.2}}


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE passwords (secret TEXT)")
    for opening in (Store.create_or_open, Store.open_read_only):
        with pytest.raises(StudyError, match="another program's"):
            opening(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("passwords",)]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="must be writable, but unable to open"):
        Store.create_or_open(tmp_path / "missing" / "results.sqlite")


def test_a_folder_that_goes_while_it_is_read_is_told_without_talk_of_writing(path: Path) -> None:
    Store.create_or_open(path).close()
    with Store.open_read_only(path) as store:
        path.unlink()
        with pytest.raises(
            StudyError, match=r"must be readable, but unable to open .*; see whether the study's folder"
        ) as told:
            store.statuses()
    assert "--out" not in str(told.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_told(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StudyError, match="must be writable"):
            Store.create_or_open(path)
    finally:
        path.parent.chmod(0o700)


def test_a_full_disk_is_told_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.create_or_open(path) as store:
        fill(store, [Run()])
    connect = store_module._connect_to_write

    def limited(where: Path) -> sqlite3.Connection:
        connection = connect(where)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite keeps the present size and then says: full
        return connection

    monkeypatch.setattr(store_module, "_connect_to_write", limited)
    with Store.create_or_open(path) as store:
        with pytest.raises(StudyError, match="needs space on its disk"):
            store.add_runs(planned(Run(candidate="x" * 3000, seed=seed)) for seed in range(100))
        assert store.statuses() == {"alpha/0": RunStatus.DONE}


def test_a_database_held_by_another_program_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **kwargs | {"timeout": 0.05}))
    with Store.create_or_open(path) as store, closing(connect(path)) as other:
        store.add_runs([planned(Run())])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StudyError, match="another program holds it"):
            store.finish(
                "alpha/0",
                RunResult(status=RunStatus.DONE, test_loss=1.0, test_accuracy=0.5, seconds_test=1.0, message=None),
            )
