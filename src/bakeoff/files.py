"""Writing files so that a reader finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import zipfile
import zlib
from pathlib import Path

from bakeoff.errors import StudyError

DAMAGED_ARRAYS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    MemoryError,
    RuntimeError,  # encrypted, or compressed in a way that is not read, as a single wrong bit may claim
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged `.npz` file raises, be it cut off, altered or none at all."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary one beside it, so that a crash leaves the old content or the new.

    Raises:
        StudyError: If there is no space left, the folder cannot be written to, or what has this name is no file.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a device or a pipe"
        raise StudyError(f"{path} must be a file, but is {what}; give the name of a file")
    temporary = _unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from error


def unfinished_folder(target: Path) -> Path:
    """Make an empty folder beside a target, to be filled and then renamed to it."""
    folder = _unfinished(target)
    folder.mkdir()
    return folder


def drop_unfinished(path: Path) -> None:
    """Delete what is left of writing a file where a process was killed; nobody may be writing it now."""
    with contextlib.suppress(OSError):  # where nothing can be deleted, nothing new can be left either
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            leftover.unlink()


def _unfinished(path: Path) -> Path:
    # Not the names of `tempfile`, whose files and folders only their owner can read: teams share studies and caches.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def unwritable(path: Path, error: OSError) -> StudyError:
    """Return the error that says why a path could not be written to, and what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StudyError(
            f"{path} needs space on its disk, but none is left; free some, then give the same command again to go on"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return StudyError(f"{path} must be writable, but {error.strerror}; choose another folder with --out")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return StudyError(f"{path} must lie in a folder, but a file is in its place; give another name")
    return StudyError(
        f"{path} could not be written: {error.strerror or error}; look after its disk, or give another name"
    )
