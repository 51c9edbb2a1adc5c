"""Text in the page's figures as a browser lays it out: none lies on another, however many names there are, however long."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bakeoff.report.page import Material
from tests.report.page.building import classes_of, material, of_frames
from tests.report.page.test_browser import Opened, opened, put_in_place, until, written
from tests.report.page.test_document import large
from tests.synthetic import Run

BOXES = """(selector) => [...document.querySelectorAll(selector)].filter((one) => one.textContent).map((one) => {
  const { left, top, right, bottom } = one.getBoundingClientRect();
  return [one.textContent, left, top, right, bottom];
})"""

SLACK = 2.0
"""Pixels by which boxes of text may meet: a line of text is a little lower than its box."""


def few(folder: Path) -> Material:
    runs = [
        Run(candidate=name, model=name, test=test, seconds=seconds)
        for name, test, seconds in (("resnet18", 0.9, 30.0), ("mobilenet_v2", 0.8, 20.0), ("alexnet", 0.6, 10.0))
    ]
    return material(folder / "few", *runs)


@pytest.fixture(scope="module")
def seen(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("layout")
    page = opened(chromium, written(folder, few(folder)))
    yield page
    assert page.complaints == []
    page.page.context.close()


def shown(seen: Opened, folder: Path, known: Material, figure: str) -> None:
    """Put another study in the page's place, and wait until one of its figures stands."""
    put_in_place(seen, written(folder, known).read_text(encoding="utf-8"))
    seen.see(figure)
    seen.page.wait_for_timeout(100)


def boxes(seen: Opened, selector: str) -> list[tuple[str, float, float, float, float]]:
    return [tuple(one) for one in seen.page.evaluate(BOXES, selector)]


def meet(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return bool(
        one[1] + SLACK < other[3]
        and other[1] + SLACK < one[3]
        and one[2] + SLACK < other[4]
        and other[2] + SLACK < one[4]
    )


def test_of_few_candidates_each_point_has_its_name(seen: Opened) -> None:
    seen.see("#trades-plot")
    until(seen.page, "document.querySelectorAll('#trades-plot .scatterlayer .textpoint').length === 3")
    names = boxes(seen, "#trades-plot .scatterlayer .textpoint")
    assert {name[0] for name in names} == {"resnet18", "mobilenet_v2", "alexnet"}
    assert not any(meet(one, other) for one, other in itertools.combinations(names, 2))


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.nightly)])
def test_of_80_candidates_those_are_named_whose_names_lie_on_nothing(seen: Opened, tmp_path: Path, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    shown(seen, tmp_path, of_frames(*large(80, 1, 2), remarks=[]), "#trades-plot")
    seen.page.locator("#trades-axis").select_option(label="training time")
    until(seen.page, "document.querySelectorAll('#trades-plot .scatterlayer .textpoint').length > 0")
    seen.page.wait_for_timeout(200)
    names = boxes(seen, "#trades-plot .scatterlayer .textpoint")
    assert not any(meet(one, other) for one, other in itertools.combinations(names, 2))
    (_, left, top, right, bottom) = boxes(seen, "#trades-plot .main-svg")[0]
    assert all(left <= one[1] and one[3] <= right and top <= one[2] and one[4] <= bottom for one in names)
    seen.page.set_viewport_size({"width": 1280, "height": 900})


def test_names_follow_when_the_figure_is_zoomed(seen: Opened, tmp_path: Path) -> None:
    shown(seen, tmp_path, of_frames(*large(80, 1, 2), remarks=[]), "#trades-plot")
    seen.page.evaluate("Plotly.relayout('trades-plot', {'yaxis.range': [90, 100]})")
    seen.page.wait_for_timeout(200)
    names = boxes(seen, "#trades-plot .scatterlayer .textpoint")
    assert names
    assert not any(meet(one, other) for one, other in itertools.combinations(names, 2))


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        [f"{number} {'a class name of forty characters is long'[:37]}" for number in range(10)],
        ["W" * 40, "i" * 40, "x"],
        [f"class {number:03d} of a hundred, with a long name" for number in range(100)],
    ],
    ids=["short", "long", "wide", "a hundred"],
)
def test_axis_titles_lie_beside_the_names_of_classes(
    seen: Opened, tmp_path: Path, names: list[str], width: int
) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    shown(seen, tmp_path, replace(few(tmp_path), classes=classes_of(names, "resnet18")), "#confusion-plot")
    told = {side: boxes(seen, f"#confusion-plot .{side}tick text") for side in "xy"}
    titles = boxes(seen, "#confusion-plot .xtitle") + boxes(seen, "#confusion-plot .ytitle")
    assert [title[0] for title in titles] == ["predicted", "true class"]
    assert told["y"]
    assert not any(meet(title, name) for title in titles for name in told["x"] + told["y"])
    assert not any(meet(one, other) for one, other in itertools.pairwise(told["y"]))
    (_, left, top, right, bottom) = boxes(seen, "#confusion-plot .main-svg")[0]
    inside = [*titles, *told["x"], *told["y"]]
    assert all(
        left - 1 <= one[1] and one[3] <= right + 1 and top - 1 <= one[2] and one[4] <= bottom + 1 for one in inside
    )
    length = "document.getElementById('confusion-plot')._fullLayout.{}axis._length"
    sides = [seen.page.evaluate(length.format(side)) for side in "xy"]
    assert sides[0] == pytest.approx(sides[1], rel=0.02)  # cells are square
    seen.page.set_viewport_size({"width": 1280, "height": 900})
