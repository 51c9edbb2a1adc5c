"""The page, Markdown, LaTeX, CSV and JSON tell the same table, and nothing in a name is obeyed by any of them."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.records import RunStatus
from bakeoff.report import tables
from bakeoff.report.page import page_facts
from bakeoff.report.page.standings import COLUMNS, Standings
from bakeoff.reporting import material_of, page_of, table_of, write_table
from bakeoff.study import Study
from bakeoff.words import brief, count, duration, percent
from tests.costs import a_cost
from tests.report.page.building import HOSTILE, material
from tests.stored import Network, bits, stored_study
from tests.synthetic import Run

NETWORKS = [
    Network(name="good_net", correct=bits(0.9, seeds=5, pictures=500), validation=0.91, parameters=11_173_962),
    Network(name="a | b \\ $x$ 100 %", correct=bits(0.5, seeds=5, pictures=500), validation=0.52, minutes=75),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return stored_study(tmp_path_factory.mktemp("known"), NETWORKS)


@pytest.fixture(scope="module")
def told(study: Study) -> dict[str, str]:
    """The study's table in each format, and its page."""
    return {kind: table_of(study.reading(), kind) for kind in ("md", "latex", "csv", "json")} | {
        "html": page_of(study.reading())
    }


class Rows(HTMLParser):
    """The cells of the page's first table body; what is said beside a figure is in `small` and `span`."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.done = self.inside = False
        self.beside = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tbody" and not self.done:
            self.inside = True
        elif self.inside and tag == "tr":
            self.rows.append([])
        elif self.inside and tag in ("td", "th"):
            self.rows[-1].append("")
        elif self.inside and tag == "small":
            self.rows[-1][-1] += "|"
        elif self.inside and tag == "span":
            self.beside += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "tbody" and self.inside:
            self.inside, self.done = False, True
        elif self.inside and tag == "span":
            self.beside -= 1

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1] and not self.beside:
            self.rows[-1][-1] += data


def of_html(text: str) -> list[list[str]]:
    """Return cells as `figure` or `figure (note)`, without the reasons beside names."""
    parser = Rows()
    parser.feed(text)
    return [
        [joined(*cell.split("|", 1)) if place != 1 else cell.strip() for place, cell in enumerate(row)]
        for row in parser.rows
    ]


def joined(text: str, note: str = "") -> str:
    text = text.strip().replace("\u2013", "-")  # the page has a longer dash where nothing is known
    return f"{text} ({note.strip()})" if note.strip() else text


def of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    cells = [re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell.removeprefix("**").removesuffix("**")) for cell in row] for row in cells]


def of_latex(text: str) -> list[dict[str, str]]:
    """Return rows by column title, put together from the tables of accuracies and of costs."""
    rows: list[dict[str, str]] = []
    for part in (tables.ACCURACY, tables.COSTS):
        found = [row for table in text.split(r"\begin{table}")[1:] for row in of_one(table, part)]
        rows = [one | other for one, other in zip(rows, found, strict=True)] if rows else found
    return rows


def of_one(text: str, keys: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of one LaTeX table if its columns are some of these."""
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()[1:]
    known = {column.title: column.key for column in COLUMNS}
    heads, *rows = [
        [of_cell(cell) for cell in line.strip().removesuffix("[2pt]").removesuffix(r"\\").strip().split(" & ")]
        for line in body
        if line.strip() not in ("", r"\midrule")
    ]
    if not {known[head] for head in heads} <= set(keys):
        return []
    return [{known[head]: cell for head, cell in zip(heads, row, strict=True)} for row in rows]


def of_cell(text: str) -> str:
    inner = re.sub(r"^\\textbf\{(.*)\}$", r"\1", text)
    inner = re.sub(r"\\begin\{tabular\}\[t\]\{@\{\}r@\{\}\}(.*)\\end\{tabular\}", r"\1", inner)
    return " ".join(from_latex(line) for line in re.sub(r"\\penalty\d+ ", "", inner).split(r" \\ "))


def from_latex(text: str) -> str:
    """Read escaped text back, by the table of what is escaped as what."""
    back = {escaped: plain for plain, escaped in tables.LATEX.items()}
    pattern = "|".join(re.escape(one) for one in sorted(back, key=len, reverse=True))
    return re.sub(pattern, lambda found: back[found[0]], text)


def test_the_page_markdown_and_latex_have_the_same_cells(told: dict[str, str]) -> None:
    shown = of_html(told["html"])
    assert len(shown) == len(NETWORKS)
    assert of_markdown(told["md"]) == shown
    keys = [column["key"] for column in json.loads(told["json"])["columns"]]
    in_latex = [key for key in keys if key in (*tables.ACCURACY, *tables.COSTS)]
    assert {*keys} - {*in_latex} == {"to_best"}
    assert of_latex(told["latex"]) == [{key: row[keys.index(key)] for key in in_latex} for row in shown]


