"""Downloads that go on where they stopped, from the first mirror that has the right content."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from bakeoff.errors import DataError

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which a mirror is given up."""


def download(urls: Sequence[str], target: Path, md5: str, on_progress: Callable[[str, int, int | None], None]) -> Path:
    """Fetch a file, checked, through a `.part` file beside it that a later call goes on with.

    Args:
        urls: Mirrors, tried in order.
        target: Where it will be.
        md5: What its content must hash to, in hexadecimal.
        on_progress: Told of bytes done and in all.

    Returns:
        The target.

    Raises:
        DataError: If no mirror gives the right content, with what each said.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    said = []
    for url in urls:
        try:
            _fetch(url, part, on_progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            said.append(f"{url}: {error}")
            continue
        found = md5_of(part)
        if found == md5:
            part.replace(target)
            return target
        part.unlink()
        said.append(f"{url}: its content has md5 {found} instead of {md5}")
    raise DataError(
        f"{target.name} could not be downloaded; put it into {target.parent} by hand, or try again later:\n  " + "\n  ".join(said)
    )


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal: to tell a damaged download, not to trust it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(url: str, part: Path, on_progress: Callable[[str, int, int | None], None]) -> None:
    """Fetch what is missing of a file.

    Raises:
        ConnectionError: If the transfer ends early.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing left to send: the part is whole, or longer than the file
            return
        raise
    with response:
        goes_on = response.status == 206
        have = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                on_progress("downloading", have, total)
    if total is not None and have < total:
        raise ConnectionError(f"the transfer ended after {have:,} of {total:,} bytes")
