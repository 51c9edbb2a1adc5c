"""Decoding a folder's pictures with all cores: a few processes, each fed by a thread."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.data.decode import READY, Header, work
from bakeoff.errors import DataError

PICTURES_A_JOB = 64
FEW = 400
"""Up to so many pictures are decoded in this process: starting others would take longer."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be used."""

    path: Path
    reason: str


CHECKED_SIDE = 8
"""Side in pixels to which pictures are decoded only to see whether they are whole."""


def read_headers(
    paths: Sequence[Path], on_done: Callable[[int], None], *, decode: bool = False
) -> tuple[list[Header | None], list[Problem]]:
    """Read what every picture claims to be; None where it cannot be used, with the reason among the problems.

    With `decode`, each is decoded as well, which is how a truncated one shows.
    """
    headers: list[Header | None] = [None] * len(paths)

    def keep(first: int, answer: dict[str, Any]) -> None:
        for number, found in enumerate(answer["headers"]):
            headers[first + number] = None if found is None else Header(found[0], found[1], tuple(found[2]))

    return headers, _work_through(paths, None, CHECKED_SIDE if decode else None, keep, on_done)


def decode_into(array: Path, paths: Sequence[Path], size: int, on_done: Callable[[int], None]) -> list[Problem]:
    """Decode pictures into the rows of a `.npy` file, in order, and return those that cannot be used."""
    return _work_through(paths, array, size, lambda first, answer: None, on_done)


def _work_through(
    paths: Sequence[Path],
    array: Path | None,
    size: int | None,
    keep: Callable[[int, dict[str, Any]], None],
    on_done: Callable[[int], None],
) -> list[Problem]:
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for first in range(0, len(paths), PICTURES_A_JOB):
        jobs.put(first)
    answers: queue.SimpleQueue[tuple[int, dict[str, Any]] | BaseException] = queue.SimpleQueue()
    processes = 0 if len(paths) <= FEW else _cores()

    stop = threading.Event()
    decoders = [_Decoder(stop, in_process=processes == 0) for _ in range(max(1, processes))]

    def feed(decoder: _Decoder) -> None:
        try:
            with decoder:
                while not stop.is_set():
                    try:
                        first = jobs.get_nowait()
                    except queue.Empty:
                        return
                    chunk = [str(path) for path in paths[first : first + PICTURES_A_JOB]]
                    job = {"array": array and str(array), "first": first, "size": size, "paths": chunk}
                    answers.put((first, decoder.work(job)))
        except _StoppedError:
            return
        except BaseException as error:
            answers.put(error)

    threads = [threading.Thread(target=feed, args=(decoder,), daemon=True) for decoder in decoders]
    for thread in threads:
        thread.start()
    problems: list[Problem] = []
    done = 0
    try:
        while done < len(paths):
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            first, found = answer
            keep(first, found)
            problems += [Problem(paths[first + number], reason) for number, reason in found["problems"]]
            done += len(paths[first : first + PICTURES_A_JOB])
            on_done(done)
    except BaseException:  # of a thread, or Ctrl-C: nobody waits for the others any more
        stop.set()
        for decoder in decoders:
            decoder.kill()
        raise
    finally:
        for thread in threads:
            thread.join()
    return sorted(problems, key=lambda problem: problem.path)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started() -> subprocess.Popen[str]:
    """Start a decoding process and wait until it is ready.

    Raises:
        DataError: If it does not start, which no picture is to blame for.
    """
    # It is to find this very package, by whatever path this process did; last on its own path, before which all that is
    # Python's comes. And -P: nor may a module in the folder that the user happens to be in stand in for one of those.
    program = "import sys; sys.path.append(sys.argv[1]); from bakeoff.data.decode_worker import main; main()"
    command = [sys.executable, "-P", "-c", program, str(Path(__file__).resolve().parents[2])]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C reaches this process alone, which ends them
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != READY:
        process.kill()
        process.communicate()
        raise DataError(f"a decoding process must start, but this did not: {shlex.join(command)}; run it to see why")
    return process


class _StoppedError(Exception):
    """Nobody waits for more pictures."""


class _Decoder:
    """A decoding process that is started anew if a picture brings it down, until all are to stop."""

    def __init__(self, stop: threading.Event, *, in_process: bool) -> None:
        self._stop = stop
        self._process: subprocess.Popen[str] | None = None
        self._in_process = in_process

    def __enter__(self) -> _Decoder:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def kill(self) -> None:
        """End the process, from another thread; `stop` is to be set before."""
        process = self._process
        if process is not None:
            process.kill()

    def work(self, job: dict[str, Any]) -> dict[str, Any]:
        if self._in_process:
            return work(job, {})
        answer = self._asked(job)
        if answer is not None:
            return answer
        # A picture brought the process down: find which, one by one.
        problems: list[Any] = []
        headers: list[Any] = []
        for number, path in enumerate(job["paths"]):
            single = self._asked(job | {"paths": [path], "first": job["first"] + number})
            if single is None:
                problems.append([number, "brings the decoder down"])
                headers.append(None)
            else:
                problems += [[number, reason] for _, reason in single["problems"]]
                headers += single["headers"]
        return {"problems": problems, "headers": headers}

    def _asked(self, job: dict[str, Any]) -> dict[str, Any] | None:
        if self._process is None and not self._stop.is_set():
            self._process = _started()
        if self._process is None or self._stop.is_set():  # asked again: who stopped all may not have seen the process
            raise _StoppedError
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._close()
            return None
        line = self._process.stdout.readline()
        if not line:
            self._close()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already, which is why it is closed
            process.stdin.close()
        process.wait()
        process.stdout.close()
