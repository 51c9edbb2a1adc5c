"""The files inside the page: to be read in it, and saved by whoever wants to compute with them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bakeoff.audit import kept
from bakeoff.report.page.material import Material
from bakeoff.report.page.standings import Standings
from bakeoff.report.tables import to_csv
from bakeoff.words import clean, harmless

RUN_COLUMNS = [
    "run_id",
    "candidate_id",
    "label",
    "model",
    "seed",
    "status",
    "message",
    "parameters",
    "macs",
    "test_loss",
    "test_accuracy",
    "seconds_test",
    "started_at",
    "finished_at",
]
"""Columns of the database's table of runs; specifications are in the study file, what the audit saw in its findings."""

DIGITS = "%.9g"
"""Nine significant digits tell any two float32 apart."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file inside the page."""

    name: str
    kind: str
    """Its media type."""

    meaning: str
    text: str
    printed: bool = False
    """Whether it is printed with the page; tables would take hundreds of sheets."""


def downloads(material: Material, table: Standings) -> list[Download]:
    """Return the files that the page holds.

    Args:
        material: What is known of the study.
        table: The page's own.
    """
    runs = _readable(material.runs[RUN_COLUMNS], "run_id", "candidate_id", "label", "model", "message")
    epochs = _readable(material.epochs, "run_id")
    csv = "text/csv"
    return [
        Download("table.csv", csv, "one row a candidate, as ranked here", to_csv(table)),
        Download("runs.csv", csv, "one row a run", runs.to_csv(index=False, float_format=DIGITS)),
        Download(
            "epochs.csv",
            csv,
            "one row an epoch of every run",
            epochs.to_csv(index=False, float_format=DIGITS),
        ),
        Download(
            "findings.json",
            "application/json",
            "all that the audit says",
            kept.document(
                material.study.name,
                material.findings,
                dict(zip(material.table["candidate_id"], material.table["candidate"], strict=True)),
                material.found_before,
            ),
        ),
        Download(
            "study.toml",
            "application/toml",
            "the study with nothing left to decide",
            _in_plain_sight(material.study.to_toml()),
            printed=True,
        ),
    ]


def _readable(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return a table whose texts hold nothing that the page or a spreadsheet would obey."""
    texts = {name: [_text(one) for one in table[name]] for name in columns}
    return table.assign(**texts)


def _text(value: object) -> str:
    return harmless(clean(value)) if isinstance(value, str) else ""


def _in_plain_sight(toml: str) -> str:
    """Return TOML that says the same, with what is not printable in its strings written as escapes."""
    return "".join(one if one.isprintable() or one == "\n" else f"\\U{ord(one):08x}" for one in toml)
