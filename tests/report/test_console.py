"""Tables for terminals of any width, CSV and JSON that programs can read, hostile names among them."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bakeoff.analysis.ranking import rank, with_costs
from bakeoff.records import RunStatus
from bakeoff.report.console import (
    RECORD_COLUMNS,
    data_report,
    forecast_table,
    models_table,
    ranked_table,
    to_csv,
    to_json,
)
from tests.costs import a_cost
from tests.synthetic import Run, frames

HOSTILE = "[red]cat[/red] \x1b[31m[link=http://x]\u202e"


def shown(*parts: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(*parts, sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


def study(tmp_path: Path) -> Any:
    return frames(
        tmp_path,
        Run(candidate="resnet18 adam 0.001", seed=0, val=(0.5, 0.6, 0.91), test=0.9),
        Run(candidate="resnet18 adam 0.001", seed=1, val=(0.5, 0.6, 0.93), test=0.9),
        Run(candidate="mobilenet_v2 sgd 0.01", seed=0, val=(0.5, 0.6, 0.8), test=0.79),
        Run(candidate="mobilenet_v2 sgd 0.01", seed=1, status=RunStatus.DIVERGED, test=None, message="nan at step 3"),
        Run(candidate="alexnet", status=RunStatus.PENDING),
    )


def test_a_wide_terminal_shows_every_column(tmp_path: Path) -> None:
    text = shown(ranked_table(rank(*study(tmp_path)), "demo"), width=120)
    for word in (
        "demo: ranked by validation accuracy",
        "92.00 ± 1.41 %",
        "11.2 M",
        "37 M",
        "38 s",
        "51",
        "1/2",
        "1 diverged",
    ):
        assert word in text


def test_the_table_fits_a_hundred_columns(tmp_path: Path) -> None:
    lines = shown(ranked_table(rank(*study(tmp_path)), "demo")).splitlines()
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_a_narrow_terminal_keeps_names_and_accuracies_on_whole_lines(tmp_path: Path, width: int) -> None:
    text = shown(ranked_table(rank(*study(tmp_path)), "demo"), width=width)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        assert "resnet18 adam 0.001" in text
        assert "train time" in text
        assert "90.00 ± 0.00 %" in text
    assert ("37 M" in text) == (width >= 100)
    told = " ".join(text.split())
    assert ("`bakeoff show --csv` has all." in told) == (width < 140)
    if width == 60:
        assert "No room for ended early, MACs, images/s, params, train time, runs;" in told
    if width == 40:
        assert [line.split()[1] for line in text.splitlines() if "%" in line] == ["resnet18", "mobilenet_v2"]
        assert "92.00 ± 1.41 %" in text


def test_a_table_ranked_on_the_test_set_says_so(tmp_path: Path) -> None:
    text = shown(ranked_table(rank(*frames(tmp_path, Run(val=None))), "demo"))
    assert "ranked by test accuracy" in text
    assert "validation" not in text


def test_measured_costs_have_columns_of_their_own_and_leave_narrow_terminals_first(tmp_path: Path) -> None:
    costs = {"resnet18 adam 0.001": a_cost(latency_p50=0.00431, peak_memory_inference=51_000_000)}
    table = with_costs(rank(*study(tmp_path)), costs)
    text = shown(ranked_table(table, "demo"), width=140)
    for words in ("latency", "4.31 ms", "memory", "51.0 MB"):
        assert words in text
    for width in (60, 80, 100, 120):
        lines = shown(ranked_table(table, "demo"), width=width).splitlines()
        assert max(map(len, lines)) <= width
    assert "latency" not in shown(ranked_table(with_costs(rank(*study(tmp_path)), {}), "demo"), width=160)


def test_json_and_csv_hold_measured_costs(tmp_path: Path) -> None:
    runs, epochs = study(tmp_path)
    costs = {"resnet18 adam 0.001": a_cost()}
    first, second, *_ = strict(to_json("demo", runs, epochs, costs=costs))["candidates"]
    assert first["cost"] == a_cost().to_json()
    assert second["cost"] is None
    rows = list(csv.DictReader(io.StringIO(to_csv(with_costs(rank(runs, epochs), costs)))))
    assert float(rows[0]["latency_p50"]) == 0.004
    assert rows[1]["latency_p50"] == rows[0]["energy_per_image"] == ""


def test_no_text_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    runs, epochs = frames(tmp_path, Run(candidate="a"))
    table = with_costs(rank(runs, epochs), {}).assign(model="=1+1", unranked="@SUM(A1)")
    (row,) = csv.DictReader(io.StringIO(to_csv(table)))
    assert not row["model"].startswith("=")
    assert not row["unranked"].startswith("@")


def test_csv_ends_with_how_far_each_candidate_has_come(tmp_path: Path) -> None:
    runs, epochs = frames(tmp_path, Run(candidate="a"), Run(candidate="b", status=RunStatus.PENDING))
    table = with_costs(rank(runs, epochs), {"a": a_cost()})
    text = to_csv(table)
    assert text.splitlines()[0].endswith(",peak_memory_inference,energy_per_image,not_begun,status")
    assert [(row["status"], row["not_begun"]) for row in csv.DictReader(io.StringIO(text))] == [
        ("finished", "0"),
        ("planned", "1"),
    ]


def test_no_runs_make_an_empty_table(tmp_path: Path) -> None:
    assert "candidate" in shown(ranked_table(rank(*frames(tmp_path)), "demo"))


def test_hostile_names_are_shown_as_they_are_spelt(tmp_path: Path) -> None:
    text = shown(ranked_table(rank(*frames(tmp_path, Run(candidate=HOSTILE))), "[bold]study[/bold]\x1b[2J"), width=160)
    assert r"[red]cat[/red] \x1b[31m[link=http://x]\u202e" in text
    assert r"[bold]study[/bold]\x1b[2J" in text
    assert "\x1b" not in text


def test_csv_reads_back_to_the_same_numbers(tmp_path: Path) -> None:
    table = rank(*study(tmp_path))
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["candidate"] for row in rows] == table["candidate"].tolist()
    assert float(rows[0]["val_accuracy"]) == table["val_accuracy"].iloc[0]
    assert rows[-1]["rank"] == ""


def test_csv_of_changed_networks_and_hostile_names_stays_one_row_each(tmp_path: Path) -> None:
    run = Run(candidate='a,"b"\n' + HOSTILE, changes=("stride 2 -> 1", "pool removed"))
    rows = list(csv.DictReader(io.StringIO(to_csv(rank(*frames(tmp_path, run))))))
    assert len(rows) == 1
    assert rows[0]["changes"] == "stride 2 -> 1; pool removed"
    assert "\x1b" not in rows[0]["candidate"]


def strict(text: str) -> Any:
    """Parse JSON, refusing NaN and Infinity, which Python alone would read."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_holds_every_runs_epochs_and_test_result(tmp_path: Path) -> None:
    document = strict(to_json("demo", *study(tmp_path)))
    assert document["study"] == "demo"
    assert [one["candidate"] for one in document["candidates"]] == [
        "resnet18 adam 0.001",
        "mobilenet_v2 sgd 0.01",
        "alexnet",
    ]
    first = document["runs"][0]
    assert (first["candidate"], first["seed"], first["status"]) == ("resnet18 adam 0.001", 0, "done")
    assert (first["test_accuracy"], first["test_loss"]) == (0.9, pytest.approx(0.1))
    assert [record["val_accuracy"] for record in first["epochs"]] == [0.5, 0.6, 0.91]
    assert set(first["epochs"][0]) == set(RECORD_COLUMNS)
    assert document["runs"][4]["epochs"] == []


