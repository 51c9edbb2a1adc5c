"""Tables of costs and layers for any terminal, and JSON that programs can read."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console, RenderableType

from bakeoff.report.costs import cost_remarks, cost_table, costs_to_json, layer_table
from bakeoff.study.costs import layers_of
from tests.costs import a_cost

HOSTILE = "timm/[red]net[/red]\x1b[2J"


def shown(part: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_row_has_every_figure_in_its_unit() -> None:
    text = shown(cost_table({"net": a_cost()}, "what"), 120)
    for word in ("net", "1 M", "50 M", "4.00 ms", "5.00 ms", "500 at 16", "150", "6.0 MB", "60.0 MB"):
        assert word in text
    assert "energy" not in text


def test_energy_has_a_column_where_it_was_measured() -> None:
    costs = {"net": a_cost(energy_per_image=0.0213, source="NVML", reason=None), "other": a_cost()}
    assert "0.0213 J" in shown(cost_table(costs, "what"), 140)
    assert any("Energy was not measured: this machine has no counter" in said for said in cost_remarks(costs))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_hostile_names_are_shown_and_no_line_is_too_long(width: int) -> None:
    text = shown(cost_table({HOSTILE: a_cost()}, HOSTILE), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert "50 M" in text
    assert "4.00 ms" in text


def test_remarks_tell_the_conditions_first_then_what_disturbs() -> None:
    said = cost_remarks({"net": a_cost(latency_spread=0.3, peak_memory_train=None)})
    assert "a processor, 1 thread of 2 cores, float32, torch 2.14.1" in said[0]
    assert "others took 2 % of the processors" in said[0]
    assert "32 pixels" in said[1]
    assert any("noisy: net (latency spread by 30 %)" in one for one in said)
    assert any("Memory was not measured" in one for one in said)
    assert cost_remarks({}) == []


def test_json_has_every_figure_and_the_reason_where_there_is_none() -> None:
    profiles = [
        SimpleNamespace(model="net", changes=("conv1: stride 2 -> 1",), cost=a_cost(), reason=None),
        SimpleNamespace(model="lost", changes=(), cost=None, reason="no memory"),
    ]
    document = json.loads(costs_to_json(profiles))
    first, second = document["models"]
    assert first["cost"]["conditions"]["threads"] == 1
    assert first["changes"] == ["conv1: stride 2 -> 1"]
    assert (second["cost"], second["reason"]) == (None, "no memory")
    assert document["remarks"]


def test_the_layers_of_mobilenet_v1_show_the_papers_formulas_with_numbers_and_ratios() -> None:
    text = shown(layer_table("mobilenet_v1", layers_of("mobilenet_v1", size=224)), 100)
    for words in ("D_K·D_K·M·D_F·D_F", "M·N·D_F·D_F", "1/N + 1/D_K²", "3·3·32·112·112", "32·64·112·112"):
        assert words in text
    (row,) = (line for line in text.splitlines() if "features.1.1.0" in line)
    assert row.split() == [
        "features.1.1.0",
        "pointwise",
        "32·64·112·112",
        "25,690,112",
        "25,690,112",
        "0.1267",
        "0.1267",
    ]
    assert text.count("567,726,592") == 2, "the whole, by formula and as counted"


def test_in_80_columns_layers_keep_every_number_and_go_without_their_kind() -> None:
    text = shown(layer_table("mobilenet_v1", layers_of("mobilenet_v1", size=224)), 80)
    assert "…" not in text
    (row,) = (line for line in text.splitlines() if "32·64·112·112" in line)
    assert row.split()[1:] == ["32·64·112·112", "25,690,112", "25,690,112", "0.1267", "0.1267"]


def test_a_network_without_separable_layers_has_no_column_for_their_ratio() -> None:
    text = shown(layer_table("resnet18", layers_of("resnet18", size=32)), 80)
    assert "standard convolution that they stand for" in " ".join(text.split())
    assert "1/N" not in text
    assert "layer4.1" in text
    assert max(map(len, text.splitlines())) <= 80
