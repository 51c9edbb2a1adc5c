"""The table of a study as Markdown, LaTeX, CSV and JSON: the figures of its page, as the page rounds them.

CSV and JSON have the numbers themselves too: accuracies as shares, times in seconds, memory in bytes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.words import harmless

if TYPE_CHECKING:
    from bakeoff.report.page.standings import Cell, Row, Standings

MARKDOWN = re.compile(r"[\\`*{}\[\]<>!|~&$@]|#(?=\w)|:(?=[\w/+-])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?i:(?<=www))\.")
"""What GitHub's Markdown may obey within a line: a `_` between letters, or a `:` before a space, is none of it."""

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "-": "-{}",  # two in a row would become a dash
    "µ": r"\textmu{}",
    "…": r"\ldots{}",
}

BOLD = r"\textbf{{{}}}"


def to_markdown(table: Standings) -> str:
    """Return a table as GitHub's Markdown has it, what won in bold, and below it who is not ranked and why."""
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [[markdown_text(column.title) for column in table.columns], rules]
    rows += [_marked(row, markdown_text, "**{}**") for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    lines += [f"\n{sentence}" for sentence in _sentences(table, markdown_text)]
    return "\n".join(lines) + "\n"


def to_latex(table: Standings, name: str) -> str:
    r"""Return a table for LaTeX with `booktabs`, what won in bold, its legend in the caption.

    Args:
        table: The facts.
        name: Of the study.
    """
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    heads = " & ".join(latex_text(column.title) for column in table.columns)
    rows = [f"    {' & '.join(_marked(row, latex_text, BOLD))} \\\\" for row in table.rows]
    caption = " ".join([f"{latex_text(name)}: {latex_text(_ranked_by(table))}", *_sentences(table, latex_text)])
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}; names beyond Latin letters need LuaLaTeX or XeLaTeX",
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{caption}}}",
            f"  \\begin{{tabular}}{{{alignment}}}",
            r"    \toprule",
            f"    {heads} \\\\",
            r"    \midrule",
            *rows,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def to_csv(table: Standings) -> str:
    """Return a table as comma-separated values: of each figure its number, of accuracies their intervals too.

    Numbers are as they were measured, not rounded; what is not known is empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    bounded = [any(row.cells[place].interval for row in table.rows) for place in range(len(table.columns))]
    heads: list[str] = []
    for column, has_interval in zip(table.columns, bounded, strict=True):
        heads += [column.key, *([f"{column.key}_low", f"{column.key}_high"] if has_interval else [])]
    writer.writerow([*heads, "mark", "unranked"])
    for row in table.rows:
        cells: list[str] = []
        for column, cell, has_interval in zip(table.columns, row.cells, bounded, strict=True):
            cells.append(_number(cell) if column.numeric else harmless(cell.text))
            if has_interval:
                cells += ["", ""] if cell.interval is None else [repr(cell.interval.low), repr(cell.interval.high)]
        writer.writerow([*cells, row.mark, harmless(row.unranked)])
    return buffer.getvalue()


def to_json(table: Standings, name: str) -> str:
    """Return a table as JSON: what each column means, and of each figure the number and the text.

    Args:
        table: The facts.
        name: Of the study.
    """
    document = {
        "study": name,
        "ranked_by": table.ranked_by,
        "columns": [{"key": one.key, "title": one.title, "meaning": one.meaning} for one in table.columns],
        "rows": [
            {
                "candidate_id": row.candidate_id,
                "candidate": row.label,
                "model": row.model,
                "rank": row.rank,
                "mark": row.mark or None,
                "unranked": row.unranked or None,
                "figures": {column.key: _figure(cell) for column, cell in zip(table.columns, row.cells, strict=True)},
            }
            for row in table.rows
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return MARKDOWN.sub(lambda found: f"\\{found[0]}", text.replace("\n", " "))


def latex_text(text: str) -> str:
    """Return text that LaTeX shows as it is."""
    return "".join(LATEX.get(one, one) for one in text.replace("\n", " "))


def _marked(row: Row, escaped: Callable[[str], str], bold: str) -> list[str]:
    """Return a row's cells, each with its note in parentheses, the name of what won in bold."""
    cells = []
    for cell in row.cells:
        note = f" ({cell.note})" if cell.note else ""
        text = escaped(f"{cell.text}{note}") if cell.text else escaped("-")
        cells.append(bold.format(text) if row.mark and cell.text == row.label else text)
    return cells


def _sentences(table: Standings, escaped: Callable[[str], str]) -> list[str]:
    """Return what is to be said below a table."""
    # A name at the beginning of a line could be a heading or a list to Markdown.
    said = [f"{row.mark.capitalize()}: {row.label}." for row in table.rows if row.mark]
    said += [f"Not ranked: {row.label}: {row.unranked}." for row in table.rows if row.unranked]
    return [escaped(one) for one in said]


def _ranked_by(table: Standings) -> str:
    split = "validation" if table.ranked_by == "val" else "test"
    return f"candidates ranked by {split} accuracy; in parentheses 95 % intervals."


def _number(cell: Cell) -> str:
    if cell.value is None or isinstance(cell.value, str):
        return cell.value or ""
    return str(int(cell.value)) if cell.value == int(cell.value) else repr(cell.value)


def _figure(cell: Cell) -> dict[str, Any]:
    bounds: Sequence[float] | None = None if cell.interval is None else (cell.interval.low, cell.interval.high)
    return {"value": cell.value, "text": cell.text, "note": cell.note or None, "interval": bounds}
