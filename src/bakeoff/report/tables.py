"""The table of a study as Markdown, LaTeX, CSV and JSON: the figures of its page, as the page rounds them.

CSV and JSON have the numbers themselves too: accuracies as shares, times in seconds, memory in bytes.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.words import harmless

if TYPE_CHECKING:
    from bakeoff.report.page.standings import Cell, Column, Row, Standings

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
    "[": "{[}",  # a row that begins with one would be an argument of \\midrule
    "]": "{]}",
    "-": "-{}",  # two in a row would become a dash
    "µ": r"\textmu{}",
    "…": r"\ldots{}",
}

BOLD = r"\textbf{{{}}}"


ACCURACY = ("rank", "candidate", "ties", "val", "test", "runs", "training")
"""Columns of the first LaTeX table."""

COSTS = ("candidate", "parameters", "macs", "latency", "throughput", "memory", "train_memory")
"""Columns of the second. What is in neither would make one wider than a page of text; all other formats have it."""

LINES_A_PAGE = 44
"""Lines of one LaTeX table, which cannot be broken over pages: what fits on a page of `article` at its usual size of type."""

LETTERS_A_LINE = 18
"""Letters of a name that fit on one line of a LaTeX table, roughly."""

TOLD_BELOW = 12
"""Lines below a LaTeX table that are told in full, roughly."""

LETTERS_BELOW = 80
"""Letters on a line below a LaTeX table, roughly."""

LETTERS = 8
"""Characters of a name in a row after which LaTeX may break it, if it must."""

LONG_WORD = 30
"""Characters of a word in a sentence from which on LaTeX may break it as a name: half a line."""


def to_markdown(table: Standings, name: str) -> str:
    """Return a table as GitHub's Markdown has it: over it the study, below it what is marked, who is not ranked and why.

    Args:
        table: The facts.
        name: Of the study.
    """
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [[markdown_text(column.title) for column in table.columns], rules]
    rows += [_marked(row, markdown_text, "**{}**") for row in table.rows]
    lines = [f"**{markdown_text(name)}**: {markdown_text(_ranked_by(table))}\n"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    lines += [f"\n{sentence}" for sentence in _sentences(table, markdown_text)]
    lines.append(f"\n{markdown_text(MARKS)}\n")
    lines += [f"- {markdown_text(column.title)}: {markdown_text(column.meaning)}" for column in table.columns]
    return "\n".join(lines) + "\n"


MARKS = "A name in bold is marked above; a dash stands for what is not known."


def to_latex(table: Standings, name: str) -> str:
    r"""Return tables for LaTeX with `booktabs` and `tabularx`: accuracies, then costs, each as wide as the text.

    What won is in bold; names break where they must. More candidates than fit on a page go on in further tables.

    Args:
        table: The facts.
        name: Of the study.
    """
    title = _sentence(name)
    parts = [
        r"% needs \usepackage{booktabs,tabularx}; names beyond Latin letters need LuaLaTeX or XeLaTeX",
        *_latex_tables(table, ACCURACY, f"{title}: {latex_text(_ranked_by(table))}", _sentences(table, _sentence)),
    ]
    if any(column.key in COSTS[1:] for column in table.columns):
        parts += _latex_tables(table, COSTS, f"{title}: what the candidates cost.", [])
    return "\n".join(parts) + "\n"


def _latex_tables(table: Standings, keys: Sequence[str], caption: str, sentences: Sequence[str]) -> Iterator[str]:
    """Yield LaTeX tables of some columns; sentences stand below the last."""
    known = {column.key: place for place, column in enumerate(table.columns)}
    places = [known[key] for key in keys if key in known]
    alignment = "".join(_alignment(table.columns[place]) for place in places)
    heads = " & ".join(_stacked(latex_text(table.columns[place].title).split(" ")) for place in places)
    pages = _pages(table.rows)
    for number, rows in enumerate(pages, start=1):
        last = number == len(pages)
        yield "\n".join(
            [
                r"\begin{table}",
                r"  \centering\footnotesize\setlength{\tabcolsep}{4pt}",
                f"  \\caption{{{caption}{f' ({number} of {len(pages)})' if len(pages) > 1 else ''}}}",
                f"  \\begin{{tabularx}}{{\\linewidth}}{{{alignment}}}",
                r"    \toprule",
                f"    {heads} \\\\",
                r"    \midrule",
                *(
                    f"    {' & '.join(_latex_cell(row, row.cells[place]) for place in places)} \\\\[2pt]"
                    for row in rows
                ),
                r"    \bottomrule",
                r"  \end{tabularx}",
                *(_below(sentences) if last else ()),
                r"\end{table}",
            ]
        )


def _pages(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each table: as many as fit on a page, with intervals and long names on lines of their own."""
    pages: list[list[Row]] = [[]]
    lines = 0
    for row in rows:
        takes = max(2, -(-len(row.label) // LETTERS_A_LINE))
        if pages[-1] and lines + takes > LINES_A_PAGE:
            pages.append([])
            lines = 0
        pages[-1].append(row)
        lines += takes
    return pages


def _alignment(column: Column) -> str:
    if column.key == "candidate":
        return r">{\raggedright\arraybackslash}X"
    return "r" if column.numeric else "l"


def _latex_cell(row: Row, cell: Cell) -> str:
    if cell.text == row.label:
        return BOLD.format(_breakable(cell.text)) if row.mark else _breakable(cell.text)
    return _stacked([latex_text(cell.text or "-"), *([latex_text(f"({cell.note})")] if cell.note else [])])


def _stacked(lines: Sequence[str]) -> str:
    """Return lines that stand below each other in one cell."""
    if len(lines) == 1:
        return lines[0]
    below = r" \\ ".join(lines)
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{below}\end{{tabular}}"


def _breakable(name: str) -> str:
    """Return a name that LaTeX may break, rather after a sign than within a word, and only if it must."""
    parts, unbroken = [], 0
    for one, following in itertools.pairwise(f"{name} ".replace("\n", " ")):
        parts.append(latex_text(one))
        unbroken = 0 if one == " " else unbroken + 1
        if " " in (one, following):
            continue
        if following.isalnum() and not one.isalnum():
            parts.append(BREAK_AFTER_SIGN)
            unbroken = 0
        elif unbroken % LETTERS == 0:
            parts.append(BREAK_IN_WORD)
    return "".join(parts)


BREAK_AFTER_SIGN, BREAK_IN_WORD = r"\penalty50 ", r"\penalty500 "


def _sentence(text: str) -> str:
    """Return a sentence for LaTeX, in which only words that hardly fit a line may be broken."""
    words = text.replace("\n", " ").split(" ")
    return " ".join(_breakable(one) if len(one) >= LONG_WORD else latex_text(one) for one in words)


def _below(sentences: Sequence[str]) -> Iterator[str]:
    """Yield what stands below a table: as many sentences as fit on its page, the first in any case."""
    if sentences:
        lines = itertools.accumulate(-(-len(one) // LETTERS_BELOW) for one in sentences)
        told = max(1, sum(upto <= TOLD_BELOW for upto in lines))
        more = [f"And {len(sentences) - told} more."] if len(sentences) > told else []
        yield rf"  \par\smallskip\raggedright {' '.join([*sentences[:told], *more])}"


def to_csv(table: Standings) -> str:
    """Return a table as comma-separated values: of each figure its number, of accuracies their intervals too.

    Numbers are as they were measured, not rounded; what is not known is empty. After the table's own columns come those
    that tell how far each candidate has come. New columns are added at the end, so that old ones keep their place.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    bounded = [any(row.cells[place].interval for row in table.rows) for place in range(len(table.columns))]
    heads: list[str] = []
    for column, has_interval in zip(table.columns, bounded, strict=True):
        heads += [column.key, *([f"{column.key}_low", f"{column.key}_high"] if has_interval else [])]
    writer.writerow([*heads, "mark", "unranked", "latency_p95", "runs_planned", "runs_not_begun", "status"])
    for row in table.rows:
        cells: list[str] = []
        for column, cell, has_interval in zip(table.columns, row.cells, bounded, strict=True):
            cells.append(_number(cell) if column.numeric else harmless(cell.text))
            if has_interval:
                cells += ["", ""] if cell.interval is None else [repr(end) for end in cell.interval]
        latency = "" if row.latency_p95 is None else repr(row.latency_p95)
        writer.writerow([*cells, row.mark, harmless(row.unranked), latency, row.runs, row.not_begun, row.status])
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
        "runs_left": table.progress.runs_left,
        "columns": [{"key": one.key, "title": one.title, "meaning": one.meaning} for one in table.columns],
        "rows": [
            {
                "candidate_id": row.candidate_id,
                "candidate": row.label,
                "model": row.model,
                "rank": row.rank,
                "mark": row.mark or None,
                "unranked": row.unranked or None,
                "latency_p95": row.latency_p95,
                "runs_planned": row.runs,
                "runs_not_begun": row.not_begun,
                "status": row.status,
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
    said = table.progress.sentences()
    said += [f"{row.mark.capitalize()}: {row.label}." for row in table.rows if row.mark]
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
    return {"value": cell.value, "text": cell.text, "note": cell.note or None, "interval": cell.interval}
