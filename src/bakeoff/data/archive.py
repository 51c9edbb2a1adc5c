"""Zip and tar archives of a folder of pictures, unpacked without letting anything out of their folder."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock

from bakeoff.errors import DataError
from bakeoff.files import unfinished_folder
from bakeoff.records import OnStage

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)
"""What reading a damaged, encrypted or unknown archive raises, besides OSError."""

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST_RATIO = 200
"""Unpacked bytes for each packed one beyond which an archive is refused: pictures barely pack at all."""


def is_archive(path: Path) -> bool:
    """Whether a file is named as an archive that can be unpacked."""
    return path.name.lower().endswith(SUFFIXES)


def unpacked(path: Path, root: Path, name: str, on_progress: OnStage) -> Path:
    """Unpack an archive below `root` under a name, unless that is done already, and return the folder of pictures.

    Raises:
        DataError: If it is damaged, would write outside its folder, holds links or devices, or is too large.
    """
    target = root / "unpacked" / name
    if target.exists():  # whole, and perhaps where nobody may write, as a cache that others share
        return _down_to_pictures(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f"{name}.lock"):
            if not target.exists():
                for leftover in target.parent.glob(f".{name}.*"):  # of a process that was killed
                    shutil.rmtree(leftover, ignore_errors=True)
                _unpack(path, target, on_progress)
    except OSError as error:
        raise _explained(path, target.parent, error) from error
    return _down_to_pictures(target)


def _unpack(path: Path, target: Path, on_progress: OnStage) -> None:
    partial = unfinished_folder(target)
    try:
        _extract(path, partial, on_progress)
        partial.replace(target)
    except DAMAGE as error:
        raise DataError(f"an archive must be whole and readable, but {path}: {error}; get it anew") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(path: Path, target: Path, on_progress: OnStage) -> None:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                _check_name(path, info.filename)
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise DataError(f"an archive of pictures may hold no links, but {path} holds {info.filename!r}")
            _check_size(path, target, sum(info.file_size for info in members))
            for done, info in enumerate(members, 1):
                archive.extract(info, target)
                on_progress("unpacking", done, len(members))
        return
    with tarfile.open(path) as archive:
        entries, size = [], 0
        for entry in archive:
            _check_name(path, entry.name)
            if not (entry.isfile() or entry.isdir()):
                raise DataError(f"an archive of pictures may hold no links or devices, but {path} holds {entry.name!r}")
            size += entry.size
            _check_size(path, target, size)  # at each header: a bomb is not even unpacked to see what follows
            entries.append(entry)
        for done, entry in enumerate(entries, 1):
            archive.extract(entry, target, filter="data")
            on_progress("unpacking", done, len(entries))


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or PureWindowsPath(name).drive or "\0" in name:
        raise DataError(
            f"an archive must stay inside its folder, but {path} holds {name!r}; do not use it if you did not make it"
        )


def _check_size(path: Path, target: Path, size: int) -> None:
    packed, free = path.stat().st_size, shutil.disk_usage(target).free
    if size > LARGEST_RATIO * max(packed, 4096):
        raise DataError(
            f"an archive of pictures unpacks to about its own size, but {path} claims {size:,} bytes from {packed:,}; "
            "do not use it if you did not make it"
        )
    if size > free:
        raise DataError(
            f"unpacking {path} takes {size / 1e9:.1f} GB under {target.parent}, but {free / 1e9:.1f} GB are free; "
            "free some, or set BAKEOFF_CACHE_DIR to another disk"
        )


def _explained(path: Path, place: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"unpacking {path} needs space under {place}, but none is left; "
            "free some, or set BAKEOFF_CACHE_DIR to another disk"
        )
    if error.errno is None:  # raised by gzip and its like, not by the system
        return DataError(f"an archive must be whole and readable, but {path}: {error}; get it anew")
    return DataError(
        f"{path} must be unpacked to {place}, but {error}; set BAKEOFF_CACHE_DIR to a folder that can be written to"
    )


def _down_to_pictures(folder: Path) -> Path:
    """Follow folders that hold nothing but one folder, as archives often do, down to where the classes begin."""
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].name == "train":
            return folder
        inner = [entry for entry in entries[0].iterdir() if entry.is_dir()]
        if not inner:
            return folder
        folder = entries[0]
