"""Downloads go on where they stopped, fall back on mirrors, and believe only the checksum."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bakeoff.data import cifar, download, prepare
from bakeoff.errors import DataError

CONTENT = bytes(range(256)) * 4000  # 1 MB


class Mirror:
    """A server on this machine that misbehaves as told, and remembers the ranges it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.breaks_after: list[int] = []
        """After how many bytes the next answers break off, one entry used up by each."""

        self.understands_ranges = True
        self.shifts_ranges = False
        self.asked: list[str | None] = []
        self.sent = 0
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *arguments: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *given: None  # clients that hang up are part of the tests
        self.url = f"http://127.0.0.1:{self.server.server_port}/file"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.understands_ranges else 0
        body = self.content[first:]
        request.send_response(206 if first else 200)
        if first:
            start = first + (1 if self.shifts_ranges else 0)
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.breaks_after:
            body = body[: self.breaks_after.pop(0)]
        self.sent += len(body)  # before the client has it: what a test asks for next is already true
        request.wfile.write(body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirrors() -> Iterator[Callable[..., Mirror]]:
    started: list[Mirror] = []

    def start(content: bytes = CONTENT) -> Mirror:
        started.append(Mirror(content))
        return started[-1]

    yield start
    for mirror in started:
        mirror.close()


def wanted(*servers: Mirror, content: bytes = CONTENT) -> download.Download:
    return download.Download(tuple(server.url for server in servers), hashlib.md5(content).hexdigest(), len(content))


def say_nothing(stage: str, done: int, total: int | None) -> None:
    """Take the place of a caller that does not want to know."""


def test_a_file_arrives_whole_with_its_progress(mirrors: Any, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    target = tmp_path / "new folder" / "file"
    download.download(wanted(mirrors()), target, lambda *progress: told.append(progress))
    assert target.read_bytes() == CONTENT
    assert not target.with_name("file.part").exists()
    assert told[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})


def test_an_interrupted_transfer_goes_on_from_where_it_stopped(mirrors: Any, tmp_path: Path) -> None:
    mirror = mirrors()
    mirror.breaks_after = [300_000]
    download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == [None, "bytes=300000-"]
    assert mirror.sent == len(CONTENT)


def test_a_later_call_goes_on_with_the_part_that_is_there(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:700_000])
    mirror = mirrors()
    download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == ["bytes=700000-"]


def test_a_part_that_is_whole_is_not_fetched_again(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    mirror = mirrors()
    download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert mirror.asked == []


def test_another_mirror_goes_on_where_the_first_broke_off(mirrors: Any, tmp_path: Path) -> None:
    first, second = mirrors(), mirrors()
    first.breaks_after = [400_000]
    download.download(wanted(first, second), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert second.asked == ["bytes=400000-"]


def test_a_server_that_ignores_ranges_sends_the_file_anew(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    mirror = mirrors()
    mirror.understands_ranges = False
    download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_that_answers_with_another_range_is_not_believed(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    wrong, right = mirrors(), mirrors()
    wrong.shifts_ranges = True
    download.download(wanted(wrong, right), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_with_wrong_content_is_fetched_anew(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    mirror = mirrors()
    download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == ["bytes=1000-", None]


def test_a_mirror_with_wrong_content_is_passed_over(mirrors: Any, tmp_path: Path) -> None:
    download.download(wanted(mirrors(b"y" * len(CONTENT)), mirrors()), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_mirror_that_sends_without_end_is_cut_off(mirrors: Any, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    endless = mirrors(b"y" * len(CONTENT) * 20)
    with pytest.raises(DataError, match="md5"):
        download.download(wanted(endless), tmp_path / "file", lambda *progress: told.append(progress))
    assert max(done for _, done, _ in told) == len(CONTENT)
    assert not (tmp_path / "file").exists()


def test_what_follows_the_right_bytes_is_left_unread(mirrors: Any, tmp_path: Path) -> None:
    endless = mirrors(CONTENT * 20)
    download.download(wanted(endless), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(endless.asked) == 1


def test_when_no_mirror_has_it_each_is_named_with_what_it_said(mirrors: Any, tmp_path: Path) -> None:
    wrong, gone = mirrors(b"y" * len(CONTENT)), mirrors()
    gone.close()
    with pytest.raises(DataError) as error:
        download.download(wanted(wrong, gone), tmp_path / "file", say_nothing)
    message = str(error.value)
    assert f"{wrong.url}: its content has md5 {hashlib.md5(b'y' * len(CONTENT)).hexdigest()}" in message
    assert f"{gone.url}: " in message
    assert f"put it into {tmp_path} by hand" in message
    assert not (tmp_path / "file").exists()


def test_a_slow_mirror_is_left_for_the_next_and_taken_again_if_that_fails(
    mirrors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(download, "SLOW_BYTES_PER_SECOND", 10**15)
    slow, gone = mirrors(), mirrors()
    gone.close()
    download.download(wanted(slow, gone), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(slow.asked) == 2


def test_a_mirror_that_goes_on_with_another_ones_wrong_bytes_is_asked_for_all_of_it(
    mirrors: Any, tmp_path: Path
) -> None:
    wrong, right = mirrors(b"y" * len(CONTENT)), mirrors()
    wrong.breaks_after = [400_000]
    download.download(wanted(wrong, right), tmp_path / "file", say_nothing)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert right.asked == ["bytes=400000-", None]


def test_too_little_space_is_told_beforehand(mirrors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))  # type: ignore[attr-defined]
    mirror = mirrors()
    with pytest.raises(DataError, match="takes 1 MB under"):
        download.download(wanted(mirror), tmp_path / "file", say_nothing)
    assert mirror.asked == []


def test_a_disk_that_fills_up_meanwhile_is_told(mirrors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*progress: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="not so much left"):
        download.download(wanted(mirrors()), tmp_path / "file", full)


def test_a_data_folder_that_cannot_be_made_is_told(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="BAKEOFF_DATA_DIR"):
        download.download(wanted(mirrors()), tmp_path / "file" / "data" / "x", say_nothing)


def test_two_at_once_fetch_it_once(mirrors: Any, tmp_path: Path) -> None:
    mirror = mirrors()
    arguments = (wanted(mirror), tmp_path / "file", say_nothing)
    threads = [threading.Thread(target=download.download, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(mirror.asked) == 1


def test_cifar10_is_downloaded_checked_and_read(
    mirrors: Any, cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(cifar_folder, cifar_folder.name)
    mirror = mirrors(packed.getvalue())
    there = wanted(mirror, content=packed.getvalue())
    monkeypatch.setitem(cifar.BY_NAME, "cifar10", dataclasses.replace(cifar.CIFAR10, download=there))
    dataset = prepare("cifar10", data_dir=tmp_path / "downloads", cache_dir=tmp_path / "cache")
    assert (len(dataset.train), len(dataset.test)) == (100, 20)
    prepare("cifar10", data_dir=tmp_path / "downloads", cache_dir=tmp_path / "cache")
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("one", [cifar.CIFAR10, cifar.CIFAR100], ids=["cifar10", "cifar100"])
def test_every_mirror_is_reached_over_https(one: cifar.Cifar) -> None:
    assert len(one.download.urls) >= 2
    assert one.download.urls[0].startswith("https://www.cs.toronto.edu/~kriz/")
    assert all(url.startswith("https://") and one.archive in url for url in one.download.urls)