def test_what_is_not_finite_is_null_in_json(tmp_path: Path) -> None:
    run = Run(loss=[math.inf, math.nan, 1.0], val=None, status=RunStatus.DIVERGED, test=None)
    document = strict(to_json("demo", *frames(tmp_path, run)))
    records = document["runs"][0]["epochs"]
    assert [record["train_loss"] for record in records] == [None, None, 1.0]
    assert {record["val_loss"] for record in records} == {None}
    assert document["runs"][0]["test_loss"] is None
    assert document["candidates"][0]["rank"] is None


def test_json_of_no_runs_is_a_document(tmp_path: Path) -> None:
    assert strict(to_json("demo", *frames(tmp_path))) == {
        "study": "demo",
        "candidates": [],
        "findings": [],
        "runs": [],
    }


def test_json_holds_no_character_that_a_terminal_obeys(tmp_path: Path) -> None:
    text = to_json(HOSTILE, *frames(tmp_path, Run(candidate=HOSTILE)))
    assert all(one.isprintable() or one == "\n" for one in text)
    assert strict(text)["runs"][0]["candidate"] == HOSTILE


@dataclass
class Model:
    name: str
    source: str
    note: str


def test_the_models_table_shows_brackets_as_they_are() -> None:
    text = shown(models_table([Model("resnet18", "torchvision", "He et al. [2016]")]))
    assert "[2016]" in text
    assert "pip install 'bakeoff[timm]'" in " ".join(text.split())


