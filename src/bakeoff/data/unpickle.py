"""Reading CIFAR's pickles without letting them run anything: they may build arrays, lists, strings and numbers only."""

from __future__ import annotations

import io
import pickle  # noqa: S403 (subclassed below to refuse every import but those that build an array)
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.errors import DataError


def _array(subtype: object, shape: tuple[int, ...], kind: object) -> np.ndarray[Any, Any]:
    """Stand in for numpy's reconstruction, which the pickle calls before it sets the state."""
    return np.ndarray.__new__(np.ndarray, (0,), np.int8)


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise DataError(f"a CIFAR batch may hold arrays, lists, strings and numbers only, but it asks for {module!r}.{name!r}") from None


def read_batch(path: Path) -> dict[str, Any]:
    """Read a batch file of the official Python archives.

    Returns:
        Its fields by name; byte strings are decoded as Latin-1.

    Raises:
        DataError: If it is missing, damaged, or asks for anything but arrays, lists, strings and numbers.
    """
    try:
        content = path.read_bytes()
        fields = _Restricted(io.BytesIO(content), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path}: {error}; do not use it if you did not make it") from error
    except Exception as error:
        # A damaged pickle can raise almost anything while it is read.
        raise DataError(f"{path} must be a batch of the official archive, but cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(fields, dict):
        raise DataError(f"{path} must be a batch of the official archive, but holds a {type(fields).__name__}")
    return {_text(key): value for key, value in fields.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
