"""Writing files so that a reader finds the old content or the new, never a part."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from bakeoff.errors import StudyError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary one beside it, so that a crash leaves the old content or the new.

    Raises:
        StudyError: If there is no space left, or the folder cannot be written to.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise _explained(path, error) from error


def _explained(path: Path, error: OSError) -> StudyError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StudyError(
            f"{path} needs space on its disk, but none is left; free some, then give the same command again to go on"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return StudyError(f"{path} must be writable, but {error.strerror}; choose another folder with --out")
    return StudyError(f"{path} could not be written: {error}")