@dataclass
class Data:
    name: str = "pets"
    classes: tuple[str, ...] = ("cat", HOSTILE)
    counts: Any = None
    sizes: Any = ((32, 32, 1500), (64, 48, 2))
    kinds: Any = None
    problems: Any = ()
    ignored: int = 3
    notes: Any = ("split made here",)


def test_a_data_report_lists_all_that_is_wrong() -> None:
    problems = [(f"train/cat/{place}.jpg", "truncated") for place in range(60)]
    report = Data(counts={"train": [1000, 500], "test": [2, 0]}, kinds={"CMYK": ["a.jpg"] * 7}, problems=problems)
    text = shown(*data_report(report))
    assert "1,500" in text
    assert "32x32 (1,500), 64x48 (2)" in text
    assert "7 converted: CMYK" in text
    assert "and 2 more" in text
    assert "60 pictures cannot be used" in text
    assert all(path in text for path, _ in problems)
    assert "\x1b" not in text


def test_a_data_report_without_trouble_says_so() -> None:
    assert "every picture can be used" in shown(*data_report(Data(counts={"train": [1, 1]}, kinds={})))


def test_a_forecast_shows_each_candidate() -> None:
    row = {
        "label": HOSTILE,
        "runs": 2,
        "seconds": 4000.0,
        "images_per_second": 1234.5,
        "parameters": 2_236_682,
        "macs": 94_000_000,
        "memory": "1.2 GB",
    }
    text = shown(forecast_table([row], "what it would take"), width=160)
    for word in ("1 h 6 min", "1,234", "2.24 M", "94 M", "1.2 GB", r"[red]cat[/red] \x1b[31m"):
        assert word in text


def test_candidates_that_are_not_ranked_stand_below_the_ranked_ones_with_the_reason(tmp_path: Path) -> None:
    given = (("best", 0.9), ("next", 0.8), ("last", 0.7))
    tables = frames(tmp_path, *(Run(candidate=name, train=(0.9,), val=(val,)) for name, val in given))
    table = rank(*tables, unranked={"best": "D1 field of view"})
    lines = shown(ranked_table(table, "demo"), width=100).splitlines()
    places = {
        name: next(place for place, line in enumerate(lines) if name in line) for name in ("next", "last", "best")
    }
    assert places["next"] < places["last"] < places["best"]
    assert lines[places["best"]].split()[0] == "-"
    assert any(line.strip() == "Not ranked: best: D1 field of view" for line in lines)
