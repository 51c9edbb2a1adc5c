"""The cache of decoded pictures: uint8 arrays that are memory-mapped and shared by every process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock
from numpy.typing import NDArray

from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.errors import DataError
from bakeoff.files import unfinished_folder

CACHE_FORMAT = 1
META = "meta.json"
SPLITS = ("train", "validation", "test")
CHUNK = 4096
"""Pictures read at once when hashing and measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a data set is, besides its pictures."""

    name: str
    classes: tuple[str, ...]
    flippable: bool
    notes: tuple[str, ...]


class Entry:
    """A cache entry under construction: arrays to fill, one pair a split."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pixels(self, split: str, count: int, size: int) -> NDArray[np.uint8]:
        """Return a memory-mapped array of shape (count, size, size, 3) to fill with a split's pictures.

        Raises:
            DataError: If the disk has no room for it.
        """
        needed = count * size * size * 3
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"decoding {count} pictures at {size} pixels takes {needed / 1e9:.3g} GB under {self.folder.parent}, "
                f"but {free / 1e9:.3g} GB are free; free some, set `size` lower, or set BAKEOFF_CACHE_DIR to another "
                "disk"
            )
        shape = (count, size, size, 3)
        array: NDArray[np.uint8] = np.lib.format.open_memmap(
            self.pixels_path(split), mode="w+", dtype=np.uint8, shape=shape
        )
        if hasattr(os, "posix_fallocate"):
            # The file is full of holes as yet. A page written to a full disk would kill the process (SIGBUS); here it
            # is an error that can be told.
            with self.pixels_path(split).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        return array

    def pixels_path(self, split: str) -> Path:
        """Return the file behind `pixels`."""
        return self.folder / f"{split}.npy"

    def labels(self, split: str, labels: NDArray[np.int64]) -> None:
        """Store a split's labels, shape (count,)."""
        np.save(self.folder / f"{split}-labels.npy", labels, allow_pickle=False)


def cache_root(cache_dir: Path | None) -> Path:
    """Return where decoded pictures are kept: the argument, BAKEOFF_CACHE_DIR, or the user's cache folder."""
    if cache_dir is not None:
        return cache_dir
    named = os.environ.get("BAKEOFF_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("bakeoff"))


def open_or_build(root: Path, key: Sequence[Any], build: Callable[[Entry], Description]) -> Dataset:
    """Open a cache entry, building it first where it is missing or damaged.

    Args:
        root: The cache's folder.
        key: Plain values that name the entry: equal key, equal content.
        build: Fills the entry.

    Raises:
        DataError: If the cache cannot be written to or the disk is full, or what `build` raises.
    """
    folder = _entry_folder(root, key)
    found = _opened(folder)
    if found is not None:
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{folder.name}.lock"):  # two studies that start at once decode once
            found = _opened(folder)
            return found or _built(root, folder, build)
    except OSError as error:
        raise _explained(root, error) from error


def opened_if_there(root: Path, key: Sequence[Any]) -> Dataset | None:
    """Open a cache entry, or return None where it is missing or damaged."""
    return _opened(_entry_folder(root, key))


def _entry_folder(root: Path, key: Sequence[Any]) -> Path:
    return root / hashlib.sha256(json.dumps([CACHE_FORMAT, *key]).encode()).hexdigest()[:16]


def open_cached(folder: Path) -> Dataset:
    """Open a cache entry by its folder, in any process.

    Raises:
        DataError: If it is gone or damaged.
    """
    found = _opened(folder)
    if found is None:
        raise DataError(
            f"decoded pictures must be whole, but {folder} is missing or damaged; "
            "run the command again to decode them anew"
        )
    return found


def _built(root: Path, folder: Path, build: Callable[[Entry], Description]) -> Dataset:
    for leftover in root.glob(f".{folder.name}.*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    partial = unfinished_folder(folder)
    try:
        description = build(Entry(partial))
        _write_meta(partial, description)
        _to_disk(partial)
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_cached(folder)


def _to_disk(folder: Path) -> None:
    """Have all files written through, so that an entry that is there after a power failure is whole."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _write_meta(folder: Path, description: Description) -> None:
    digest = hashlib.sha256(json.dumps(description.classes).encode())
    shapes = {}
    for split in SPLITS:
        path = folder / f"{split}.npy"
        if not path.exists():
            continue
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / f"{split}-labels.npy", allow_pickle=False)
        shapes[split] = list(pixels.shape)
        digest.update(json.dumps([split, shapes[split], labels.tolist()]).encode())
        for chunk in _chunks(pixels):
            digest.update(chunk.tobytes())
    mean, std = _moments(np.load(folder / "train.npy", mmap_mode="r", allow_pickle=False))
    meta = {
        "format": CACHE_FORMAT,
        "name": description.name,
        "classes": description.classes,
        "flippable": description.flippable,
        "notes": description.notes,
        "shapes": shapes,
        "mean": mean,
        "std": std,
        "fingerprint": digest.hexdigest()[:16],
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")


def _chunks(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), CHUNK):
        yield np.asarray(pixels[start : start + CHUNK])


def _moments(pixels: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return each channel's mean and standard deviation over all pixels scaled to [0, 1], from exact counts."""
    counts = np.zeros((3, 256), dtype=np.int64)
    for chunk in _chunks(pixels):
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    means = counts @ levels / counts.sum(axis=1)
    variances = (counts * (levels - means[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    # A channel without contrast has nothing to scale; dividing by 1 leaves it at 0.
    deviations = np.where(variances > 0, np.sqrt(variances), 1.0)
    return means.tolist(), deviations.tolist()


def _opened(folder: Path) -> Dataset | None:
    """Open an entry, or return None where it is missing, of another format, or not whole."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["format"] != CACHE_FORMAT:
            return None
        splits = {split: _pictures(folder, split, shape) for split, shape in meta["shapes"].items()}
        return Dataset(
            name=meta["name"],
            folder=folder,
            fingerprint=meta["fingerprint"],
            classes=tuple(meta["classes"]),
            train=splits["train"],
            validation=splits.get("validation"),
            test=splits["test"],
            mean=tuple(meta["mean"]),
            std=tuple(meta["std"]),
            flippable=meta["flippable"],
            notes=tuple(meta["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None  # the caller builds it anew, or says so


def _pictures(folder: Path, split: str, shape: list[int]) -> Pictures:
    pixels = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / f"{split}-labels.npy", allow_pickle=False)
    if list(pixels.shape) != shape or pixels.dtype != np.uint8 or labels.shape != (shape[0],):
        raise ValueError("not the arrays that the entry describes")
    return Pictures(pixels, labels.astype(np.int64, copy=False))


def _explained(root: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"decoded pictures need space under {root}, but none is left; "
            "free some, or set BAKEOFF_CACHE_DIR to another disk"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DataError(
            f"the cache of decoded pictures must be writable, but {root}: {error.strerror}; "
            "set BAKEOFF_CACHE_DIR to another folder"
        )
    return DataError(
        f"the cache of decoded pictures under {root} failed: {error}; set BAKEOFF_CACHE_DIR to another folder"
    )