def test_csv_and_json_have_the_numbers_that_round_to_those_cells(told: dict[str, str]) -> None:
    shown = of_html(told["html"])
    rows = list(csv.DictReader(io.StringIO(told["csv"])))
    content = json.loads(told["json"])
    keys = [one["key"] for one in content["columns"]]
    for row, read, cells in zip(rows, content["rows"], shown, strict=True):
        cell = dict(zip(keys, cells, strict=True))
        assert row["rank"] == cell["rank"]
        for key, words in (("to_best", duration), ("training", duration), ("parameters", count), ("macs", count)):
            assert words(float(row[key])) == cell[key]
        for key in ("val", "test"):
            low, high = float(row[f"{key}_low"]), float(row[f"{key}_high"])
            assert f"{percent(float(row[key]))} ({100 * low:.2f} to {100 * high:.2f})" == cell[key]
            assert read["figures"][key]["interval"] == [low, high]
        assert {key: joined(one["text"], one["note"] or "") for key, one in read["figures"].items()} == {
            **cell,
            "candidate": read["candidate"],
        }


def test_csv_tells_planned_candidates_from_finished_ones_and_the_slow_calls_too(tmp_path: Path) -> None:
    runs = [
        Run(candidate="a"),
        Run(candidate="a", seed=1),
        Run(candidate="b"),
        Run(candidate="b", seed=1, status=RunStatus.PENDING),
        Run(candidate="c", status=RunStatus.PENDING),
    ]
    table = page_facts(material(tmp_path, *runs, costs={"a": a_cost()})).standings
    text = tables.to_csv(table)
    rows = {row["candidate"]: row for row in csv.DictReader(io.StringIO(text))}
    assert text.splitlines()[0].endswith(",mark,unranked,latency_p95,runs_planned,runs_not_begun,status")
    told = {
        name: [row[key] for key in ("runs", "runs_planned", "runs_not_begun", "status")] for name, row in rows.items()
    }
    assert told == {"a": ["2", "2", "0", "finished"], "b": ["1", "2", "1", "begun"], "c": ["0", "1", "1", "planned"]}
    assert float(rows["a"]["latency_p95"]) == a_cost().latency_p95
    assert rows["b"]["latency_p95"] == ""
    in_json = {row["candidate"]: row for row in json.loads(tables.to_json(table, "known"))["rows"]}
    assert {name: row["status"] for name, row in in_json.items()} == {"a": "finished", "b": "begun", "c": "planned"}
    assert in_json["a"]["latency_p95"] == a_cost().latency_p95


def test_the_table_inside_the_page_is_the_same_file(study: Study, told: dict[str, str]) -> None:
    inside = {one.name: one.text for one in page_facts(material_of(study.reading())).downloads}
    assert inside["table.csv"] == told["csv"]


def test_intervals_on_the_page_are_those_of_the_studys_table(study: Study, told: dict[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(told["csv"])))
    for row, known in zip(rows, study.table().to_dict("records"), strict=True):
        for split in ("val", "test"):
            for end in ("low", "high"):
                assert float(row[f"{split}_{end}"]) == pytest.approx(known[f"{split}_accuracy_{end}"], abs=1e-12)
        assert float(row["to_best"]) == pytest.approx(known["seconds_to_best"])


def test_costs_are_told_alike(tmp_path: Path) -> None:
    found = standings_of(tmp_path, Run(seed=0), Run(seed=1))
    assert brief(0.0043) == "4.30 ms"
    keys = [column.key for column in found.columns]
    in_markdown = [dict(zip(keys, row, strict=True)) for row in of_markdown(tables.to_markdown(found, "study"))]
    assert [row.pop("to_best") for row in in_markdown]
    assert of_latex(tables.to_latex(found, "study")) == in_markdown


def standings_of(folder: Path, *runs: Run) -> Standings:
    return page_facts(material(folder, *runs)).standings


def test_a_winner_is_bold_and_who_is_not_ranked_is_told_with_the_reason(told: dict[str, str]) -> None:
    said = told["md"]
    assert "| **good_net** |" in said
    assert "Winner: good_net." in said
    assert r"\textbf{good\_\penalty50 net}" in told["latex"]


def test_markdown_says_of_which_study_it_is_and_what_its_marks_mean(study: Study, told: dict[str, str]) -> None:
    lines = told["md"].splitlines()
    assert lines[0] == "**known**: candidates ranked by validation accuracy; in parentheses 95 % intervals."
    assert "A name in bold is marked above; a dash stands for what is not known." in lines
    for column in page_facts(material_of(study.reading())).standings.columns:
        assert f"- {tables.markdown_text(column.title)}: {tables.markdown_text(column.meaning)}" in lines


