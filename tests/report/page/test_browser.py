"""The page in a real browser: what it asks for, what it says to the console, what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bakeoff.report.page import Material, document, page_facts, scripts
from bakeoff.reporting import material_of
from bakeoff.words import clean
from tests.report.page.building import (
    HOSTILE,
    classes_of,
    material,
    of_frames,
    pictures_of,
    views_of,
)
from tests.report.page.test_document import ODD, hostile, large
from tests.stored import Network, bits, stored_study
from tests.synthetic import Run

pytestmark = pytest.mark.slow

PATIENCE = 15_000
"""Milliseconds that something may take on a busy machine."""


@dataclass
class Opened:
    """A page in a browser, with what it has done since."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """The candidates whose rows are shown, from top to bottom."""
        rows = self.page.locator("#candidates tbody tr:visible th bdi:first-child")
        return [text for text in rows.all_inner_texts() if not text.startswith("not ranked")]

    def see(self, selector: str) -> None:
        self.page.locator(selector).scroll_into_view_if_needed(timeout=PATIENCE)
        self.page.wait_for_selector(f"{selector} .main-svg", timeout=PATIENCE)


def until(page: Any, expression: str) -> None:
    """Wait until something holds. Playwright's own way evaluates texts within the page, which its policy forbids."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {expression}")


def opened(chromium: Any, path: Path, **context: Any) -> Opened:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}, **context).new_page()
    page.set_default_timeout(PATIENCE)
    seen = Opened(page)
    page.on("console", lambda message: message.type in ("error", "warning") and seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("data:", "blob:")) or seen.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", timeout=PATIENCE)
    return seen


