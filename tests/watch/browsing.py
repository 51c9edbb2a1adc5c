"""A study in a folder of its own, a server that watches it, and a client of that server."""

from __future__ import annotations

import html
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bakeoff.files import write_atomically
from bakeoff.spec import StudySpec
from bakeoff.spec.data import DataFacts
from bakeoff.store import Store
from bakeoff.watch.live import live_parts
from bakeoff.watch.server import WatchServer

FACTS = DataFacts(fingerprint="f", size=32, train_pictures=1000, classes=10, has_validation=False, flippable=True)


def write_study(folder: Path, *, name: str = "known", seeds: int = 2, epochs: int = 3) -> None:
    """Write a study's file, as `bakeoff run` does before it trains."""
    spec = StudySpec.from_mapping({"name": name, "seeds": list(range(seeds)), "recipe": {"epochs": epochs}})
    write_atomically(folder / "study.toml", spec.resolve(FACTS).to_toml().encode())


def draw_records(folder: Path, version: str) -> str:
    """A page that says how many records there are."""
    added = live_parts(version)
    with Store.open_read_only(folder / "results.sqlite") as store:
        rows = store.progress_frame()
    labels = "".join(f"<li>{html.escape(label)}</li>" for label in rows["label"])
    return (
        f"<!doctype html><html><head><title>t</title>{added.head}</head><body>{added.top}"
        f"<main><p>records: {rows['done'].sum()}</p><ul>{labels}</ul></main></body></html>"
    )


@contextmanager
def watched(folder: Path, *, port: int = 0) -> Iterator[WatchServer]:
    """A server of a folder, closed at the end."""
    with running(WatchServer(folder, lambda version: draw_records(folder, version), port=port)) as server:
        yield server


@contextmanager
def running(server: WatchServer) -> Iterator[WatchServer]:
    """A server in a thread of its own, closed at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.close()


def ask(
    server: WatchServer, path: str = "/", *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Return the status, the body and the headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


class Listener:
    """Collects the news that a server sends, as a browser's EventSource does."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", "/events")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200

    def next(self) -> dict[str, Any]:
        """The next news."""
        while line := self._answer.readline():
            if line.startswith(b"data: "):
                return dict(json.loads(line[6:]))
        raise EOFError("the server has ended")

    def until(self, condition: Any, seconds: float = 5.0) -> dict[str, Any]:
        """The first news that meet a condition."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            news = self.next()
            if condition(news):
                return news
        raise AssertionError(f"no such news within {seconds} s")

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@contextmanager
def listening(server: WatchServer) -> Iterator[Listener]:
    listener = Listener(server.server_port)
    try:
        yield listener
    finally:
        listener.close()
