"""The tables of the results database."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from bakeoff.records import RunStatus

SCHEMA = 2
"""Version of the tables below. Version 1 had neither costs nor health; it is read, and upgraded when written to."""

READABLE = ("1", "2")

INFLATED = (
    "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%' UNION "
    "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS c WHERE c.hidden <> 0"
)
"""Virtual tables and computed columns, by which a small file can be endless to read; bakeoff has neither."""

NOTE = "note/"
"""What keys of notes begin with, so that none is taken for another."""

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
    Column("health", JSON),  # what was seen of the training itself, for the audit
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
COSTS = Table(
    "costs",
    metadata,
    Column("candidate_id", String, primary_key=True),
    Column("measured", JSON, nullable=False),  # figures with the conditions they were measured under
    Column("measured_at", DateTime, nullable=False),
)
