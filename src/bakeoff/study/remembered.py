"""What was measured once of pictures and networks, kept for the next study: it then starts without loading torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bakeoff.errors import StudyError
from bakeoff.files import write_atomically
from bakeoff.spec import content_id

FOLDER = "measured"
"""Folder within the cache folder."""

PACKAGES = ("torch", "torchvision", "timm", "numpy")
"""Packages whose versions may decide what is measured, besides bakeoff's own code."""

Fact = TypeVar("Fact")


class Remembered:
    """Facts by what decides them, each in a small file.

    Whatever was measured by other code, be it of bakeoff or of the packages that it builds on, is not found again.

    Args:
        cache: The cache's folder. One that cannot be written to remembers nothing new.
    """

    def __init__(self, cache: Path) -> None:
        self._folder = cache / FOLDER
        self._adapters: dict[type[Any], TypeAdapter[Any]] = {}

    def fact(self, kind: type[Fact], key: Sequence[Any], measure: Callable[[], Fact]) -> Fact:
        """Return a fact, measured only where it is not known.

        Args:
            kind: Its type, which pydantic can write and read.
            key: Plain values: equal key, equal fact.
            measure: Returns the fact, or raises, which is not remembered.
        """
        known = self.recall(kind, key)
        if known is not None:
            return known
        found = measure()
        self.keep(kind, key, found)
        return found

    def recall(self, kind: type[Fact], key: Sequence[Any]) -> Fact | None:
        """Return what was kept under a key, or None."""
        try:
            known: Fact = self._adapter(kind).validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):  # not there yet, or damaged
            return None
        return known

    def keep(self, kind: type[Fact], key: Sequence[Any], fact: Fact) -> None:
        """Remember a fact, as far as the cache can be written to."""
        with contextlib.suppress(StudyError):  # a cache that others share may be read-only
            write_atomically(self._path(key), self._adapter(kind).dump_json(fact))

    def _path(self, key: Sequence[Any]) -> Path:
        return self._folder / f"{content_id([_code(), *key])}.json"

    def _adapter(self, kind: type[Any]) -> TypeAdapter[Any]:
        if kind not in self._adapters:
            self._adapters[kind] = TypeAdapter(kind)
        return self._adapters[kind]


@cache
def _code() -> str:
    """Return a name for the code that measures: versions, and bakeoff's files with their times, as developers change them."""
    root = Path(__file__).parents[1]
    files = sorted(path for kind in ("*.py", "*.c") for path in root.rglob(kind))
    stamps = [
        (str(path.relative_to(root)), status.st_size, status.st_mtime_ns) for path in files if (status := path.stat())
    ]
    return content_id([[_version(package) for package in PACKAGES], stamps])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
