"""A study's tables: for a terminal, as CSV, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bakeoff.analysis.ranking import rank
from bakeoff.audit import Finding
from bakeoff.audit.kept import plain
from bakeoff.cost_records import Cost
from bakeoff.report.audit import reasons
from bakeoff.report.fitting import first_that_fits
from bakeoff.words import brief, class_name, clean, count, duration, harmless, plural, size, speed, with_spread

DROPPED_FIRST = ("ended early", "memory", "MACs", "images/s", "params", "latency", "train time", "runs", "ties")
"""Columns of the ranking that a narrow terminal goes without, in this order; remarks tell of what ended early."""

OPTIONAL = ("ended early", "latency", "memory")
"""Columns that are there only if some candidate has something to tell there."""

RECORD_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "images",
    "steps",
    "seconds_train",
    "seconds_evaluate",
    "seconds_wait",
    "micro_batch",
)
RUN_COLUMNS = ("candidate_id", "model", "seed", "status", "message", "test_loss", "test_accuracy", "parameters", "macs")


class RankedTable:
    """The ranking, best first; where the terminal is narrow, the least important columns are left out."""

    def __init__(self, table: pd.DataFrame, name: str, ties: Mapping[str, str]) -> None:
        self._table = table
        self._name = name
        self._ties = ties

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        by_test = bool(len(self._table)) and bool((self._table["ranked_by"] == "test").all())
        order = DROPPED_FIRST if by_test else (*DROPPED_FIRST, "test")  # what is ranked by stays
        tables = (self._without(order[:dropped], by_test=by_test) for dropped in range(len(order) + 1))
        yield first_that_fits(tables, self._table["candidate"], console, options)

    def _without(self, dropped: tuple[str, ...], *, by_test: bool) -> Table:
        unranked = {row["candidate_id"]: row["unranked"] for row in self._table.to_dict("records") if row["unranked"]}
        labels = dict(zip(self._table["candidate_id"], self._table["candidate"], strict=True))
        rows = [_cells(row, self._ties, by_test=by_test) for row in self._table.to_dict("records")]
        empty = [header for header in OPTIONAL if not any(row[header] for row in rows)]
        missing = [header for header in dropped if rows and header in rows[0] and header not in empty]
        caption = [clean(line) for line in reasons(unranked, labels)] if unranked else []
        caption += [f"No room for {', '.join(missing)}; `bakeoff show --csv` has all."] if missing else []
        shown = Table(
            caption=Text("\n".join(caption)) if caption else None,
            caption_justify="left",
            title=Text(f"{clean(self._name)}: ranked by {'test' if by_test else 'validation'} accuracy", style="bold"),
            box=box.SIMPLE_HEAD,
            title_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        dropped = (*dropped, *empty)
        for header in [header for header in (rows[0] if rows else ["candidate"]) if header not in dropped]:
            if header == "candidate":
                shown.add_column(header, overflow="fold")
            else:
                shown.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            shown.add_row(*(Text(cell) for header, cell in row.items() if header not in dropped))
        return shown


def ranked_table(table: pd.DataFrame, name: str, ties: Mapping[str, str] | None = None) -> RankedTable:
    """Return the ranking for a terminal of any width, best first.

    Args:
        table: As `analysis.ranking.rank` gives it.
        name: The study's.
        ties: By id of the ranked candidates, the letters of their tie groups; none are shown where all share the same.
    """
    return RankedTable(table, name, ties if ties and len(set(ties.values())) > 1 else {})


def _cells(row: dict[Hashable, Any], ties: Mapping[str, str], *, by_test: bool) -> dict[str, str]:
    """Return a candidate's row by header."""
    validation = {"validation": with_spread(row["val_accuracy"], row["val_accuracy_sd"])}
    return {
        "#": "-" if pd.isna(row["rank"]) else str(row["rank"]),
        "candidate": clean(row["candidate"]),
        **({"ties": ties.get(row["candidate_id"], "-")} if ties else {}),
        **({} if by_test else validation),
        "test": with_spread(row["test_accuracy"], row["test_accuracy_sd"]),
        "runs": str(row["done"]) if row["done"] == row["runs"] else f"{row['done']}/{row['runs']}",
        "ended early": ", ".join(f"{row[end]} {end}" for end in ("diverged", "failed") if row[end]),
        "train time": duration(row["seconds_train"]),
        "images/s": "-" if math.isnan(row["images_per_second"]) else speed(row["images_per_second"]),
        "params": count(row["parameters"]),
        "MACs": count(row["macs"]),
        "latency": _measured(row, "latency_p50", brief),
        "memory": _measured(row, "peak_memory_inference", size),
    }


def _measured(row: dict[Hashable, Any], column: str, words: Callable[[float], str]) -> str:
    """Return a measured cost in words; nothing where it was not measured."""
    value = row.get(column, math.nan)
    return "" if math.isnan(value) else words(value)


ADDED = ("not_begun", "status")
"""Columns that were added to the CSV since it was first written; they come last, so that the others keep their place."""


def to_csv(table: pd.DataFrame, times: pd.DataFrame | None = None) -> str:
    """Return the ranking as comma-separated values, accuracies as shares, what was changed joined by semicolons.

    Args:
        table: As `Study.table` gives it.
        times: As `analysis.time_to_accuracy.time_to_accuracy` gives them: a column each target at the end, such as
            `seconds_to_0.8`, with `inf` where half of the seeds or more miss it; none if None.
    """
    told = table.assign(changes=table["changes"].map("; ".join))
    for column in told.select_dtypes(exclude="number"):  # a terminal or a spreadsheet may read it
        told[column] = [harmless(clean(one)) if isinstance(one, str) else one for one in told[column]]
    told = told[[*told.columns.drop([*ADDED]), *ADDED]]
    if times is not None:
        for target, group in times.groupby("target"):
            told[f"seconds_to_{target:g}"] = table["candidate_id"].map(group.set_index("candidate_id")["seconds"])
    return told.to_csv(index=False, lineterminator="\n")