def written(folder: Path, known: Material) -> Path:
    path = folder / "index.html"
    path.write_text(document(page_facts(known)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a judged study with pictures."""
    folder = tmp_path_factory.mktemp("browser")
    networks = [
        Network(name="good", correct=bits(0.9, seed=1), validation=0.9, macs=100_000_000, minutes=3),
        Network(name="thrifty", correct=bits(0.9, seed=2), validation=0.89, macs=10_000_000, minutes=2),
        Network(name="poor", correct=bits(0.7, seed=3), validation=0.7, macs=200_000_000, minutes=1),
    ]
    names = [one.name for one in networks]
    pictures = pictures_of("good", "thrifty", "cat", "dog", views_of(*names))
    known = material_of(stored_study(folder / "study", networks).reading())
    return written(folder, replace(known, pictures=pictures, classes=classes_of(["cat", "dog"], *names)))


@pytest.fixture(scope="module")
def shared(chromium: Any, path: Path) -> Iterator[Opened]:
    page = opened(chromium, path)
    yield page
    page.page.context.close()


@pytest.fixture
def seen(shared: Opened) -> Iterator[Opened]:
    """The page, which takes seconds to open, as nobody had touched it; it may not complain of what is done with it."""
    yield shared
    shared.page.locator("#filter").fill("")
    shared.page.locator("#curves-axis").select_option("epochs")
    shared.page.locator("#trades-axis").select_option(index=0)
    while shared.page.locator("#candidates th[data-key=rank]").get_attribute("aria-sort") != "ascending":
        shared.page.locator("#candidates th[data-key=rank] button").click()
    assert shared.complaints == []


def put_in_place(seen: Opened, page: str) -> None:
    """Show another page's main part, as `bakeoff watch` does."""
    seen.page.evaluate(
        "(page) => document.querySelector('main').replaceWith(document.adoptNode("
        "new DOMParser().parseFromString(page, 'text/html').querySelector('main')))",
        page.replace(scripts()[0], ""),
    )


def test_it_opens_in_silence_and_asks_for_nothing_but_itself(seen: Opened, path: Path) -> None:
    for box in ("#curves-loss", "#curves-accuracy", "#trades-plot", "#confusion-plot"):
        seen.see(box)
    assert seen.complaints == []
    assert seen.requests == [path.as_uri()]


def test_a_click_on_a_header_sorts_and_the_next_turns_it_around(seen: Opened) -> None:
    head = seen.page.locator("#candidates th[data-key=training]")
    assert seen.names() == ["good", "thrifty", "poor"]
    head.locator("button").click()
    assert (seen.names(), head.get_attribute("aria-sort")) == (["poor", "thrifty", "good"], "ascending")
    head.locator("button").click()
    assert (seen.names(), head.get_attribute("aria-sort")) == (["good", "thrifty", "poor"], "descending")
    assert seen.page.locator("#candidates th[aria-sort]").count() == 1


def test_the_table_is_sorted_by_keyboard(seen: Opened) -> None:
    seen.page.locator("#candidates th[data-key=candidate] button").focus()
    seen.page.keyboard.press("Enter")
    assert seen.names() == ["good", "poor", "thrifty"]


def test_the_filter_holds_for_the_table_and_the_curves(seen: Opened) -> None:
    seen.see("#curves-accuracy")
    seen.page.locator("#filter").fill("RESNET th")
    assert seen.names() == ["thrifty"]
    assert seen.page.locator("#filter-count").inner_text() == "1 of 3 candidates"
    assert seen.page.locator("#curves-legend bdi").all_inner_texts() == ["thrifty"]
    seen.page.locator("#filter").fill("")
    assert len(seen.names()) == 3


def test_the_axes_of_the_curves_and_of_the_trade_offs_can_be_chosen(seen: Opened) -> None:
    seen.see("#curves-loss")
    title = seen.page.locator("#curves-loss .xtitle")
    assert title.inner_html() == "epoch"
    seen.page.locator("#curves-axis").select_option("seconds")
    until(seen.page, "document.querySelector('#curves-loss .xtitle').textContent.startsWith('training time')")
    seen.page.locator("#curves-axis").select_option("macs")
    until(seen.page, "document.querySelector('#curves-loss .xtitle').textContent.startsWith('multiply')")
    seen.see("#trades-plot")
    assert "thrifty" in seen.page.locator("#trades-words").inner_text()
    seen.page.locator("#trades-axis").select_option(label="training time")
    until(seen.page, "document.querySelector('#trades-plot .xtitle').textContent.startsWith('training time')")


def test_a_curve_is_lifted_out_by_its_name_and_hidden_by_a_click_on_it(seen: Opened) -> None:
    seen.see("#curves-accuracy")
    name = seen.page.locator("#curves-legend button").first
    count = "document.querySelectorAll('#curves-accuracy .scatterlayer .trace').length"
    before = seen.page.evaluate(count)
    name.focus()
    faint = (
        "[...document.querySelectorAll('#curves-accuracy .trace')].filter((one) => one.style.opacity === '0.12').length"
    )
    assert 0 < seen.page.evaluate(faint) < before
    name.click()
    assert name.get_attribute("aria-pressed") == "false"
    assert seen.page.evaluate(count) < before
    name.click()
    assert seen.page.evaluate(count) == before


def colours(seen: Opened) -> dict[str, str]:
    """The colour of each candidate's curve, by name."""
    entries = seen.page.locator("#curves-legend button").all()
    return {
        one.locator("bdi").inner_text(): one.locator("line").evaluate("(line) => line.style.stroke") for one in entries
    }


def test_a_candidate_keeps_its_colour_and_stays_hidden_while_its_rank_changes(
    seen: Opened, tmp_path: Path, path: Path
) -> None:
    def ranked(*best: str) -> str:
        runs = [Run(candidate=name, val=(0.1, 0.2, 0.9 - 0.1 * best.index(name))) for name in ("a", "b", "c")]
        return document(page_facts(material(tmp_path / "".join(best), *runs)))

    put_in_place(seen, ranked("a", "b", "c"))
    before = colours(seen)
    seen.page.locator("#curves-legend button").first.click()
    put_in_place(seen, ranked("c", "b", "a"))
    after, pressed = colours(seen), seen.page.locator("#curves-legend button[aria-pressed=false]")
    assert list(before) == ["a", "b", "c"]
    assert list(after) == ["c", "b", "a"]
    assert before == after
    assert len(set(after.values())) == 3
    assert pressed.all_inner_texts() == ["a"]
    pressed.click()
    put_in_place(seen, path.read_text(encoding="utf-8"))


def test_what_is_under_the_pointer_is_told(seen: Opened) -> None:
    seen.see("#trades-plot")
    point = seen.page.locator("#trades-plot .scatterlayer .trace .point").last.bounding_box()
    seen.page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    seen.page.wait_for_selector("#tip:visible")
    assert "thrifty\n90.0" in seen.page.locator("#tip").inner_text()
    assert "on the front" in seen.page.locator("#tip").inner_text()


def test_thumbnails_are_shown(seen: Opened) -> None:
    loaded = "[...document.images].every((one) => one.complete && one.naturalWidth === 8)"
    assert seen.page.locator(".thumbnails img").count() == 6
    assert seen.page.locator(".strip img").count() == 3 * 2 * 8
    assert seen.page.evaluate(loaded)


def test_files_in_the_page_can_be_saved(seen: Opened) -> None:
    with seen.page.expect_download() as coming:
        seen.page.locator("[data-file='epochs.csv']").click()
    assert coming.value.suggested_filename == "known-epochs.csv"
    text = Path(coming.value.path()).read_text(encoding="utf-8")
    assert text == seen.page.locator("[id='file-epochs.csv']").text_content()
    assert text.startswith("run_id,epoch,")
    assert len(text.splitlines()) == 1 + 15


def test_colours_follow_the_system_and_the_button(chromium: Any, path: Path) -> None:
    page = opened(chromium, path, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.page.evaluate(paper)
    page.see("#curves-loss")
    page.page.locator("#theme").click()
    assert page.page.evaluate(paper) == "rgb(255, 255, 255)" != dark
    assert page.complaints == []
    page.page.context.close()


def test_a_phone_scrolls_down_only(seen: Opened) -> None:
    seen.see("#trades-plot")
    seen.page.set_viewport_size({"width": 360, "height": 740})
    until(seen.page, "document.querySelector('#trades-plot .main-svg').clientWidth < 360")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    seen.page.set_viewport_size({"width": 1280, "height": 900})


def test_without_programs_it_can_still_be_read(chromium: Any, path: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("#candidates tbody tr").count() == 3
    assert not page.locator("#filter").is_visible()
    assert "their numbers are in epochs.csv below" in page.locator("#curves").inner_text()
    page.locator("#made summary", has_text="epochs.csv").click()
    assert page.locator("[id='file-epochs.csv']").inner_text().startswith("run_id,epoch,")
    context.close()


def test_hostile_names_are_shown_as_text_everywhere(chromium: Any, tmp_path: Path) -> None:
    page = opened(chromium, written(tmp_path, hostile(tmp_path)))
    for box in ("#curves-loss", "#trades-plot", "#confusion-plot"):
        page.see(box)
    assert page.page.evaluate("window.hacked") is None
    assert page.page.locator("#curves-legend bdi").first.inner_text() == clean(HOSTILE)
    beside = page.page.locator("#confusion-plot .xtick text").first.text_content()
    assert beside.endswith("…")
    assert clean(HOSTILE).startswith(beside.removesuffix("…"))
    assert page.page.locator("svg a, svg tspan[style]").count() == 0
    assert page.complaints == []
    page.page.context.close()


def test_another_main_part_put_in_its_place_is_shown_with_what_was_chosen(seen: Opened, path: Path) -> None:
    seen.page.locator("#curves-axis").select_option("seconds")
    seen.page.locator("#filter").fill("o")
    put_in_place(seen, path.read_text(encoding="utf-8"))
    seen.see("#curves-loss")
    assert seen.page.locator("#curves-axis").input_value() == "seconds"
    assert (seen.page.locator("#curves-loss .xtitle").text_content() or "").startswith("training time")
    assert seen.names() == ["good", "poor"]


def test_odd_studies_are_drawn_in_silence(seen: Opened, tmp_path: Path, path: Path) -> None:
    for kind, runs in ODD.items():
        put_in_place(seen, document(page_facts(material(tmp_path / kind.replace(" ", ""), *runs))))
        for box in seen.page.locator(".plot").all():
            box.scroll_into_view_if_needed()
        seen.page.wait_for_timeout(50)
        assert seen.complaints == [], kind
    put_in_place(seen, path.read_text(encoding="utf-8"))


@pytest.mark.timed
def test_400_runs_of_60_epochs_open_within_3_seconds(chromium: Any, tmp_path: Path) -> None:
    path = written(tmp_path, of_frames(*large(80, 5, 60), remarks=[]))
    seconds: list[float] = []
    while len(seconds) < 8 and min(seconds, default=3.0) >= 3:  # other work on the machine may hold some of them up
        started = time.perf_counter()
        page = opened(chromium, path)
        seconds.append(time.perf_counter() - started)
        assert page.complaints == []
        page.page.context.close()
    assert min(seconds) < 3
