"""A results database whose fields somebody spoiled: one error that says where, whichever command reads it."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bakeoff import store as store_module
from bakeoff.errors import BakeoffError, StudyError
from bakeoff.records import Numerics
from bakeoff.store import Store
from bakeoff.study import Study
from bakeoff.study.folder import DATABASE
from bakeoff.watch.board import Board
from bakeoff.watch.monitor import Monitor
from tests.audit.health_evidence import health
from tests.costs import a_cost
from tests.stored import Network, bits, stored_study
from tests.test_reporting import command

NETWORKS = [Network(name=name, correct=bits(0.9, seeds=2, pictures=100)) for name in ("one", "other")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with something in every column."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    stored_study(folder, NETWORKS)
    with Store.create_or_open(folder / DATABASE) as store:
        numerics = Numerics(device="cpu", threads=2, channels_last=True, micro_batch=64)
        for run in store.statuses():
            store.set_numerics(run, numerics)
            store.set_health(run, dict(health()))
        for network in NETWORKS:
            store.set_costs(network.name, a_cost().to_json())
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(whole, tmp_path / "study"))


def spoil(folder: Path, table: str, column: str, value: Any) -> None:
    """Put a value into the last row of a table, which forbids none."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = ?", (table,))
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        last = f"rowid = (SELECT max(rowid) FROM {table})"
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {last}", (value,))


def read(folder: Path) -> None:
    """Read all that there is to read."""
    with Store.open_read_only(folder / DATABASE) as store:
        for table in (store.runs_frame, store.epochs_frame, store.costs, store.statuses, store.progress_frame):
            table()


def changed(plain: Any, **values: Any) -> str:
    return json.dumps(dict(plain) | values)


def test_what_bakeoff_wrote_is_read(whole: Path) -> None:
    read(whole)
    with Store.open_read_only(whole / DATABASE) as store:
        assert store.runs_frame()["health"].tolist() == [health()] * 4
        assert store.costs() == {network.name: a_cost().to_json() for network in NETWORKS}


RUN, EPOCH, COST = "run 'other/1'", "run 'other/1', epoch 1", "candidate 'other'"

