"""The table of the page: one row a candidate, each figure with the number that it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bakeoff.analysis.progress import COMPLETE, Progress
from bakeoff.analysis.verdict import Verdict
from bakeoff.report.page.words import number_or_none, shown
from bakeoff.words import brief, count, duration, percent, size, speed


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table."""

    text: str
    """What a reader sees; empty where it is not known."""

    value: float | str | None
    """What it is sorted by; None comes last, whichever way."""

    note: str = ""
    """A second line: how sure it is."""

    interval: tuple[float, float] | None = None
    """The ends of an accuracy's interval, as shares in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    key: str
    title: str
    meaning: str
    """What it is, in a sentence."""

    numeric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate."""

    candidate_id: str
    label: str
    model: str
    rank: int | None
    mark: str
    """`winner`, `tied for best`, `not told apart`, or nothing."""

    unranked: str
    """Why it is not ranked, or nothing."""

    cells: tuple[Cell, ...]
    """One a column."""

    runs: int
    """Planned, whatever became of them."""

    not_begun: int
    """Seeds of these that have not begun."""

    status: str
    """`planned` (no run has begun), `begun` or `finished`."""

    latency_p95: float | None
    """Seconds; None where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """The table: candidates best first."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    ranked_by: str
    """`val` or `test`."""

    progress: Progress = COMPLETE
    """How many of the study's runs have ended."""


COLUMNS = (
    Column("rank", "#", "The rank by the accuracy that decides; a dash for candidates that are not ranked."),
    Column("candidate", "candidate", "A network with its view of the pictures and its recipe.", numeric=False),
    Column("ties", "ties", "Candidates that share a letter cannot be told apart, or are equivalent.", numeric=False),
    Column(
        "val", "validation", "Mean accuracy after the last epoch over the seeds, with the 95 % interval for new seeds."
    ),
    Column("test", "test", "Mean accuracy over the seeds, with the 95 % interval for new seeds and new pictures."),
    Column("runs", "runs", "Finished runs of those planned."),
    Column(
        "to_best", "to best", "Training time up to the epoch with the best validation accuracy, mean over the seeds."
    ),
    Column("training", "training", "Training time of one run: waiting for data included, evaluation not."),
    Column("parameters", "params", "Parameters of the network."),
    Column("macs", "MACs", "Multiply-accumulates of one picture's forward pass."),
    Column("latency", "latency", "Median time of one picture's forward pass, with the 95th percentile."),
    Column(
        "throughput",
        "inference/s",
        "Pictures a second in inference, at the best batch tried: doubled until that gains less than 5 %, a call takes long, or memory ends.",
    ),
    Column("memory", "memory", "Peak memory of one picture's forward pass, beyond what torch itself takes."),
    Column("train_memory", "train memory", "Peak memory of a training step, beyond what torch itself takes."),
)
ALWAYS = ("rank", "candidate", "test", "runs", "training", "parameters", "macs")
"""Columns that are there even if no candidate has anything to tell in them."""


def standings(table: pd.DataFrame, verdict: Verdict | None, progress: Progress = COMPLETE) -> Standings:
    """Return the table of a study.

    Args:
        table: As `Study.table` gives it.
        verdict: That judges accuracy, from the same reading; None where there is none.
        progress: How many of the study's runs have ended.
    """
    ties = {} if verdict is None else {one.candidate_id: one.ties for one in verdict.ranked}
    if len(set(ties.values())) < 2:  # one letter for all says nothing
        ties = {}
    known = table.to_dict("records")
    cells = [_cells(row, ties.get(row["candidate_id"], "")) for row in known]
    columns = tuple(one for one in COLUMNS if one.key in ALWAYS or any(row[one.key].text for row in cells))
    marks = _marks(verdict)
    return Standings(
        columns=columns,
        rows=tuple(
            _row(row, tuple(figures[one.key] for one in columns), marks.get(row["candidate_id"], ""))
            for row, figures in zip(known, cells, strict=True)
        ),
        ranked_by=str(table["ranked_by"].iloc[0]) if len(table) else "val",
        progress=progress,
    )


def _marks(verdict: Verdict | None) -> dict[str, str]:
    """Return the mark of each leading candidate: `winner`, `tied for best`, or `not told apart`."""
    if verdict is None or len(verdict.ranked) < 2:
        return {}
    if verdict.winner is not None:
        return {verdict.winner: "winner"}
    best = verdict.unbeaten()
    tied = {
        one for one in best if len(best) > 1 and all(verdict.equivalent(one, other) for other in best if other != one)
    }
    return {one: "tied for best" if one in tied else "not told apart" for one in best}


def _row(row: Mapping[Hashable, Any], cells: tuple[Cell, ...], mark: str) -> Row:
    return Row(
        candidate_id=str(row["candidate_id"]),
        label=shown(row["candidate"]),
        model=shown(row["model"]),
        rank=None if pd.isna(row["rank"]) else int(row["rank"]),
        mark=mark,
        unranked=shown(row.get("unranked") or ""),
        cells=cells,
        runs=int(row["runs"]),
        not_begun=int(row["not_begun"]),
        status=str(row["status"]),
        latency_p95=number_or_none(row.get("latency_p95")),
    )


def _cells(row: Mapping[Hashable, Any], ties: str) -> dict[str, Cell]:
    """Return a candidate's figures by column."""
    rank = None if pd.isna(row["rank"]) else int(row["rank"])
    ended = ", ".join(f"{row[end]} {end}" for end in ("diverged", "failed") if row[end])
    return {
        "rank": Cell("-" if rank is None else str(rank), rank),
        "candidate": Cell(shown(row["candidate"]), shown(row["candidate"]).casefold()),
        "ties": Cell(ties, ties or None),
        "val": _accuracy(row, "val_accuracy"),
        "test": _accuracy(row, "test_accuracy"),
        "runs": Cell(
            str(row["done"]) if row["done"] == row["runs"] else f"{row['done']}/{row['runs']}", row["done"], ended
        ),
        "to_best": _figure(row["seconds_to_best"], duration),
        "training": _figure(row["seconds_train"], duration),
        "parameters": _figure(row["parameters"], count),
        "macs": _figure(row["macs"], count),
        "latency": _figure(row.get("latency_p50"), brief, _p95(row)),
        "throughput": _figure(row.get("throughput"), speed),
        "memory": _figure(row.get("peak_memory_inference"), size),
        "train_memory": _figure(row.get("peak_memory_train"), size),
    }


def _accuracy(row: Mapping[Hashable, Any], name: str) -> Cell:
    number, low, high = (number_or_none(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    if number is None:
        return Cell("", None)
    if low is None or high is None:
        return Cell(percent(number), number)
    return Cell(percent(number), number, f"{100 * low:.2f} to {100 * high:.2f}", (low, high))


def _p95(row: Mapping[Hashable, Any]) -> str:
    number = number_or_none(row.get("latency_p95"))
    return "" if number is None else f"p95 {brief(number)}"


def _figure(value: Any, words: Callable[[float], str], note: str = "") -> Cell:
    number = number_or_none(value)
    return Cell("", None) if number is None else Cell(words(number), number, note)