def to_json(
    name: str,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    verdict: dict[str, Any] | None = None,
    *,
    unranked: Mapping[str, str] | None = None,
    findings: Sequence[Finding] = (),
    costs: Mapping[str, Cost] | None = None,
    times: pd.DataFrame | None = None,
) -> str:
    """Return a study as JSON: the ranking with what candidates cost, what the audit says, the verdict, and each run with its records and test result.

    What is not finite becomes null.

    Args:
        name: The study's.
        runs: One row a run.
        epochs: One row an epoch record.
        verdict: As `Verdict.facts` gives it; left out if None.
        unranked: Candidates that are not ranked, by id, with the reason.
        findings: What the audit says.
        costs: By candidate id.
        times: As `analysis.time_to_accuracy.time_to_accuracy` gives them; left out if None. Of a target that half of the
            seeds or more miss, seconds and epoch are null.
    """
    records = dict(iter(epochs.groupby("run_id", sort=False)))
    measured = costs or {}
    document = {
        "study": name,
        "candidates": [
            {str(column): _plain(value) for column, value in row.items()}
            | {"cost": measured[row["candidate_id"]].to_json() if row["candidate_id"] in measured else None}
            for row in rank(runs, epochs, unranked).to_dict("records")
        ],
        "findings": plain(findings),
        **({} if verdict is None else {"verdict": verdict}),
        **({} if times is None else {"time_to_accuracy": _rows(times)}),
        "runs": [
            {"id": run["run_id"], "candidate": run["label"]}
            | {column: _plain(run[column]) for column in RUN_COLUMNS}
            | {"changes": list(run["changes"]), "spec": run["spec"], "epochs": _records(records.get(run["run_id"]))}
            for run in runs.to_dict("records")
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _records(group: pd.DataFrame | None) -> list[dict[str, Any]]:
    if group is None:
        return []
    return _rows(group.sort_values("epoch")[[*RECORD_COLUMNS]])


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): _plain(value) for column, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite, and what is missing, as null."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def models_table(models: Iterable[Any]) -> Table:
    """Return the networks that can be compared, as a table."""
    caption = Text("timm's networks are named timm/NAME (pip install 'bakeoff[timm]')")
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for header in ("name", "from", ""):
        shown.add_column(header)
    for model in models:
        shown.add_row(Text(model.name), Text(model.source), Text(model.note))
    return shown


def data_report(report: Any) -> list[Table | Text]:
    """Return what is in a data set, and what is wrong with it."""
    title = Text(f"{clean(report.name)}: {len(report.classes)} classes", style="bold")
    counts = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    counts.add_column("class", overflow="fold")
    for split in report.counts:
        counts.add_column(split, justify="right")
    for index, name in enumerate(report.classes):
        counts.add_row(Text(clean(class_name(name))), *(str(numbers[index]) for numbers in report.counts.values()))
    counts.add_section()
    counts.add_row("all", *(f"{sum(numbers):,}" for numbers in report.counts.values()))
    parts: list[Table | Text] = [counts]
    sizes = [f"{width}x{height} ({number:,})" for width, height, number in report.sizes[:5]]
    more = f" and {len(report.sizes) - 5} more sizes" if len(report.sizes) > 5 else ""
    parts.append(Text(f"sizes: {', '.join(sizes)}{more}"))
    if report.ignored:
        parts.append(Text(f"{plural(report.ignored, 'other file')} left out, systems' own among them"))
    parts += [Text(f"- {clean(note)}") for note in report.notes]
    for kind, paths in report.kinds.items():
        parts.append(Text(f"{len(paths):,} converted: {clean(kind)}"))
        parts += [Text(f"    {clean(path)}", style="dim") for path in paths[:5]]
        if len(paths) > 5:
            parts.append(Text(f"    and {len(paths) - 5:,} more", style="dim"))
    if report.problems:
        parts.append(Text(f"{len(report.problems):,} pictures cannot be used:", style="red"))
        parts += [Text(f"    {clean(path)}: {clean(reason)}") for path, reason in report.problems]
    else:
        parts.append(Text("every picture can be used", style="green"))
    return parts


def copies_report(copies: Sequence[Any]) -> list[Text]:
    """Return which pictures are there more than once, all of them: they are to be looked at one by one."""
    if not copies:
        return [Text("no picture is there twice", style="green")]
    parts = [Text(f"{plural(len(copies), 'picture')} there more than once (= pixel for pixel, ~ nearly):", style="red")]
    for one in copies:
        remarks = [*(["in two splits"] if one.across else []), *(["in two classes"] if one.contradicting else [])]
        told = f" ({', '.join(remarks)})" if remarks else ""
        parts.append(Text(f"    {clean(one.first)} {'=' if one.exact else '~'} {clean(one.second)}{told}"))
    return parts


def forecast_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Return what each candidate of a study will take, as a table.

    Args:
        rows: With keys label, runs, seconds (of one run), images_per_second, parameters, macs, memory (words).
        title: Over the table.
    """
    shown = Table(title=Text(clean(title), style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("candidate", overflow="fold")
    for header in ("runs", "a run", "images/s", "params", "MACs", "memory"):
        shown.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(
            Text(clean(row["label"])),
            str(row["runs"]),
            duration(row["seconds"]),
            speed(row["images_per_second"]),
            count(row["parameters"]),
            count(row["macs"]),
            row["memory"],
        )
    return shown
