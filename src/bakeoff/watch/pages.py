"""The page as it was last drawn, drawn again when the study has changed, but never so often that training suffers."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bakeoff.errors import BakeoffError
from bakeoff.watch.board import Board
from bakeoff.words import clean

SHARE = 0.3
"""Share of one core's time that drawing may take in the long run. A choice: the study's own processes need the machine, while a
small study, drawn in 0.4 s, can be drawn as often as twice in three seconds."""

SAVED = 1.5
"""Seconds of processor time that may be saved up, so that after a pause one record is drawn at once, and the next one too."""

TICK = 0.1
"""Seconds between two looks at whether to draw."""


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn page."""

    version: str
    """Differs between contents, and between starts of the server."""

    html: str


class Pages:
    """Draws the page while somebody looks at it. Safe to use from all threads.

    Args:
        draw: Returns the page as the folder is now, given its version.
        latest: Returns the number of the folder's latest change; 0 while there is no study to draw.
        board: Where to put up the version of the newest page, or why it could not be drawn.
    """

    def __init__(self, draw: Callable[[str], str], latest: Callable[[], int], board: Board) -> None:
        self._draw = draw
        self._latest = latest
        self._board = board
        self._start = secrets.token_hex(4)
        self._page: Page | None = None
        self._drawn = 0
        self._purse = SAVED
        self._paid_at = time.monotonic()
        self._drawing = threading.Lock()
        self._looking = 0
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawn, name="bakeoff-watch-pages", daemon=True)

    def start(self) -> None:
        """Draw from now on whenever the study has changed and somebody looks."""
        self._thread.start()

    def stop(self) -> None:
        """End drawing; a page that is being drawn is left to itself, as it may take long."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(TICK)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Have the page drawn anew as long as this lasts; several may look at once."""
        with self._counting:
            self._looking += 1
        try:
            yield
        finally:
            with self._counting:
                self._looking -= 1

    def page(self) -> Page | None:
        """Return the page, as new as can be had without waiting for a turn; None if it could not be drawn so far."""
        if self._stale() and self._drawing.acquire(blocking=self._page is None):
            try:
                if self._stale():
                    self._draw_anew()
            finally:
                self._drawing.release()
        return self._page

    def _keep_drawn(self) -> None:
        while not self._stop.wait(TICK):
            if self._looking:
                self.page()

    def _stale(self) -> bool:
        """Whether the study has changed since it was drawn, and there is processor time to draw it again."""
        return self._latest() != self._drawn and self._left() > 0

    def _left(self) -> float:
        return min(SAVED, self._purse + SHARE * (time.monotonic() - self._paid_at))

    def _draw_anew(self) -> None:
        number, left, started = self._latest(), self._left(), time.thread_time()
        version = f"{self._start}-{number}"
        try:
            html = self._draw(version)
        except Exception as error:  # a page that cannot be drawn is told of on the page; watching goes on
            if not isinstance(error, BakeoffError):
                logging.getLogger(__name__).exception("the page could not be drawn")
            fault = str(error) if isinstance(error, BakeoffError) else repr(error)
            self._board.post(fault=clean(f"The newest page could not be drawn: {fault}"))
        else:
            self._page = Page(version, html)
            self._board.post(page=version, fault=None)
        finally:
            self._drawn = number  # also if it failed: it is tried again once the study has changed
            self._purse, self._paid_at = left - (time.thread_time() - started), time.monotonic()