SPOILED = {
    "health that is no JSON": ("runs", "health", "{", RUN, "must be JSON, and is '{'"),
    "health that is a list": ("runs", "health", "[]", RUN, "must be JSON as bakeoff writes it"),
    "health short of a figure": ("runs", "health", '{"classes": 2}', RUN, "watched_from: Field required"),
    "health with text for a number": ("runs", "health", changed(health(), accuracy="x"), RUN, "accuracy: Input should"),
    "a specification that is no JSON": ("runs", "spec", "model: alexnet", RUN, "must be JSON, and is 'model: alexnet'"),
    "a specification of nothing": ("runs", "spec", "{}", RUN, "candidate: Field required"),
    "a specification nested without end": ("runs", "spec", "[" * 100_000, RUN, "must be JSON"),
    "changes that are no list": ("runs", "changes", "{}", RUN, "should be a valid array"),
    "numerics that are a list": ("runs", "numerics", "[]", RUN, "JSON as bakeoff writes it"),
    "an accuracy that is text": ("runs", "test_accuracy", "high", RUN, "must be a number, and is 'high'"),
    "an accuracy in percent": ("runs", "test_accuracy", 93.0, RUN, "must be a share from 0 to 1, and is 93.0"),
    "an unknown status": ("runs", "status", "dome", RUN, "must be one of pending, running, done"),
    "no status": ("runs", "status", None, RUN, "must be text, and is NULL"),
    "no parameters": ("runs", "parameters", None, RUN, "must be a whole number, and is NULL"),
    "a seed that is half": ("runs", "seed", 0.5, RUN, "must be a whole number, and is 0.5"),
    "bytes for a name": ("runs", "label", b"\x00", RUN, "must be text"),
    "a time that is none": ("runs", "started_at", "yesterday", RUN, "must be a date and time, and is 'yesterday'"),
    "an id that leads out of the folder": ("runs", "run_id", "../../x", "run '../../x'", "a name of files below"),
    "an epoch 0": ("epochs", "epoch", 0, "run 'other/1', epoch 0", "must be 1 or more, and is 0"),
    "no time of training": ("epochs", "seconds_train", None, EPOCH, "must be a number, and is NULL"),
    "a negative time": ("epochs", "seconds_wait", -1.0, EPOCH, "must be 0 or more, and is -1.0"),
    "a rate without end": ("epochs", "learning_rate", math.inf, EPOCH, "must be finite, and is inf"),
    "costs that are a list": ("costs", "measured", "[]", COST, "JSON as bakeoff writes it"),
    "costs that are null": ("costs", "measured", "null", COST, "JSON as bakeoff writes it"),
    "a latency that is text": ("costs", "measured", '{"latency_p50": "1 ms"}', COST, "latency_p50: Input should"),
    "a latency of nothing": ("costs", "measured", '{"latency_p50": 0}', COST, "latency_p50: must be above 0"),
    "a latency that is no number": ("costs", "measured", '{"latency_p50": NaN}', COST, "must be JSON"),
    "a latency beyond a double": ("costs", "measured", '{"latency_p50": 1e999}', COST, "must be JSON"),
    "parameters beyond 64 bits": ("costs", "measured", '{"parameters": 99999999999999999999}', COST, "must be JSON"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_field_is_told_with_file_table_row_and_remedy(folder: Path, name: str) -> None:
    table, column, value, row, rule = SPOILED[name]
    spoil(folder, table, column, value)
    with pytest.raises(StudyError) as told:
        read(folder)
    said = str(told.value)
    assert said.startswith(
        f"{folder / DATABASE} must hold what bakeoff wrote, but in its table `{table}`, {row}, `{column}`"
    )
    assert rule in said
    assert "move it away: the checkpoints beside it hold every finished epoch" in said
    assert len(said) < 1000


@pytest.mark.parametrize("name", ["health that is no JSON", "costs that are a list", "an accuracy that is text"])
def test_every_command_that_reads_a_study_ends_with_that_error(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table, column, value, row, _ = SPOILED[name]
    spoil(folder, table, column, value)
    for words in (["report"], ["report", "--format", "csv"], ["show"], ["show", "--json"], ["audit"], ["recommend"]):
        assert command(words[0], str(folder), *words[1:]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"table `{table}`, {row}, `{column}` must be" in said


def test_watching_says_so_on_the_page(folder: Path) -> None:
    spoil(folder, "runs", "spec", "[")
    board = Board()
    monitor = Monitor(folder, board)
    for _ in range(2):  # once may be a moment's
        monitor.look()
    assert f"{RUN}, `spec.candidate.recipe.epochs` must be a whole number" in str(board.news.trouble)


def test_of_a_cost_that_an_earlier_bakeoff_wrote_what_is_there_is_read(folder: Path) -> None:
    spoil(folder, "costs", "measured", '{"latency_p50": 0.004}')
    assert list(Study(folder).costs()) == ["one"]
    assert Study(folder).table()["latency_p50"].notna().sum() == 1


def test_a_number_too_large_to_be_read_as_one_stays_text_inside_text(folder: Path) -> None:
    spoil(folder, "runs", "changes", '["99999999999999999999 and 1e999"]')
    read(folder)


# What would fill the memory


def test_a_value_that_is_too_large_is_refused_unread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(folder, "runs", "message", "x" * 2_000_000)
    monkeypatch.setattr(store_module, "LONGEST", 1_000_000)
    with pytest.raises(StudyError, match="must be a whole results database, but string or blob too big"):
        read(folder)


@pytest.mark.parametrize(
    "endless",
    [
        "CREATE VIEW epochs AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "CREATE TABLE epochs (run_id TEXT, epoch INT AS (length(zeroblob(1000000000))))",
        "CREATE VIRTUAL TABLE epochs USING fts5(run_id)",
    ],
)
def test_rows_that_nobody_stored_are_not_read(folder: Path, endless: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("DROP TABLE epochs")
        connection.execute(endless)
    with pytest.raises(StudyError, match="must be a results database, but is another program's"):
        read(folder)


def test_a_database_short_of_a_column_is_refused_with_its_remedy(folder: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("ALTER TABLE epochs DROP COLUMN images")
    with pytest.raises(BakeoffError, match=r"whole results database, but no such column: epochs\.images; move it away"):
        read(folder)


def test_a_study_file_that_no_study_has_is_not_read(folder: Path) -> None:
    with (folder / "study.toml").open("ab") as file:
        file.truncate(20_000_000)
    with pytest.raises(StudyError, match="must be a study of at most 16,777,216 bytes, but has 20,000,000"):
        Study(folder)
