"""The results database: which runs there are, how they stand, and what each epoch produced.

One process writes, the driver; any number read. Every write is an upsert keyed by run (and epoch), so that replaying a
checkpoint's history after a crash changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from bakeoff.errors import StudyError
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus

SCHEMA = 1
"""Version of the tables below."""

metadata = MetaData()
META = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))
RUNS = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("position", Integer, nullable=False),  # in the plan, so that tables come in the study's order
    Column("candidate_id", String, nullable=False),
    Column("label", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("macs", BigInteger, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("status", String, nullable=False, default=RunStatus.PENDING.value),
    Column("numerics", JSON),
    Column("message", Text),
    Column("traceback", Text),
    Column("test_loss", Float),
    Column("test_accuracy", Float),
    Column("seconds_test", Float),
    Column("started_at", DateTime),
    Column("finished_at", DateTime),
)
EPOCHS = Table(
    "epochs",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("steps", Integer, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("learning_rate", Float, nullable=False),
    Column("train_loss", Float),
    Column("train_accuracy", Float),
    Column("val_loss", Float),
    Column("val_accuracy", Float),
    Column("seconds_train", Float, nullable=False),
    Column("seconds_evaluate", Float, nullable=False),
    Column("seconds_wait", Float, nullable=False),
    Column("micro_batch", Integer, nullable=False),
)


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
    """Of one picture's forward pass."""

    changes: tuple[str, ...]
    """What was changed in the network to fit the pictures."""


class Store:
    """A study's results database. Use `create_or_open` to write, `open_read_only` to read, and either as a context."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where

    @classmethod
    def create_or_open(cls, path: Path) -> Self:
        """Open a database for writing, making its tables if it is new.

        Raises:
            StudyError: If it is damaged, of another version, or cannot be written to.
        """
        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        event.listen(engine, "connect", _prepare_connection)
        store = cls(engine, str(path))
        with store._explained():
            metadata.create_all(engine)
            with engine.begin() as connection:
                connection.execute(insert(META).values(key="schema", value=str(SCHEMA)).on_conflict_do_nothing())
        store._check_version()
        return store

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open a database that another process may be writing to.

        Raises:
            StudyError: If there is none, or it is damaged or of another version.
        """
        if not path.is_file():
            raise StudyError(f"a study folder must hold {path.name}, but {path.parent} has none yet; start the study with `bakeoff run`")
        engine = create_engine("sqlite://", creator=lambda: _connect_read_only(path), poolclass=NullPool)
        store = cls(engine, str(path))
        store._check_version()
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def add_runs(self, runs: Iterable[PlannedRun]) -> None:
        """Add the runs that the database does not know yet."""
        with self._explained(), self._engine.begin() as connection:
            for position, run in enumerate(runs):
                values = asdict(run) | {"position": position, "status": RunStatus.PENDING.value, "changes": list(run.changes)}
                values["spec"] = json.loads(values.pop("spec_json"))
                connection.execute(insert(RUNS).values(**values).on_conflict_do_nothing())

    def statuses(self) -> dict[str, RunStatus]:
        """Return how each run stands, by id."""
        with self._explained(), self._engine.connect() as connection:
            return {row.run_id: RunStatus(row.status) for row in connection.execute(select(RUNS.c.run_id, RUNS.c.status))}

    def numerics(self, run_id: str) -> Numerics | None:
        """Return what a run's last bits were first decided by, or None if it has not started."""
        with self._explained(), self._engine.connect() as connection:
            stored = connection.execute(select(RUNS.c.numerics).where(RUNS.c.run_id == run_id)).scalar_one()
        return None if stored is None else Numerics(**stored)

    def set_numerics(self, run_id: str, numerics: Numerics) -> None:
        """Store what decides a run's last bits."""
        self._set(run_id, numerics=asdict(numerics))

    def mark(self, run_id: str, status: RunStatus, *, message: str | None = None, traceback: str | None = None) -> None:
        """Store how a run stands now."""
        times = {"started_at": _now()} if status is RunStatus.RUNNING else {}
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

    def runs_frame(self) -> pd.DataFrame:
        """Return one row a run, in the study's order."""
        return self._frame(select(RUNS).order_by(RUNS.c.position))

    def epochs_frame(self) -> pd.DataFrame:
        """Return one row an epoch record, by run and epoch."""
        return self._frame(select(EPOCHS).order_by(EPOCHS.c.run_id, EPOCHS.c.epoch))

    def _frame(self, query: Any) -> pd.DataFrame:
        with self._explained(), self._engine.connect() as connection:
            rows = connection.execute(query)
            return pd.DataFrame(rows.all(), columns=list(rows.keys()))

    def _set(self, run_id: str, **values: Any) -> None:
        with self._explained(), self._engine.begin() as connection:
            connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(**values))

    def _check_version(self) -> None:
        with self._explained(), self._engine.connect() as connection:
            found = connection.execute(select(META.c.value).where(META.c.key == "schema")).scalar_one_or_none()
        if found != str(SCHEMA):
            self.close()
            raise StudyError(f"{self._where} must be of version {SCHEMA}, but is of version {found}; use the bakeoff that wrote it")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the database's errors into one that says what to do."""
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig)
            if "full" in reason:
                raise StudyError(f"{self._where} needs space on its disk, but none is left; free some, then give the same command again") from error
            if "readonly" in reason or "unable to open" in reason or "permission" in reason.lower():
                raise StudyError(f"{self._where} must be writable, but {reason}; choose another folder with --out") from error
            raise StudyError(f"{self._where} could not be used: {reason}") from error
        except DatabaseError as error:
            raise StudyError(
                f"{self._where} must be a results database, but {error.orig}; if it is damaged, move it away: the checkpoints beside it "
                "hold every finished epoch, and the same command fills it again"
            ) from error
        except SQLAlchemyError as error:
            raise StudyError(f"{self._where} could not be used: {error}") from error


def _prepare_connection(connection: sqlite3.Connection, record: object) -> None:
    cursor = connection.cursor()
    # Readers go on while the driver writes; a crash of the machine may lose the last records, which the checkpoints hold.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a database without writing anything; on a medium that cannot be written to, without its write-ahead log."""
    uri = path.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=10)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)
    return connection


def _finite(value: Any) -> Any:
    """Return None in place of NaN, which SQLite cannot tell from nothing either; infinity stays."""
    return None if isinstance(value, float) and value != value else value


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
