"""When a page is drawn: once for all who look, only if it changed, and never beyond its share of a core."""

from __future__ import annotations

import threading
import time

import pytest

from bakeoff.watch import pages as module
from bakeoff.watch.board import Board
from bakeoff.watch.pages import Pages


class Drawing:
    """Draws pages that say how many were drawn, each at a given price."""

    def __init__(self, *, price: float = 0.0, seconds: float = 0.0) -> None:
        self.times = 0
        self.change = 1
        self._price = price
        self._seconds = seconds
        self.board = Board()
        self.pages = Pages(self._draw, lambda: self.change, self.board)

    def _draw(self, version: str) -> str:
        self.times += 1
        time.sleep(self._seconds)
        spent = time.thread_time() + self._price
        while time.thread_time() < spent:
            pass
        return f"page {self.times}"


def test_a_page_is_drawn_once_for_all_who_ask_at_once() -> None:
    drawing = Drawing(seconds=0.2)
    found: list[object] = []
    clients = [threading.Thread(target=lambda: found.append(drawing.pages.page())) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert drawing.times == 1
    assert len(set(found)) == 1


@pytest.mark.timed
def test_while_a_page_is_drawn_the_one_before_is_given() -> None:
    drawing = Drawing(seconds=0.3)
    first = drawing.pages.page()
    drawing.change = 2
    slow = threading.Thread(target=drawing.pages.page)
    slow.start()
    time.sleep(0.05)
    started = time.monotonic()
    assert drawing.pages.page() == first
    assert time.monotonic() - started < 0.1
    slow.join()
    assert drawing.pages.page() != first


def test_nothing_is_drawn_before_there_is_a_study_or_while_nobody_looks() -> None:
    drawing = Drawing()
    drawing.change = 0
    assert drawing.pages.page() is None
    drawing.change = 1
    drawing.pages.start()
    try:
        time.sleep(0.3)
        assert drawing.times == 0
        with drawing.pages.looked_at():
            time.sleep(0.3)
        assert drawing.times == 1
    finally:
        drawing.pages.stop()


def test_drawing_keeps_to_its_share_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVED", 0.05)
    drawing = Drawing(price=0.03)
    started = time.monotonic()
    while (passed := time.monotonic() - started) < 1.0:
        drawing.change += 1
        drawing.pages.page()
        time.sleep(0.002)
    spent = 0.03 * drawing.times
    assert (
        0.5 * 0.3 * passed < spent < 0.3 * passed + 0.05 + 0.03
    )  # its share, what was saved, and the last one's excess


def test_each_start_of_a_server_names_its_pages_otherwise() -> None:
    versions = {Drawing().pages.page().version for _ in range(3)}  # type: ignore[union-attr]
    assert len(versions) == 3
