"""What is in a data set, and what is wrong with it: everything listed, nothing refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.data import cifar, folder
from bakeoff.data.cache import cache_root
from bakeoff.data.decoders import read_headers
from bakeoff.data.sources import KNOWN_SOURCES, _say_nothing, name_of, place_of, prepare
from bakeoff.records import OnStage


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What `bakeoff data` tells."""

    name: str
    classes: tuple[str, ...]
    counts: dict[str, list[int]]
    """Pictures by split, one number a class."""

    sizes: list[tuple[int, int, int]]
    """Width, height and number of pictures, the most frequent first."""

    kinds: dict[str, list[str]]
    """What will be converted (grey, CMYK, animated, wrongly named, ...), with the paths."""

    problems: list[tuple[str, str]]
    """Files that cannot be used: path and reason."""

    ignored: int
    """Files that are not used: none of a picture's name, or in no class's folder."""

    notes: tuple[str, ...]


def inspect_source(
    source: str, *, data_dir: Path | None = None, cache_dir: Path | None = None, on_progress: OnStage | None = None
) -> DataReport:
    """Look at every picture of a data set.

    Raises:
        SpecError: If there is nothing of that name.
        DataError: If its layout is none that can be compared on; single bad pictures are listed instead.
    """
    tell = on_progress or _say_nothing
    if source not in KNOWN_SOURCES:
        place = place_of(source, cache_root(cache_dir), tell)
        if cifar.recognised(place) is None:
            return _of_folder(folder.scan(place), name_of(source), tell)
    dataset = prepare(source, data_dir=data_dir, cache_dir=cache_dir, on_progress=on_progress)
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    present = {split: pictures for split, pictures in splits.items() if pictures is not None}
    return DataReport(
        name=dataset.name,
        classes=dataset.classes,
        counts={split: _by_class(pictures.labels, dataset.classes) for split, pictures in present.items()},
        sizes=[(dataset.size, dataset.size, sum(len(pictures) for pictures in present.values()))],
        kinds={},
        problems=[],
        ignored=0,
        notes=dataset.notes,
    )


def _of_folder(layout: folder.Layout, name: str, tell: OnStage) -> DataReport:
    paths = [Path(path) for pairs in layout.files.values() for path, _ in pairs]
    headers, problems = read_headers(paths, lambda done: tell("decoding", done, len(paths)), decode=True)
    kinds: dict[str, list[str]] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    for path, header in zip(paths, headers, strict=True):
        if header is not None:
            sizes[header.width, header.height] += 1
            for kind in header.kinds:
                kinds.setdefault(kind, []).append(folder.shown(path, layout.root))
    return DataReport(
        name=name,
        classes=layout.classes,
        counts={split: _by_class(layout.labels(split), layout.classes) for split in layout.files},
        sizes=[(width, height, count) for (width, height), count in sizes.most_common()],
        kinds=kinds,
        problems=[(folder.shown(problem.path, layout.root), problem.reason) for problem in problems],
        ignored=layout.ignored,
        notes=layout.notes,
    )


def _by_class(labels: NDArray[np.int64], classes: tuple[str, ...]) -> list[int]:
    return [int(count) for count in np.bincount(labels, minlength=len(classes))]
