"""The live page over HTTP: what it answers, to whom, and how soon it has what was recorded."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.errors import StudyError
from bakeoff.records import RunStatus
from bakeoff.store import Store
from bakeoff.watch import server as serving
from bakeoff.watch.server import WatchServer
from tests.synthetic import Run, fill, planned
from tests.watch.browsing import ask, listening, watched, write_study
from tests.watch.writer import record, write_records

WITHIN = 2.0
"""Seconds from a record to the page that shows it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of two runs of three epochs, of which the first has begun."""
    folder = tmp_path / "study"
    write_study(folder)
    with Store.create_or_open(folder / "results.sqlite") as store:
        store.add_runs(planned(Run(seed=seed)) for seed in range(2))
        store.mark("alpha/0", RunStatus.RUNNING)
        store.record_epoch("alpha/0", record(1))
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[WatchServer]:
    with watched(folder) as server:
        yield server


def test_the_page_shows_the_study_and_its_version(server: WatchServer) -> None:
    status, body, headers = ask(server)
    assert status == 200
    assert "records: 1" in body
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'data-page="{server.board.news.page}"' in body


def test_a_record_of_another_process_is_on_the_page_within_two_seconds(folder: Path, server: WatchServer) -> None:
    context = multiprocessing.get_context("spawn")
    orders, theirs = context.Pipe()
    writer = context.Process(target=write_records, args=(folder, theirs))
    writer.start()
    assert orders.recv() == "ready"
    with listening(server) as browser:
        for epoch in (2, 3):
            orders.send(epoch)
            started = time.monotonic()
            while f"records: {epoch}" not in ask(server)[1]:
                browser.next()
            assert time.monotonic() - started < WITHIN
        orders.send(None)
        browser.until(lambda news: news["standing"]["running"] == [])
    writer.join()


def test_progress_is_told_as_json(server: WatchServer) -> None:
    status, body, _ = ask(server, "/progress")
    told = json.loads(body)
    assert status == 200
    assert told["standing"]["summary"] == "0 of 2 runs done, 1 in training, about 50 s left"
    assert told["standing"]["share"] == pytest.approx(1 / 6)
    assert told["standing"]["running"][0]["words"].startswith("1 of 3 epochs, 10 s an epoch")
    assert told["troubles"] == []


def test_two_browsers_hear_the_same(folder: Path, server: WatchServer) -> None:
    with listening(server) as one, listening(server) as other, Store.create_or_open(folder / "results.sqlite") as store:
        store.record_epoch("alpha/0", record(2))
        heard = [browser.until(lambda news: "2 of 3" in str(news)) for browser in (one, other)]
        assert heard[0]["standing"] == heard[1]["standing"]
        page = [browser.until(lambda news: news["page"]) for browser in (one, other)]
        assert page[0]["page"] == page[1]["page"]


def test_a_server_that_was_restarted_on_its_port_has_a_page_of_another_version(folder: Path) -> None:
    with watched(folder) as first:
        port = first.server_port
        ask(first)
        with listening(first) as browser:
            before = browser.until(lambda news: news["page"])["page"]
            first.board.close()  # as it does at its end
            with pytest.raises(EOFError):
                browser.until(lambda news: False)
    with watched(folder, port=port) as second, listening(second) as browser:
        assert second.server_port == port
        assert browser.until(lambda news: news["page"])["page"] != before


def test_writing_takes_no_longer_while_the_page_is_watched(folder: Path, server: WatchServer) -> None:
    """A reader that held a lock would keep the writer waiting for the whole of its read, or with 'database is locked'."""

    def seconds_a_record(store: Store, times: int) -> list[float]:
        taken = []
        for number in range(times):
            started = time.perf_counter()
            store.record_epoch("alpha/0", record(2, accuracy=number / times))
            taken.append(time.perf_counter() - started)
        return taken

    ended = threading.Event()

    def keep_asking() -> None:
        while not ended.is_set():
            ask(server)
            ask(server, "/progress")

    with Store.create_or_open(folder / "results.sqlite") as store:
        alone = seconds_a_record(store, 100)
        clients = [threading.Thread(target=keep_asking) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            with listening(server):
                beside = seconds_a_record(store, 100)
        finally:
            ended.set()
            for client in clients:
                client.join()
    assert statistics.median(beside) < statistics.median(alone) + 0.05
    assert max(beside) < 1.0  # far below the ten seconds for which a writer waits for a lock


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example",
        "127.0.0.1:{port}@evil.example",
        "",
        "0.0.0.0",
        "localhost:",
    ],
)
def test_a_stranger_s_name_for_this_machine_is_refused(server: WatchServer, host: str) -> None:
    for path in ("/", "/events", "/progress"):
        status, body, _ = ask(server, path, headers={"Host": host.format(port=server.server_port)})
        assert status == 403
        assert "known" not in body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "localhost:9000", "[::1]:8765"])
def test_this_machine_s_own_names_are_answered_on_forwarded_ports_too(server: WatchServer, host: str) -> None:
    assert ask(server, headers={"Host": host.format(port=server.server_port)})[0] == 200


def test_two_host_headers_are_refused(server: WatchServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.0 403")


def test_who_has_the_page_gets_it_renewed_without_its_scripts(folder: Path) -> None:
    script = "let program = 1;" * 100
    server = WatchServer(
        folder, lambda version: f"<main>{version}</main><script>{script}</script>", scripts=[script], port=0
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        whole, renewed = ask(server)[1], ask(server, "/renewed")[1]
        assert script in whole
        assert renewed == whole.replace(script, "")
    finally:
        server.shutdown()
        thread.join()
        server.close()


@pytest.mark.parametrize(
    "path",
    ["/study.toml", "/results.sqlite", "/../study.toml", "/%2e%2e/etc/passwd", "//etc/passwd", "/events/", "/page"],
)
def test_nothing_else_is_there(server: WatchServer, path: str) -> None:
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_the_page_can_only_be_read(server: WatchServer, method: str) -> None:
    status, _, headers = ask(server, method=method)
    assert status == 405
    assert headers["Allow"] == "GET"


def test_what_cannot_be_made_out_is_refused_without_repeating_it(server: WatchServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as raw:
        raw.sendall(b"<script>alert(1)</script> / / / HTTP/9.9\r\n\r\n")
        assert b"script" not in raw.recv(1000)


def test_answers_are_kept_by_nobody_and_run_no_script_but_the_page_s_own(server: WatchServer) -> None:
    for path in ("/", "/progress", "/nowhere"):
        headers = ask(server, path)[2]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_it_listens_on_the_loopback_alone(server: WatchServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_names_that_smuggle_markup_stay_text(tmp_path: Path) -> None:
    hostile = '</script><script>alert("x")</script>\x1b[31m\u202e"\'&'
    write_study(tmp_path)
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        fill(store, [Run(candidate=hostile, status=RunStatus.FAILED, message=hostile)])
    with watched(tmp_path) as server:
        assert "<script>alert" not in ask(server)[1]
        told = json.loads(ask(server, "/progress")[1])["standing"]
    (said,) = told["badly"]
    assert said.startswith("</script>")  # set as text by the page's script
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_a_finished_study_says_so(tmp_path: Path) -> None:
    write_study(tmp_path)
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        fill(store, [Run(), Run(seed=1, status=RunStatus.DIVERGED, message="loss at step 7")])
    with watched(tmp_path) as server:
        told = json.loads(ask(server, "/progress")[1])["standing"]
    assert told["summary"] == "1 of 2 runs done, 1 diverged: every run has ended"
    assert told["share"] == 1.0
    assert told["badly"] == ["alpha seed 1: diverged (loss at step 7)"]


def test_a_folder_without_a_study_waits_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    with watched(folder) as server, listening(server) as browser:
        status, body, _ = ask(server)
        assert status == 200
        assert "no study in" in body
        assert json.loads(ask(server, "/progress")[1])["line"].startswith("Nothing to show yet")
        write_study(folder)
        assert browser.until(lambda news: news["standing"])["standing"]["summary"].startswith("0 of 6 runs done")
        with Store.create_or_open(folder / "results.sqlite") as store:
            store.add_runs([planned(Run())])
        assert browser.until(lambda news: news["page"])["troubles"] == []
        assert "records: 0" in ask(server)[1]


def test_a_folder_that_is_moved_is_told_of_and_shown_again_once_it_is_back(folder: Path, server: WatchServer) -> None:
    ask(server)
    with listening(server) as browser:
        assert browser.until(lambda news: news["page"])["line"].startswith("Live")
        folder.rename(folder.with_name("elsewhere"))
        news = browser.until(lambda news: news["troubles"])
        (said,) = news["troubles"]
        assert said.startswith(f"The study's folder {folder} is gone since ")
        assert "--out" not in said
        assert not news["live"]
        assert news["line"].startswith("Not live")
        assert "records: 1" in ask(server)[1]
        folder.with_name("elsewhere").rename(folder)
        news = browser.until(lambda news: news["live"])
        assert news["troubles"] == []
        assert news["line"].startswith("Live")
        with Store.create_or_open(folder / "results.sqlite") as store:
            store.record_epoch("alpha/0", record(2))
        browser.until(lambda news: "2 of 3" in str(news))
        browser.until(lambda news: "records: 2" in ask(server)[1])


def test_a_folder_that_goes_while_its_page_is_drawn_is_told_of_once(folder: Path, server: WatchServer) -> None:
    """The page of the last record could not be drawn, for the same reason: that the folder is gone."""
    ask(server)
    with listening(server) as browser:
        browser.until(lambda news: news["page"])
        server.board.post(fault="The newest page could not be drawn: it is gone.")
        shutil.rmtree(folder)
        news = browser.until(lambda news: "is gone since" in str(news["troubles"]))
        assert len(news["troubles"]) == 1
        assert not news["live"]


def test_a_study_whose_file_alone_is_gone_is_told_of(folder: Path, server: WatchServer) -> None:
    with listening(server) as browser:
        (folder / "study.toml").unlink()
        assert "there is no study" in browser.until(lambda news: news["troubles"])["troubles"][0]


def test_a_study_that_is_replaced_is_told_of(folder: Path, server: WatchServer) -> None:
    ask(server)
    with listening(server) as browser:
        shutil.rmtree(folder)
        browser.until(lambda news: news["troubles"])
        write_study(folder)
        with Store.create_or_open(folder / "results.sqlite") as store:
            fill(store, [Run(candidate="beta")])
        news = browser.until(lambda news: "replaced" in str(news["troubles"]))
        assert all("is gone" not in said for said in news["troubles"])
        browser.until(lambda news: "records: 3" in ask(server)[1])


def test_a_damaged_database_is_told_of_and_then_recovers(folder: Path, server: WatchServer) -> None:
    whole = (folder / "results.sqlite").read_bytes()
    with listening(server) as browser:
        (folder / "results.sqlite").write_bytes(b"not a database" * 100)
        assert "whole results database" in browser.until(lambda news: news["troubles"])["troubles"][0]
        (folder / "results.sqlite").write_bytes(whole)
        browser.until(lambda news: not news["troubles"], 10)


def test_a_page_that_cannot_be_drawn_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def draw(version: str) -> str:
        raise ZeroDivisionError("a planted fault")

    server = WatchServer(folder, draw, port=0)
    try:
        assert server.pages.page() is None
        assert server.board.news.fault is not None
        assert "a planted fault" in server.board.news.fault
        assert "ZeroDivisionError" in caplog.text
    finally:
        server.close()


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_its_remedy(folder: Path, server: WatchServer) -> None:
    with pytest.raises(
        StudyError, match=f"another program listens on {server.server_port}; give another, or leave it out"
    ):
        WatchServer(folder, str, port=server.server_port)


def test_the_next_port_is_taken_where_none_was_asked_for(
    folder: Path, server: WatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "PORT", server.server_port)
    second = WatchServer(folder, str, port=None)
    try:
        assert second.server_port not in (0, server.server_port)
    finally:
        second.close()
