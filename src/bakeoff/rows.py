"""What rows of the results database must hold, checked as they are read, so that nobody beyond needs to doubt a value.

A study folder may come from anybody: a column of a database takes values of any type, whatever its table declares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, NoReturn

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import JSON, ColumnElement, DateTime, Float, Integer
from typing_extensions import TypedDict

from bakeoff.cost_records import Cost
from bakeoff.errors import StudyError
from bakeoff.records import Health, Numerics, RunStatus
from bakeoff.spec.base import LARGEST_INT, OptimizerName

REPAIR = (
    "move it away: the checkpoints beside it hold every finished epoch, and `bakeoff run` with the study's folder fills a new "
    "one from them"
)

SHOWN = 60
"""Characters of a wrong value that a message repeats."""

LARGE = re.compile(r"\d{19}|[eE]\+?\d{3}")
"""What a number has that may be too large for 64 bits or a double; only text with one in it is read number by number."""

LONGEST_ID = 250
"""Characters of a run's id, which names its files too."""

TOLD = {"epochs": "spec.candidate.recipe.epochs"}
"""What messages call a column that a query computes."""

AT_LEAST_1 = ("epoch", "epochs", "micro_batch")

SHARES = ("train_accuracy", "val_accuracy", "test_accuracy")

MAY_DIVERGE = ("train_loss", "val_loss", "test_loss")
"""Columns where infinity says that a loss overflowed."""

ABOVE_0 = ("latency_p50", "latency_p95", "throughput", "throughput_batch", "train_throughput")
"""Figures of a cost that others are divided by."""


class _Recipe(TypedDict):
    optimizer: OptimizerName
    learning_rate: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]


class _Candidate(TypedDict):
    model: str
    recipe: _Recipe


class _Spec(TypedDict):
    """The part of a run's specification that is read back: whoever needs all of it has the study file."""

    candidate: _Candidate


SHAPES: Mapping[str, Any] = {
    "spec": _Spec,
    "changes": list[str],
    "numerics": Numerics,
    "health": Health,
    "measured": Cost,
}
"""What JSON columns hold."""


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(SHAPES[name])


