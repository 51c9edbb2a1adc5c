"""Watching a study from the command line: a server for as long as the command lasts."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from bakeoff.errors import StudyError, near_miss
from bakeoff.records import RunStatus
from bakeoff.report.page import scripts
from bakeoff.reporting import Looked, look, page_of
from bakeoff.study.folder import STUDY_FILE, Study
from bakeoff.study.reading import Reading
from bakeoff.watch.live import live_parts
from bakeoff.watch.server import WatchServer


def check_folder(folder: Path) -> None:
    """Check that a study is, or may come to be, in a folder.

    Raises:
        StudyError: If it is a file, holds other things, or cannot be read.
    """
    try:
        _check_folder(folder)
    except OSError as error:
        raise StudyError(
            f"`bakeoff watch` needs to read the study's folder, but {folder}: {error.strerror or error}; ask its owner"
        ) from error


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StudyError(
            f"`bakeoff watch` takes a study's folder, but {folder} is a file; give the folder that `bakeoff run` names"
        )
    if (folder / STUDY_FILE).is_file() or not folder.exists():
        return
    strangers = sorted(one.name for one in folder.iterdir() if one.name != "lock" and not one.name.startswith("."))
    if strangers:
        raise StudyError(
            f"a study's folder must hold {STUDY_FILE}, but {folder} holds {', '.join(strangers[:5])}; give the folder that "
            "`bakeoff run` names"
        )


def waiting_words(folder: Path) -> str | None:
    """Return what to say of a folder that holds no study yet; None if it holds one."""
    if (folder / STUDY_FILE).is_file():
        return None
    beside = [one.name for one in folder.parent.iterdir() if one.is_dir()] if folder.parent.is_dir() else []
    meant = "" if folder.exists() else near_miss(folder.name, beside)
    return f"There is no study in {folder} yet{meant}; it is shown as soon as `bakeoff run` has planned it"


class Looks:
    """What was last seen of a study's pictures and predictions: they are looked at again once another run has ended."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self._data_dir = data_dir
        self._key: tuple[object, ...] = ()
        self._looked: Looked | None = None

    def of(self, reading: Reading) -> Looked:
        """Return what there is to be seen of a study as it stands."""
        done = frozenset(reading.runs[reading.runs["status"] == RunStatus.DONE]["run_id"])
        key = (reading.study.spec.id, done, frozenset(reading.unranked()))  # who is best is among those ranked
        if self._looked is None or key != self._key:
            self._key, self._looked = key, look(reading, self._data_dir)
        return self._looked


def server_of(folder: Path, port: int | None, data_dir: Path | None = None) -> WatchServer:
    """Return a server of the pages of a study, as `bakeoff report` draws them.

    Raises:
        StudyError: If the port cannot be had.
    """
    looks = Looks(data_dir)

    def draw(version: str) -> str:
        reading, added = Study(folder).reading(), live_parts(version, scripts())
        return page_of(reading, looks.of(reading), head=added.head, top=added.top)

    return WatchServer(folder, draw, scripts=scripts(), port=port)


def serve(
    folder: Path,
    *,
    port: int | None,
    open_browser: bool | None,
    say: Callable[[str], None],
    data_dir: Path | None = None,
) -> None:
    """Serve a study's live page until Ctrl-C.

    Args:
        folder: The study's; it need not exist yet.
        port: Where to listen; None for the usual one or one of the next.
        open_browser: Whether to show the page in a browser; None if there is somebody who would see it.
        say: Shows a sentence.
        data_dir: Where downloaded data sets are kept.

    Raises:
        StudyError: If the folder holds other things than a study, or the port cannot be had.
    """
    check_folder(folder)
    server = server_of(folder, port, data_dir)
    try:
        if (words := waiting_words(folder)) is not None:
            say(words)
        say(f"Watching {folder} at {server.url} (Ctrl-C ends)")
        if open_browser or (open_browser is None and _somebody_sees()):
            webbrowser.open(server.url)
        server.serve_forever()
    except KeyboardInterrupt:
        say("Stopped watching.")
    finally:
        server.close()


def _somebody_sees() -> bool:
    """Whether a browser would come up in front of whoever gave the command, not on a machine far away."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
