"""`bakeoff watch` as a command: what it takes, what it says, how it ends."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import pytest

from bakeoff import cli
from bakeoff.errors import StudyError
from bakeoff.records import RunResult, RunStatus
from bakeoff.store import Store
from bakeoff.watch import serving
from bakeoff.watch.server import WatchServer
from bakeoff.watch.serving import check_folder, serve
from tests.stored import Network, bits, stored_study
from tests.synthetic import Run, planned
from tests.watch.browsing import ask, write_study
from tests.watch.writer import record


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[WatchServer]:
    """A server that gets Ctrl-C as soon as it serves; the list holds it."""
    servers: list[WatchServer] = []

    def serve_forever(server: WatchServer) -> None:
        servers.append(server)
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", serve_forever)
    return servers


def command(*arguments: str) -> int:
    before, sys.argv = sys.argv, ["bakeoff", "watch", *arguments]
    try:
        cli.main()
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    return 0


def test_it_says_where_the_page_is_and_ends_cleanly_by_ctrl_c(
    tmp_path: Path, interrupted: list[WatchServer], capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path)
    assert command(str(tmp_path), "--no-open") == 0
    said = capsys.readouterr().err
    assert f"Watching {tmp_path} at http://127.0.0.1:{interrupted[0].server_port}/" in said
    assert "Stopped watching" in said
    assert "yet" not in said
    with pytest.raises(OSError, match="refused"):
        ask(interrupted[0])


def test_a_browser_is_opened_only_where_one_would_be_seen(
    tmp_path: Path, interrupted: list[WatchServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    write_study(tmp_path)
    assert command(str(tmp_path)) == 0  # the tests have no terminal
    assert opened == []
    assert command(str(tmp_path), "--open") == 0
    assert opened == [f"http://127.0.0.1:{interrupted[1].server_port}/"]


def test_a_folder_that_is_not_there_yet_is_waited_for_with_a_near_miss(
    tmp_path: Path, interrupted: list[WatchServer], capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "classics")
    assert command(str(tmp_path / "clasics"), "--no-open") == 0
    assert "yet; did you mean 'classics'?" in capsys.readouterr().err


def test_a_port_that_is_taken_is_an_error_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path)
    other = WatchServer(tmp_path, str, port=0)
    try:
        assert command(str(tmp_path), "--no-open", "--port", str(other.server_port)) == 2
    finally:
        other.close()
    assert "leave it out to take the next free one" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_refused(tmp_path: Path, port: str) -> None:
    assert command(str(tmp_path), "--no-open", "--port", port) == 2


def test_a_file_and_a_folder_of_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(StudyError, match="is a file; give the folder"):
        check_folder(tmp_path / "holiday.jpg")
    with pytest.raises(StudyError, match=r"must hold study\.toml, but .* holds holiday\.jpg"):
        serve(tmp_path, port=0, open_browser=False, say=str)


def test_a_folder_that_may_not_be_read_is_an_error_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)  # root may read all
    with pytest.raises(StudyError, match="Permission denied; ask its owner"):
        check_folder(tmp_path / "study")


def test_an_empty_folder_and_one_that_is_only_claimed_may_become_studies(tmp_path: Path) -> None:
    check_folder(tmp_path)
    (tmp_path / "lock").write_bytes(b"")
    check_folder(tmp_path)
    check_folder(tmp_path / "later")


def test_pictures_are_looked_at_again_only_once_another_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(serving, "look", lambda reading, data_dir: looked.append(1) or object())
    study = stored_study(tmp_path, [Network(name="one", correct=bits(0.9, seeds=2, pictures=100))])
    looks = serving.Looks()
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        store.add_runs([planned(Run(candidate="late"))])
        store.mark("late/0", RunStatus.RUNNING)
        first = looks.of(study.reading())
        store.record_epoch("late/0", record(1))
        assert looks.of(study.reading()) is first
        result = RunResult(status=RunStatus.DONE, test_loss=1.0, test_accuracy=0.5, seconds_test=1.0, message=None)
        store.finish("late/0", result)
        assert looks.of(study.reading()) is not first
    assert len(looked) == 2
