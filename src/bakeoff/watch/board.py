"""The latest that there is to tell, for any number of readers who wait for news."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a page needs to know besides its own content."""

    number: int = 0
    """Grows with each piece of news."""

    page: str | None = None
    """The version of the newest page that is ready; None before there is one."""

    standing: dict[str, Any] | None = None
    """How far the study has come, in words; None where there is none yet."""

    trouble: str | None = None
    """Why what is shown is not what the folder holds."""

    fault: str | None = None
    """Why the newest page could not be drawn."""

    notice: str | None = None
    """What has happened to the folder meanwhile."""

    @property
    def reason(self) -> str | None:
        """Why what is shown is not what the folder holds, if so; a page cannot be drawn of a folder that cannot be read."""
        return self.trouble or self.fault

    @property
    def live(self) -> bool:
        """Whether what is shown is what the folder holds."""
        return self.reason is None

    @property
    def line(self) -> str:
        """How new what is shown is, in a sentence."""
        if self.live:
            return "Live: what is recorded appears here within two seconds."
        if self.standing is None and self.page is None:
            return "Nothing to show yet: it appears here by itself."
        return "Not live: this is the last that could be shown. It goes on by itself as soon as it can."

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "page": self.page,
            "standing": self.standing,
            "live": self.live,
            "line": self.line,
            "troubles": [said for said in (self.reason, self.notice) if said is not None],
        }


class Board:
    """Holds the latest news. Safe to use from all threads."""

    def __init__(self) -> None:
        self._news = News()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def news(self) -> News:
        """The latest."""
        return self._news

    def post(self, **changes: Any) -> None:
        """Put up news, and wake whoever waits for them; what is not given stays."""
        with self._changed:
            self._news = replace(self._news, number=self._news.number + 1, **changes)
            self._changed.notify_all()

    def wait(self, known: int) -> News | None:
        """Return the latest news as soon as their number is another than the known one; None once the board is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._news.number != known)
            return None if self._closed else self._news

    def close(self) -> None:
        """Let all who wait go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
