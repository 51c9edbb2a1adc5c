"""Reading CIFAR's pickles without letting them run anything: they may build arrays, lists, strings and numbers only."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.errors import DataError


class _NotAllowedError(Exception):
    """The pickle asks for something that is no array, list, string or number."""


class _Dtype:
    """Stands in for `numpy.dtype`: remembers what it was called with. Its state (byte order) says nothing for bytes."""

    def __init__(self, *arguments: object) -> None:
        self.name = arguments[0] if arguments else None

    def __setstate__(self, state: object) -> None:
        """Take the state that numpy's would."""


class _Array:
    """Stands in for `numpy.ndarray`: takes its pickled state, of which only bytes of whole numbers are accepted.

    numpy's own `__setstate__` believes whatever a pickle says: a type of objects with its flags cleared makes it take
    raw bytes for pointers. So numpy never sees what the pickle says before it is checked here.
    """

    def __init__(self) -> None:
        self.pixels: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _Dtype) or dtype.name not in (b"u1", "u1", b"uint8", "uint8"):
            raise _NotAllowedError(f"an array of another type than uint8 ({getattr(dtype, 'name', None)!r})")
        if not isinstance(content, bytes) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise _NotAllowedError("an array of something else than bytes")
        self.pixels = np.frombuffer(content, dtype=np.uint8).reshape(shape, order="F" if column_major else "C")


def _array(*_: object) -> _Array:
    """Stand in for numpy's `_reconstruct`, which a pickle calls before it sets the state."""
    return _Array()


def _from_buffer(content: object, dtype: object, shape: object, order: object) -> _Array:
    """Stand in for numpy's `_frombuffer`, which pickles of protocol 5 call (the default since Python 3.14)."""
    array = _Array()
    content = bytes(content) if isinstance(content, bytearray) else content
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which Python 3 writes byte strings that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise _NotAllowedError(f"the encoding {encoding!r}")
    return text.encode("latin-1")


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
}
"""What a pickle may name, and what it gets instead: nothing of numpy's or Python's own."""


# Python's own reader: the C one takes as much memory as the memo number says that a hostile file happens to name.
class _Restricted(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise _NotAllowedError(f"{module!r}.{name!r}") from None


def read_batch(path: Path) -> dict[str, Any]:
    """Read a batch file of the official Python archives.

    Returns:
        Its fields by name: lists, strings (bytes where the pickle has them), whole numbers, and uint8 arrays.

    Raises:
        DataError: If it is missing, damaged, or asks for anything but arrays, lists, strings and numbers.
    """
    try:
        fields = _Restricted(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except _NotAllowedError as error:
        raise DataError(
            f"a CIFAR batch may hold arrays, lists, strings and numbers only, but {path} asks for {error}; "
            "do not use it if you did not make it"
        ) from error
    except Exception as error:
        # A damaged pickle can raise almost anything while it is read.
        raise DataError(
            f"{path} must be a batch of the official archive, but cannot be read "
            f"({type(error).__name__}: {str(error)[:200]}); get it anew"
        ) from error
    if not isinstance(fields, dict):
        raise DataError(
            f"{path} must be a batch of the official archive, but holds a {type(fields).__name__}; get it anew"
        )
    return {_text(key): value.pixels if isinstance(value, _Array) else value for key, value in fields.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
