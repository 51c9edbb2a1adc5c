"""The results database: which runs there are, how they stand, and what each epoch produced.

One process writes, the driver; any number read. Every write is an upsert keyed by run (and epoch), so that replaying a
checkpoint's history after a crash changes nothing.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from sqlalchemy import Engine, Float, Select, Table, case, create_engine, func, inspect, select, type_coerce, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import NullType

from bakeoff.errors import StudyError
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus
from bakeoff.rows import REPAIR, Rows
from bakeoff.schema import COSTS, EPOCHS, INFLATED, META, NOTE, READABLE, RUNS, SCHEMA, metadata

LONGEST = 64 * 2**20
"""Bytes of one value that are read; no study writes a hundredth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run as the database first hears of it."""

    run_id: str
    candidate_id: str
    label: str
    """The candidate's, short."""

    model: str
    seed: int
    spec_json: str
    """The run's specification as JSON."""

    parameters: int
    macs: int
    """Multiply-accumulates of one picture's forward pass."""

    changes: tuple[str, ...]
    """What was changed in the network to fit the pictures."""


class Store:
    """A study's results database. Use `create_or_open` to write, `open_read_only` to read, and either as a context."""

    def __init__(self, engine: Engine, where: str, *, writes: bool = False) -> None:
        self._engine = engine
        self._where = where
        self._writes = writes

    @classmethod
    def create_or_open(cls, path: Path) -> Self:
        """Open a database for writing, making its tables if it is new.

        Raises:
            StudyError: If it is damaged, of another version, or cannot be written to.
        """
        engine = create_engine("sqlite://", creator=lambda: _connect_to_write(path), poolclass=NullPool)
        store = cls(engine, str(path), writes=True)
        with store._explained():
            store._check_pages()
            if not inspect(engine).get_table_names():
                with engine.begin() as connection:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 begins none for tables: all or nothing
                    metadata.create_all(connection)
                    connection.execute(insert(META).values(key="schema", value=str(SCHEMA)))
        if store._check_version() != SCHEMA:
            store._upgrade()
        return store

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open a database that another process may be writing to.

        Raises:
            StudyError: If there is none, or it is damaged or of another version.
        """
        if not path.is_file():
            raise StudyError(
                f"a study folder must hold {path.name}, but {path.parent} has none yet; start it with `bakeoff run`"
            )
        engine = create_engine("sqlite://", creator=lambda: _connect_read_only(path), poolclass=NullPool)
        store = cls(engine, str(path))
        store._check_version()
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; what is in the write-ahead log goes into it first, so that the one file holds all."""
        if self._writes:
            # SQLite does so by itself only if nobody else has the database open. Where it fails, say for want of space,
            # nothing is lost: the log stays beside the database.
            with suppress(DatabaseError), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._engine.dispose()

    def add_runs(self, runs: Iterable[PlannedRun]) -> None:
        """Add the runs that the database does not know yet."""
        with self._explained(), self._engine.begin() as connection:
            for position, run in enumerate(runs):
                values = asdict(run) | {"position": position, "changes": list(run.changes)}
                values["spec"] = json.loads(values.pop("spec_json"))
                connection.execute(insert(RUNS).values(**values).on_conflict_do_nothing())

    def statuses(self) -> dict[str, RunStatus]:
        """Return how each run stands, by id."""
        frame = self._frame(RUNS, select(RUNS.c.run_id, RUNS.c.status))
        return {str(run_id): RunStatus(status) for run_id, status in zip(frame["run_id"], frame["status"], strict=True)}

    def started(self) -> set[str]:
        """Return the ids of the runs that have ever been started, whatever became of them."""
        found = self._frame(RUNS, select(RUNS.c.run_id).where(RUNS.c.started_at.is_not(None)))
        return set(found["run_id"])

    def numerics(self, run_id: str) -> Numerics | None:
        """Return the numerics stored for a run: what decides its last bits. None if none are."""
        found = self._frame(RUNS, select(RUNS.c.run_id, RUNS.c.numerics).where(RUNS.c.run_id == run_id))
        stored = found["numerics"].iloc[0] if len(found) else None
        return None if stored is None else Numerics(**stored)

    def set_numerics(self, run_id: str, numerics: Numerics) -> None:
        """Store what decides a run's last bits."""
        self._set(run_id, numerics=asdict(numerics))

    def mark(self, run_id: str, status: RunStatus, *, message: str | None = None, traceback: str | None = None) -> None:
        """Store how a run stands now."""
        # The first start stays, however often a run is resumed.
        times = {"started_at": func.coalesce(RUNS.c.started_at, _now())} if status is RunStatus.RUNNING else {}
        self._set(run_id, status=status.value, message=message, traceback=traceback, **times)

    def record_epoch(self, run_id: str, record: EpochRecord) -> None:
        """Store an epoch's record, in place of one it has already."""
        values = {key: _finite(value) for key, value in asdict(record).items()}
        with self._explained(), self._engine.begin() as connection:
            statement = insert(EPOCHS).values(run_id=run_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["run_id", "epoch"], set_=values))

    def finish(self, run_id: str, result: RunResult) -> None:
        """Store how a run ended."""
        self._set(
            run_id,
            status=result.status.value,
            message=result.message,
            traceback=None,
            test_loss=_finite(result.test_loss),
            test_accuracy=result.test_accuracy,
            seconds_test=result.seconds_test,
            finished_at=_now(),
        )

    def set_health(self, run_id: str, health: dict[str, Any]) -> None:
        """Store what was seen of a run's training, as plain JSON values."""
        self._set(run_id, health=health)

    def set_costs(self, candidate_id: str, measured: dict[str, Any]) -> None:
        """Store what a candidate costs, as plain JSON values, in place of what was measured before."""
        values = {"measured": measured, "measured_at": _now()}
        with self._explained(), self._engine.begin() as connection:
            statement = insert(COSTS).values(candidate_id=candidate_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["candidate_id"], set_=values))

    def costs(self) -> dict[str, dict[str, Any]]:
        """Return what candidates cost, by candidate id; nothing of those not measured."""
        with self._explained(), self._engine.connect() as connection:
            if COSTS.name not in inspect(connection).get_table_names():
                return {}
        found = self._frame(COSTS, select(COSTS.c.candidate_id, COSTS.c.measured))
        return dict(zip(found["candidate_id"], found["measured"], strict=True))

    def set_note(self, key: str, text: str) -> None:
        """Keep a text about the study as a whole, in place of the one that was kept under this key before."""
        with self._explained(), self._engine.begin() as connection:
            statement = insert(META).values(key=f"{NOTE}{key}", value=text)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": text}))

    def note(self, key: str) -> str | None:
        """Return the text kept under a key, or None."""
        with self._explained(), self._engine.connect() as connection:
            query = select(META.c.value).where(META.c.key == f"{NOTE}{key}")
            text = connection.execute(query).scalar_one_or_none()
        return text if isinstance(text, str) else None

    def runs_frame(self) -> pd.DataFrame:
        """Return one row a run, in the study's order."""
        if "health" in self._columns(RUNS):
            return self._frame(RUNS, select(RUNS).order_by(RUNS.c.position))
        known = select(*(column for column in RUNS.c if column.name != "health"))
        return self._frame(RUNS, known.order_by(RUNS.c.position)).assign(health=None)

    def _columns(self, table: Table) -> set[str]:
        with self._explained(), self._engine.connect() as connection:
            return {column["name"] for column in inspect(connection).get_columns(table.name)}

    def epochs_frame(self) -> pd.DataFrame:
        """Return one row an epoch record, by run and epoch."""
        return self._frame(EPOCHS, select(EPOCHS).order_by(EPOCHS.c.run_id, EPOCHS.c.epoch))

    def progress_frame(self) -> pd.DataFrame:
        """Return one row a run, in the study's order, with how far it has come: one short read, for who watches.

        Columns: run_id, candidate_id, label, seed, status, message, epochs (planned), done (epochs recorded), and seconds
        (of those epochs: training, evaluation and waiting for data).
        """
        took = func.sum(EPOCHS.c.seconds_train + EPOCHS.c.seconds_evaluate + EPOCHS.c.seconds_wait, type_=Float)
        recorded = select(EPOCHS.c.run_id, func.count().label("done"), took.label("seconds"))
        by_run = recorded.group_by(EPOCHS.c.run_id).subquery()
        epochs = RUNS.c.spec["candidate"]["recipe"]["epochs"].as_integer()
        told = (RUNS.c.run_id, RUNS.c.candidate_id, RUNS.c.label, RUNS.c.seed, RUNS.c.status, RUNS.c.message)
        query = select(
            *told,
            case((func.json_valid(RUNS.c.spec), epochs), else_=None).label("epochs"),
            func.coalesce(by_run.c.done, 0).label("done"),
            func.coalesce(by_run.c.seconds, 0.0).label("seconds"),
        )
        joined = query.outerjoin(by_run, RUNS.c.run_id == by_run.c.run_id)
        return self._frame(RUNS, joined.order_by(RUNS.c.position))

    def _frame(self, table: Table, query: Select[Any]) -> pd.DataFrame:
        """Return what a query finds, once it is what bakeoff writes there."""
        columns = list(query.selected_columns)
        raw = query.with_only_columns(*(type_coerce(one, NullType()).label(one.key) for one in columns))
        with self._explained(), self._engine.connect() as connection:
            values = connection.execute(raw).all()
        return Rows(self._where, table.name, columns, values).frame()

    def _set(self, run_id: str, **values: Any) -> None:
        with self._explained(), self._engine.begin() as connection:
            done = connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(**values))
        if done.rowcount != 1:
            raise KeyError(f"there is no run {run_id}; add_runs comes first")

    def _check_pages(self) -> None:
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise StudyError(f"{self._where} must be a whole results database, but {found}; {REPAIR}")

    def _upgrade(self) -> None:
        """Bring the tables of version 1 up to this one."""
        with self._explained(), self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql(f"ALTER TABLE {RUNS.name} ADD COLUMN health JSON")
            COSTS.create(connection)
            connection.execute(update(META).where(META.c.key == "schema").values(value=str(SCHEMA)))

    def _check_version(self) -> int:
        with self._explained(), self._engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            if not tables:
                raise StudyError(
                    f"{self._where} must be a results database, but is empty; `bakeoff run {shlex.quote(str(Path(self._where).parent))}` "
                    "fills it, from the checkpoints beside it if there are any"
                )
            if not {META.name, RUNS.name, EPOCHS.name} <= tables or connection.exec_driver_sql(INFLATED).first():
                raise StudyError(f"{self._where} must be a results database, but is another program's; move it away")
            found = connection.execute(select(META.c.value).where(META.c.key == "schema")).scalar_one_or_none()
        if found not in READABLE:
            raise StudyError(
                f"{self._where} must be of version {SCHEMA}, but is of version {found}; use the bakeoff that wrote it"
            )
        return int(found)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the database's errors into one that says what to do."""
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig)
            if "full" in reason:
                raise StudyError(
                    f"{self._where} needs space on its disk, but none is left; free some, then run the same command"
                ) from error
            if not self._writes and ("unable to open" in reason or "permission" in reason.lower()):
                raise StudyError(
                    f"{self._where} must be readable, but {reason}; see whether the study's folder was moved, and whose it is"
                ) from error
            if "readonly" in reason or "unable to open" in reason or "permission" in reason.lower():
                raise StudyError(
                    f"{self._where} must be writable, but {reason}; choose another folder with --out"
                ) from error
            if "no such" in reason or "decode" in reason or "malformed" in reason:
                raise StudyError(f"{self._where} must be a whole results database, but {reason}; {REPAIR}") from error
            if "locked" in reason:
                raise StudyError(
                    f"{self._where} must be free, but another program holds it; end that one first"
                ) from error
            raise StudyError(
                f"{self._where} must be usable, but {reason}; check the disk, or choose another with --out"
            ) from error
        except DatabaseError as error:
            raise StudyError(f"{self._where} must be a whole results database, but {error.orig}; {REPAIR}") from error


def _connect_to_write(path: Path) -> sqlite3.Connection:
    connection = _limited(sqlite3.connect(path, timeout=10))
    try:
        # Readers go on while the driver writes. A crash may lose the last records; checkpoints hold them.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _limited(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Have a connection refuse values so large that they can only be meant to fill the memory."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a database without writing to it, also where the files that SQLite keeps beside it cannot be made."""
    connection = _limited(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10))
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or "locked" in str(error):
            raise
        return _connect_to_copy(path)
    return connection


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    """Read a database with the write-ahead log that a killed study left beside it, into memory."""
    if not path.exists():
        raise sqlite3.OperationalError(
            f"unable to open it: {path.parent if not path.parent.exists() else path} is gone"
        )
    copy = _limited(sqlite3.connect(":memory:"))
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        for name in (path.name, f"{path.name}-wal"):
            if (path.parent / name).exists():
                shutil.copyfile(path.parent / name, Path(folder) / name)
        with closing(sqlite3.connect(Path(folder) / path.name)) as original:
            original.backup(copy)
    return copy


def _finite(value: Any) -> Any:
    """Return None in place of NaN, which SQLite cannot tell from nothing either; infinity stays."""
    return None if isinstance(value, float) and value != value else value


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
