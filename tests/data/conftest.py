"""Small data sets on disk, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Make a folder of PNGs of random pixels from a mapping of class folders to how many pictures they hold."""

    def make(counts: dict[str, int], name: str = "pets", side: int | tuple[int, int] = 8) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(len(counts))
        height, width = (side, side) if isinstance(side, int) else side
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / folder / f"{number:03}.png")
        return root

    return make


def python2_pickle(value: Any) -> bytes:
    """Pickle dicts, lists, bytes, whole numbers and uint8 matrices opcode by opcode as Python 2 wrote CIFAR's files."""

    def text(value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value

    def write(value: Any) -> bytes:
        if isinstance(value, bytes):
            return text(value)
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"](" + b"".join(map(write, value)) + b"e"
        if isinstance(value, dict):
            return b"}(" + b"".join(text(key) + write(item) for key, item in value.items()) + b"u"
        rows, columns = value.shape
        state = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + state
        return (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
            b"(K\x01(" + write(rows) + write(columns) + b"t" + dtype + b"\x89" + text(value.tobytes()) + b"tb"
        )

    return b"\x80\x02" + write(value) + b"."


@pytest.fixture
def cifar_pixels() -> np.ndarray[Any, Any]:
    """Pixels as they should come out, 6 batches of 20 pictures, shape (6, 20, 32, 32, 3)."""
    return np.random.default_rng(7).integers(0, 256, (6, 20, 32, 32, 3), dtype=np.uint8)


CIFAR_NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


@pytest.fixture
def cifar_folder(tmp_path: Path, cifar_pixels: np.ndarray[Any, Any]) -> Path:
    """A small cifar-10-batches-py as Python 2 wrote it: 20 pictures a batch, two of each class, in order."""
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, pixels in zip(names, cifar_pixels, strict=True):
        data = pixels.transpose(0, 3, 1, 2).reshape(20, 3072)
        content = {b"batch_label": b"x", b"labels": [number % 10 for number in range(20)], b"data": data}
        (folder / name).write_bytes(python2_pickle(content))
    meta = {b"num_cases_per_batch": 20, b"label_names": CIFAR_NAMES, b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return folder