class Rows:
    """Rows of one table as the database gave them, unchecked.

    Args:
        where: The database, for messages.
        table: Its name.
        columns: Of the query, each with its name and type.
        values: One tuple a row; JSON and times still as text.
    """

    def __init__(
        self, where: str, table: str, columns: Sequence[ColumnElement[Any]], values: Sequence[Sequence[Any]]
    ) -> None:
        self._where = where
        self._table = table
        self._columns = {str(column.key): column for column in columns}
        by_column = list(zip(*values, strict=True)) if values else [()] * len(self._columns)
        self._raw = {name: list(column) for name, column in zip(self._columns, by_column, strict=True)}

    def frame(self) -> pd.DataFrame:
        """Return them with types by the schema, not guessed from what happens to be there.

        Text keeps None, numbers are numbers even where none has been recorded yet, JSON and times are read.

        Raises:
            StudyError: If a value is not what bakeoff writes there; the message names its row.
        """
        return pd.DataFrame({name: self._checked(name) for name in self._columns})

    def _checked(self, name: str) -> pd.Series:
        column, values = self._columns[name], self._raw[name]
        nullable = bool(getattr(column, "nullable", False))
        if isinstance(column.type, Integer):
            return pd.Series(self._whole(name, values), dtype="int64")
        if isinstance(column.type, Float):
            return pd.Series(self._real(name, values, nullable=nullable), dtype="float64")
        if isinstance(column.type, JSON):
            read: list[Any] = [self._read(row, name, text, nullable=nullable) for row, text in enumerate(values)]
        elif isinstance(column.type, DateTime):
            read = [self._time(row, name, text, nullable=nullable) for row, text in enumerate(values)]
        else:
            read = self._text(name, values, nullable=nullable)
        return pd.Series(read, dtype=object)

    def _whole(self, name: str, values: list[Any]) -> list[int]:
        least = 1 if name in AT_LEAST_1 else 0
        self._must(name, values, lambda value: type(value) is int, "a whole number", {int})
        self._must(name, values, lambda value: value >= least, f"{least} or more")
        return values

    def _real(self, name: str, values: list[Any], *, nullable: bool) -> list[float | None]:
        kinds = {int, float, type(None)} if nullable else {int, float}
        self._must(name, values, lambda value: type(value) in kinds, "a number", kinds)
        numbers = np.array([0.0 if value is None else value for value in values], dtype=np.float64)
        if name in SHARES:
            self._all(name, (numbers >= 0) & (numbers <= 1), "a share from 0 to 1")
        elif name not in MAY_DIVERGE:
            self._all(name, np.isfinite(numbers), "finite")
        if name.startswith("seconds") or name == "learning_rate":
            self._all(name, numbers >= 0, "0 or more")
        return values

    def _text(self, name: str, values: list[Any], *, nullable: bool) -> list[str | None]:
        kinds: set[type] = {str, type(None)} if nullable else {str}
        self._must(name, values, lambda value: type(value) in kinds, "text", kinds)
        if name == "status":
            known = {status.value for status in RunStatus}
            self._must(name, values, lambda value: value in known, f"one of {', '.join(RunStatus)}")
        if name == "run_id":
            self._must(name, values, _names_files, "a name of files below a folder")
        return values

    def _time(self, row: int, name: str, text: Any, *, nullable: bool) -> datetime | None:
        if text is None and nullable:
            return None
        try:
            return datetime.fromisoformat(text)
        except (TypeError, ValueError):
            self._refuse(row, name, "a date and time")

    def _read(self, row: int, name: str, text: Any, *, nullable: bool) -> Any:
        """Return what a JSON column holds, once it has the shape that bakeoff writes."""
        if nullable and text in (None, "null"):  # SQLAlchemy writes the latter for None in JSON
            return None
        try:
            value = _json(text)
            _adapter(name).validate_json(text, strict=True)
        except ValidationError as error:
            # A bakeoff that knew fewer figures of a cost wrote fewer: whoever reads it says which costs it can use.
            wrong = [one for one in error.errors() if not (name == "measured" and one["type"] == "missing")]
            if wrong:
                place = ".".join(str(part) for part in wrong[0]["loc"])
                said = f"{place}: {wrong[0]['msg']}" if place else wrong[0]["msg"]
                self._refuse(row, name, f"JSON as bakeoff writes it ({said})")
        except (TypeError, ValueError, RecursionError):
            self._refuse(row, name, "JSON")
        if name == "measured":
            for figure in ABOVE_0:
                if not value.get(figure, 1) > 0:
                    self._refuse(row, name, f"JSON as bakeoff writes it ({figure}: must be above 0)")
        return value

    def _must(
        self, name: str, values: list[Any], holds: Callable[[Any], bool], rule: str, kinds: set[type] | None = None
    ) -> None:
        """Check a rule; a column all of whose values are of allowed types needs no look at each."""
        if kinds is not None and set(map(type, values)) <= kinds:
            return
        row = next((row for row, value in enumerate(values) if not holds(value)), None)
        if row is not None:
            self._refuse(row, name, rule)

    def _all(self, name: str, hold: Any, rule: str) -> None:
        if not hold.all():
            self._refuse(int(np.argmin(hold)), name, rule)

    def _refuse(self, row: int, name: str, rule: str) -> NoReturn:
        value = self._raw[name][row]
        shown = "NULL" if value is None else repr(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}… ({len(shown):,} characters)"
        raise StudyError(
            f"{self._where} must hold what bakeoff wrote, but in its table `{self._table}`, {self._named(row)}, `{TOLD.get(name, name)}` must be "
            f"{rule}, and is {shown}; take the file from a copy of the study, or {REPAIR}"
        )

    def _named(self, row: int) -> str:
        for key, kind in (("run_id", "run"), ("candidate_id", "candidate")):
            if key in self._raw:
                told = repr(self._raw[key][row])
                epoch = f", epoch {self._raw['epoch'][row]!r:.20}" if "epoch" in self._raw else ""
                return f"{kind} {told if len(told) <= SHOWN else told[:SHOWN] + '…'}{epoch}"
        return f"row {row + 1}"


def _names_files(run_id: str) -> bool:
    parts = run_id.split("/")
    return 0 < len(run_id) <= LONGEST_ID and "\0" not in run_id and parts[0] != "" and ".." not in parts


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        raise TypeError("JSON is text")
    if LARGE.search(text):
        return json.loads(text, parse_constant=_no_number, parse_int=_bounded_int, parse_float=_bounded_float)
    return json.loads(text, parse_constant=_no_number)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _bounded_int(digits: str) -> int:
    number = int(digits)
    if abs(number) > LARGEST_INT:
        raise ValueError("more than 64 bits")
    return number


def _bounded_float(digits: str) -> float:
    number = float(digits)
    if np.isinf(number):
        raise ValueError("more than a double holds")
    return number
