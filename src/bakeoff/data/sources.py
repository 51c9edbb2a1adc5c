"""From what a user names to a data set in the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import platformdirs

from bakeoff.data import cifar, digits, folder
from bakeoff.data.archive import SUFFIXES, is_archive, unpacked
from bakeoff.data.cache import cache_root, open_or_build, opened_if_there
from bakeoff.data.dataset import Dataset
from bakeoff.errors import DataError, SpecError, near_miss
from bakeoff.records import OnStage
from bakeoff.spec import content_id

LARGEST_SIDE = 4096
"""Largest side in pixels, as `DataSpec.size` allows."""

KNOWN_SOURCES = ("digits", "cifar10", "cifar100")


def data_root(data_dir: Path | None) -> Path:
    """Return where downloaded data sets are: the argument, BAKEOFF_DATA_DIR, or the user's data folder."""
    if data_dir is not None:
        return data_dir
    named = os.environ.get("BAKEOFF_DATA_DIR")
    return Path(named) if named else Path(platformdirs.user_data_dir("bakeoff"))


def prepare(
    source: str,
    *,
    size: int | None = None,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_progress: OnStage | None = None,
    may_download: bool = True,
) -> Dataset:
    """Find a data set and decode it into the cache, unless it is there already.

    Args:
        source: `digits`, `cifar10`, `cifar100`, a folder of pictures, a folder of CIFAR's batches, or a zip or tar.
        size: Side in pixels that a folder's pictures (or the digits) are brought to; default: see `DataSpec.size`.
        data_dir: Where downloads are kept.
        cache_dir: Where decoded pictures are kept.
        on_progress: Told of a stage's name, how much is done, and how much there is.
        may_download: Whether what is not on this machine may be fetched.

    Raises:
        SpecError: If there is nothing of that name, or the size is none that pictures can have here.
        DataError: If the pictures cannot be used, or the cache cannot be written to.
    """
    if size is not None and not 1 <= size <= LARGEST_SIDE:
        raise SpecError(f"data.size must be from 1 to {LARGEST_SIDE} pixels, but got {size}")
    tell = on_progress or _say_nothing
    root = cache_root(cache_dir)
    if source == "digits":
        return open_or_build(root, ["digits", size], lambda entry: digits.build(entry, size))
    if source in cifar.BY_NAME:
        chosen = cifar.BY_NAME[source]
        there = cifar.find(chosen, data_root(data_dir), root, tell, may_download=may_download)
        return _cifar(chosen, there, root, size, tell)
    place = place_of(source, root, tell)
    recognised = cifar.recognised(place)
    if recognised is not None:
        return _cifar(*recognised, root, size, tell)
    layout, name = folder.scan(place), name_of(source)

    def key(side: int | None) -> list[Any]:
        return ["folder", name, side, layout.classes, layout.stamps]

    if size is not None:
        # A resumed study asks for the side that was decided for it the first time.
        found = opened_if_there(root, key(None))
        if found is not None and found.size == size:
            return found
    return open_or_build(root, key(size), lambda entry: folder.build(entry, layout, name, size, tell))


def name_of(source: str) -> str:
    """Return what to call the data set that a path names: the folder's or archive's name, without its suffix."""
    place = Path(source).expanduser().resolve()
    suffix = next((end for end in SUFFIXES if place.is_file() and place.name.lower().endswith(end)), "")
    name = place.name[: len(place.name) - len(suffix)] or "pictures"
    return name if name.isprintable() else repr(name)[1:-1]


def place_of(source: str, root: Path, on_progress: OnStage) -> Path:
    """Return the folder that a path names, unpacking an archive first.

    Raises:
        SpecError: If it is neither a path nor a known name.
        DataError: If it is a file that is no archive, or a damaged one.
    """
    place = Path(source).expanduser()
    if not place.exists():
        raise SpecError(
            f"data must be one of {', '.join(KNOWN_SOURCES)}, or a folder of pictures, or a zip or tar of one, "
            f"but there is no {source!r}{near_miss(source, KNOWN_SOURCES)}"
        )
    if place.is_dir():
        return place.resolve()
    if not is_archive(place):
        raise DataError(
            f"data must be a folder of pictures, or a zip or tar of one, but {source!r} is a file of another kind"
        )
    status = place.stat()
    name = content_id([str(place.resolve()), status.st_size, status.st_mtime_ns])
    return unpacked(place, root, name, on_progress)


def _cifar(chosen: cifar.Cifar, place: Path, root: Path, size: int | None, tell: OnStage) -> Dataset:
    if size not in (None, cifar.SIDE):
        raise SpecError(
            f"{chosen.name} has pictures of {cifar.SIDE} pixels, but data.size = {size}; "
            "use `resize` in the view instead"
        )
    files = [place / file for file in (*chosen.train, chosen.test, chosen.meta)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{place} must hold all batches of {chosen.name}, but lacks {', '.join(missing)}")
    stamps = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return open_or_build(root, ["cifar", chosen.name, stamps], lambda entry: cifar.build(entry, chosen, place, tell))


def _say_nothing(stage: str, done: int, total: int | None) -> None:
    """Take the place of a caller that does not want to know."""
