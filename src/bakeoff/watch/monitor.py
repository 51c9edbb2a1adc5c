"""Following a study folder without disturbing who writes it.

Two times a second the files' sizes and times are asked for, which takes no lock and opens nothing. Only once they have
changed is the database opened, read-only, and closed again after one short query: a connection that stayed open would
keep the driver from folding its write-ahead log into the database when it ends.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bakeoff.errors import BakeoffError
from bakeoff.store import Store
from bakeoff.study.driver import WORKERS
from bakeoff.study.folder import DATABASE, STUDY_FILE, stored_study
from bakeoff.watch.board import Board
from bakeoff.watch.standing import rows_of, standing, told
from bakeoff.words import clean

EVERY = 0.5
"""Seconds between two looks."""

REFRESH = 5.0
"""Seconds after which the time left is told anew, though nothing was recorded; also what shows that a reader has gone."""

YOUNG = 0.1
"""Seconds in which a file may change twice with the same time of change: file systems count in ticks of up to 10 ms."""

WORKERS_TOLD = re.compile("[1-9][0-9]{0,3}")
"""How the driver writes down how many runs go at once."""

Mark = tuple[int, int, int]
"""A file's number, size and time of change in nanoseconds."""


class Marks(NamedTuple):
    """What changes whenever a study's files do."""

    study: Mark | None
    database: Mark | None
    log: Mark | None
    """The write-ahead log, where the latest records are; None while it is empty."""

    folder: bool
    """Whether it is there."""

    young: bool
    """Whether the last change is so recent that another could have left the same marks. They change once more when it
    is not, so that what was read too early is read again."""

    @property
    def changed_at(self) -> float | None:
        """When a record was last written, in seconds since the epoch; None before there is a database."""
        times = [mark[2] for mark in (self.database, self.log) if mark is not None]
        return max(times) / 1e9 if times else None


def marks_of(folder: Path) -> Marks:
    """Return the marks of a study folder's files."""
    study, database = _mark(folder / STUDY_FILE), _mark(folder / DATABASE)
    log = _mark(folder / f"{DATABASE}-wal")
    log = None if log is None or log[1] == 0 else log
    newest = max((mark[2] for mark in (study, database, log) if mark is not None), default=0)
    return Marks(study, database, log, _mark(folder) is not None, time.time() - newest / 1e9 < YOUNG)


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:  # not there, or no longer to be reached: the same to who looks
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Heard(NamedTuple):
    """What was last heard of a run, and when."""

    done: int
    status: str
    at: float


class Monitor:
    """Follows a study folder and puts up what becomes of it.

    Args:
        folder: The study's; it need not exist yet.
        board: Where to put up news.
    """

    def __init__(self, folder: Path, board: Board) -> None:
        self.version = 0
        """Grows each time the study's records were read anew; 0 while there are none."""

        self._folder = folder
        self._board = board
        self._marks: Marks | None = None
        self._study = ""
        self._workers: int | None = None
        self._rows: pd.DataFrame | None = None
        self._heard: dict[str, _Heard] = {}
        self._failure: str | None = None
        self._told_at = -REFRESH
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="bakeoff-watch-monitor", daemon=True)

    def start(self) -> None:
        """Look once, then go on looking in a thread of its own."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End looking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._stop.wait(EVERY):
                self.look()
        except Exception as error:
            logging.getLogger(__name__).exception("watching %s ended by an error", self._folder)
            self._board.post(trouble=clean(f"Watching ended by an error ({error!r}); start `bakeoff watch` again."))

    def look(self) -> None:
        """Look at the files, and read and put up what has changed."""
        marks, now = marks_of(self._folder), time.monotonic()
        if marks != self._marks:
            self._marks = marks
            self._read(marks, now)
        elif now - self._told_at >= REFRESH:
            self._tell(marks, now)

    def _read(self, marks: Marks, now: float) -> None:
        if marks.study is None:
            self._told_at = now
            self._board.post(trouble=clean(self._absent(marks)))
            return
        try:
            rows = self._rows_now(marks)
        except (BakeoffError, OSError) as error:
            self._marks = None  # look again
            again, self._failure = self._failure is not None, clean(f"The study cannot be read: {error}")
            changed = self._failure != self._board.news.trouble
            if again and (changed or now - self._told_at >= REFRESH):  # once may be a moment's: tables not made yet
                self._told_at = now
                self._board.post(trouble=self._failure)
            return
        self._failure = None
        replaced = self._hear(rows, marks, now)
        self._rows = rows
        self.version += marks.database is not None
        notice = f"The study in this folder was replaced or begun anew at {_clock()}. What is shown is the new one."
        self._tell(marks, now, trouble=None, **({"notice": notice} if replaced else {}))

    def _rows_now(self, marks: Marks) -> pd.DataFrame:
        study = stored_study(self._folder)
        if study is None:
            raise FileNotFoundError(f"{self._folder / STUDY_FILE} has just gone")
        self._study = study.name
        if marks.database is None:
            return rows_of(study)
        with Store.open_read_only(self._folder / DATABASE) as store:
            rows = store.progress_frame()
            workers = store.note(WORKERS)
        self._workers = int(workers) if workers and WORKERS_TOLD.fullmatch(workers) else None
        return rows if len(rows) else rows_of(study)

    def _hear(self, rows: pd.DataFrame, marks: Marks, now: float) -> bool:
        """Note when each run's last record came; return whether this is another study than the one that was known."""
        known = self._heard
        age = 0.0 if known or marks.changed_at is None else max(0.0, time.time() - marks.changed_at)
        new = {
            str(key): _Heard(int(done), str(status), now - age)
            for key, done, status in zip(rows["run_id"], rows["done"], rows["status"], strict=True)
        }
        self._heard = {
            key: known[key] if key in known and known[key][:2] == run[:2] else run for key, run in new.items()
        }
        return any(run.done > (new[key].done if key in new else 0) for key, run in known.items())

    def _tell(self, marks: Marks, now: float, **changes: str | None) -> None:
        self._told_at = now
        if self._rows is None or marks.study is None:  # of a study that is gone nobody knows what time is left
            self._board.post(**changes)
            return
        since = {key: now - run.at for key, run in self._heard.items()}
        silent_for = 0.0 if marks.changed_at is None else time.time() - marks.changed_at
        current = standing(self._study, self._rows, workers=self._workers, since=since, silent_for=silent_for)
        self._board.post(standing=told(current), **changes)

    def _absent(self, marks: Marks) -> str:
        if self._rows is not None and not marks.folder:
            return (
                f"The study's folder {self._folder} is gone since {_clock()}: it was moved or deleted. What is shown is the last "
                "that was read; bring the folder back, or start `bakeoff watch` with its new place."
            )
        if self._rows is not None:
            return f"Since {_clock()} there is no study in {self._folder} any more. What is shown is the last that was read."
        return f"There is no study in {self._folder} yet. It is shown here as soon as `bakeoff run` has planned it."


def _clock() -> str:
    return datetime.now().strftime("%H:%M:%S")
