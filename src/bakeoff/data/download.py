"""Downloads that go on where they stopped, from the first mirror that has the right content."""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from bakeoff.errors import DataError
from bakeoff.records import OnStage

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which a mirror is given up."""

SLOW_SECONDS = 20.0
SLOW_BYTES_PER_SECOND = 200_000
"""Rate over that time below which the next mirror is tried first (a guess: 170 MB in a quarter of an hour)."""


class _TransferError(Exception):
    """This mirror does not give the file now; another may, or the same later."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that mirrors have, and how to know it."""

    urls: tuple[str, ...]
    """Mirrors, tried in order."""

    md5: str
    """What its content must hash to, in hexadecimal."""

    size: int
    """Size in bytes."""


def download(wanted: Download, target: Path, on_progress: OnStage) -> Path:
    """Fetch a file, checked, through a `.part` file beside it that a later call goes on with.

    Every mirror is tried twice, going on with what has arrived: in the first round a slow one is left for the next, in
    the second any speed will do.

    Args:
        wanted: What to fetch.
        target: Where it will be.
        on_progress: Told of bytes done and in all.

    Returns:
        The target.

    Raises:
        DataError: If no mirror gives the right content, with what each said; if the disk is full or the folder cannot
            be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):  # two at once would spoil each other's part
            if target.exists():
                return target
            return _from_mirrors(wanted, target, on_progress)
    except OSError as error:
        raise _explained(target, wanted.size, error) from error


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal: to tell a damaged download, not to trust it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _from_mirrors(wanted: Download, target: Path, on_progress: OnStage) -> Path:
    part = target.with_name(target.name + ".part")
    impatient = [(url, len(wanted.urls) == 1) for url in wanted.urls]
    said: list[str] = []
    for url, patient in [*impatient, *((url, True) for url in wanted.urls)]:
        try:
            _complete(url, part, wanted, on_progress, patient=patient)
        except _TransferError as error:
            said.append(f"{url}: {error}")
            continue
        part.replace(target)
        return target
    raise DataError(
        f"{target.name} must come from one of its mirrors, but none gave it; put it into {target.parent} by hand, "
        "or give the same command again later:\n  " + "\n  ".join(dict.fromkeys(said))
    )


def _complete(url: str, part: Path, wanted: Download, on_progress: OnStage, *, patient: bool) -> None:
    """Complete a part from one mirror, or fetch it whole if what was there before turns out to be wrong.

    Raises:
        _TransferError: If the mirror fails, or its own content is not what is wanted.
        OSError: If there is no space left, or the part cannot be written.
    """
    while True:
        have = part.stat().st_size if part.exists() else 0
        if wanted.size - have > shutil.disk_usage(part.parent).free:
            raise OSError(errno.ENOSPC, "No space left on device")
        if have < wanted.size:
            _fetch(url, part, wanted.size, on_progress, patient=patient)
        found = md5_of(part)
        if found == wanted.md5:
            return
        part.unlink()
        if have == 0:
            raise _TransferError(f"its content has md5 {found} instead of {wanted.md5}")


def _fetch(url: str, part: Path, size: int, on_progress: OnStage, *, patient: bool) -> None:
    """Fetch what is missing of a file.

    Raises:
        _TransferError: If the mirror fails, ends early, or is slow and we are not patient.
        OSError: If the part cannot be written.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "bakeoff"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(str(error)) from error
    with response:
        # A mirror that ignores the range, or answers with another one, sends the file from its start.
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not goes_on:
            raise _TransferError("it answers with another part of the file than was asked for")
        have = have if goes_on else 0
        began, before = time.monotonic(), have
        with part.open("ab" if goes_on else "wb") as file:
            # No more than the file's size is read, whatever the mirror goes on to send: the checksum judges that much.
            while chunk := _read(response, min(CHUNK, size - have)):
                file.write(chunk)
                have += len(chunk)
                on_progress("downloading", have, size)
                seconds = time.monotonic() - began
                if not patient and seconds > SLOW_SECONDS and have - before < SLOW_BYTES_PER_SECOND * seconds:
                    raise _TransferError(f"it sends {(have - before) / seconds / 1000:.0f} kB/s")
    if have < size:
        raise _TransferError(f"the transfer ended after {have:,} of {size:,} bytes")


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    try:
        return response.read1(most) if most else b""
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(f"the transfer broke off: {error}") from error


def _explained(target: Path, size: int, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"{target.name} takes {size / 1e6:.0f} MB under {target.parent}, but its disk has not so much left; "
            "free some, or set BAKEOFF_DATA_DIR to another disk"
        )
    return DataError(
        f"{target.name} must be downloaded to {target.parent}, but {error}; set BAKEOFF_DATA_DIR to a folder "
        "that can be written to"
    )