def test_a_long_name_may_be_broken_rather_after_a_sign_than_in_a_word(tmp_path: Path) -> None:
    name = "efficientnetv2-s_21k/adamw " + "x" * 60
    latex = tables.to_latex(standings_of(tmp_path, Run(candidate=name)), "study")
    assert (
        r"efficien\penalty500 tnetv2-{}\penalty50 s\_\penalty50 21k/\penalty50 adamw xxxxxxxx\penalty500 xxxxxxxx"
        in latex
    )
    assert of_latex(latex)[0]["candidate"] == name


@pytest.mark.parametrize("letter", ["x", "W", "_", "-", "é"])
def test_no_name_is_too_long_for_latex(tmp_path: Path, letter: str) -> None:
    name = letter * 300
    found = standings_of(tmp_path, Run(candidate="long", label=name, val=(0.1, 0.2, 0.9)), Run(candidate="short"))
    rows = tuple(replace(row, unranked="S1 too few seeds", mark="winner") for row in found.rows)
    latex = tables.to_latex(replace(found, rows=rows), name)
    assert of_latex(latex)[0]["candidate"] == found.rows[0].label
    assert not re.search(rf"(?:{re.escape(tables.latex_text(letter))}){{{tables.LETTERS + 1}}}", latex)
    if shutil.which("pdflatex"):
        assert "Overfull" not in typeset(latex, tmp_path)


def typeset(latex: str, folder: Path) -> str:
    """Set a document with these tables, and return what LaTeX has to say of it."""
    parts = [
        r"\documentclass{article}",
        r"\usepackage{booktabs,tabularx}",
        r"\begin{document}",
        latex,
        r"\end{document}",
    ]
    (folder / "doc.tex").write_text("\n".join(parts), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "doc.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said
    return said


def test_more_candidates_than_fit_on_a_page_go_on_in_further_tables(tmp_path: Path) -> None:
    found = standings_of(tmp_path, *(Run(candidate=f"c{place:02d}") for place in range(30)))
    latex = tables.to_latex(found, "study")
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 4
    assert latex.count(" (2 of 2)}") == 2
    assert [row["candidate"] for row in of_latex(latex)] == [row.label for row in found.rows]


def test_reasons_below_a_latex_table_are_few_enough_for_its_page(tmp_path: Path) -> None:
    known = material(tmp_path, *(Run(candidate=f"c{place:02d}") for place in range(20)))
    reasons = {"unranked": ["it saw the test set"] * 20, "rank": pd.array([pd.NA] * 20, dtype="Int64")}
    latex = tables.to_latex(page_facts(replace(known, table=known.table.assign(**reasons))).standings, "study")
    assert latex.count("Not ranked") == 12
    assert "And 8 more." in latex


def test_a_name_in_brackets_is_no_argument_of_the_line_above_it() -> None:
    assert tables.latex_text("[ours] net") == "{[}ours{]} net"


def test_nothing_in_a_name_is_obeyed(tmp_path: Path) -> None:
    found = standings_of(tmp_path, Run(candidate=HOSTILE), Run(candidate='=HYPERLINK("http://x.y")'))
    name = found.rows[0].label
    markdown, latex = tables.to_markdown(found, HOSTILE), tables.to_latex(found, HOSTILE)
    assert of_markdown(markdown)[0][1] == name
    assert of_latex(latex)[0]["candidate"] == name
    assert not re.search(r"(?<!\\)<", markdown)
    for row in csv.reader(io.StringIO(tables.to_csv(found))):
        assert not row[1].startswith(("=", "+", "-", "@"))
    assert json.loads(tables.to_json(found, HOSTILE))["rows"][0]["candidate"] == name


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_latex_has_no_character_left_that_it_would_obey(text: str) -> None:
    escaped = tables.latex_text(text)
    left = re.sub(r"\\[{}$&#%_]|\\(?:text[a-z]+|char34|ldots)\{\}|-\{\}|\{[][]\}", "", escaped)
    assert not set(left) & set('\\{}$&#%_^~<>|"`')
    assert from_latex(escaped) == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_markdown_reads_back_to_the_same_text(text: str) -> None:
    escaped = tables.markdown_text(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*[<|`*\[\]]", escaped)


def test_a_study_of_which_nothing_has_finished_has_a_table(tmp_path: Path) -> None:
    found = standings_of(tmp_path, Run(status=RunStatus.PENDING, test=None))
    assert "| alpha |" in tables.to_markdown(found, "x")
    assert len(list(csv.reader(io.StringIO(tables.to_csv(found))))) == 2
    assert json.loads(tables.to_json(found, "x"))["rows"][0]["rank"] is None
    assert "alpha" in tables.to_latex(found, "x")


def test_a_table_is_written_beside_the_page(study: Study, told: dict[str, str]) -> None:
    path = write_table(study, "latex")
    assert path == study.folder / "report" / "table.tex"
    assert path.read_text(encoding="utf-8") == told["latex"]
