"""A folder of pictures, one folder a class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.cache import Description, Entry, OnProgress
from bakeoff.data.decode import FORMAT_OF_SUFFIX, Header
from bakeoff.data.decoders import Problem, decode_into, read_headers
from bakeoff.data.splits import split_validation
from bakeoff.errors import DataError, UnusablePicturesError

TEST_SHARE = 0.2
"""Of the pictures, taken for the test set where a folder has none."""

LARGEST_DEFAULT = 224
"""Side in pixels that pictures are brought to at most unless `size` says otherwise."""

SPLIT_FOLDERS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files are which split's and class's pictures."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[tuple[Path, int]]]
    """By split (train, validation, test): paths and indices into the classes, sorted by path."""

    ignored: int
    """Files that are not named as pictures."""

    notes: tuple[str, ...]
    stamps: list[tuple[str, int, int]] = field(default_factory=list)
    """Path below the root, bytes and modification time of every picture: what tells whether something changed."""

    def labels(self, split: str) -> NDArray[np.int64]:
        """Return a split's labels, shape (pictures,)."""
        return np.array([label for _, label in self.files[split]], dtype=np.int64)


def scan(root: Path) -> Layout:
    """Find a folder's pictures: `train/<class>/*` with `test/` and `val/` where present, or `<class>/*`.

    A `val/` beside a `test/` is the validation split; a `val/` alone is taken for the test set, as ImageNet's is used.
    Without either, a fifth of the pictures of each class is kept apart for the test. Symbolic links are not followed.

    Raises:
        DataError: If there are no pictures, fewer than two classes, a class with one picture, or a class outside train.
    """
    found = {split: folder for split, names in SPLIT_FOLDERS.items() for name in names if (folder := root / name).is_dir()}
    notes: list[str] = []
    if "train" not in found:
        found = {"train": root}
    elif "validation" in found and "test" not in found:
        found["test"] = found.pop("validation")
        notes.append(f"{found['test'].name}/ is taken for the test set, as there is no test/; validation is split off train/")
    listed = {split: _pictures_by_class(folder) for split, folder in found.items()}
    ignored = sum(count for _, count in listed.values())
    by_class = {split: {name: files for name, files in classes.items() if files} for split, (classes, _) in listed.items()}
    _check_classes(root, by_class)
    classes = tuple(sorted(by_class["train"]))
    files = {
        split: [(path, classes.index(name)) for name in sorted(pictures) for path in sorted(pictures[name])]
        for split, pictures in by_class.items()
    }
    for split, pictures in by_class.items():
        missing = [name for name in classes if name not in pictures]
        if missing:
            notes.append(f"{split} has no picture of {_names(missing)}")
    stamps = [(str(path.relative_to(root)), *_stamp(path)) for pairs in files.values() for path, _ in pairs]
    if "test" not in files:
        labels = np.array([label for _, label in files["train"]], dtype=np.int64)
        count = max(len(classes), round(TEST_SHARE * len(labels)))
        kept, test = split_validation(labels, min(count, len(labels) - len(classes)), seed=0)
        files["test"] = [files["train"][index] for index in test]
        files["train"] = [files["train"][index] for index in kept]
        notes.append(f"the test set is {len(test)} pictures split off here, stratified, seed 0: the folder has none of its own")
    counts = Counter(label for _, label in files["train"])
    if max(counts.values()) > 1.5 * min(counts.values()):
        notes.append(f"classes are uneven: {min(counts.values())} to {max(counts.values())} training pictures a class; accuracy favours the large ones")
    return Layout(root, classes, files, ignored, tuple(notes), stamps)


def build(entry: Entry, layout: Layout, size: int | None, on_progress: OnProgress) -> Description:
    """Decode a folder's pictures into a cache entry.

    Raises:
        UnusablePicturesError: If some cannot be decoded, all of them listed.
        DataError: If the disk has no room.
    """
    paths = [path for pairs in layout.files.values() for path, _ in pairs]
    headers, problems = read_headers(paths, lambda done: on_progress("reading headers", done, len(paths)))
    usable = [header for header in headers if header is not None]
    if not usable:
        raise unusable(layout.root, problems)
    side = size or default_size(usable)
    bad = {problem.path for problem in problems}
    done_before = 0
    for split, pairs in layout.files.items():
        array = entry.pixels(split, len(pairs), side)
        array.flush()
        good = [path for path, _ in pairs]
        found = decode_into(
            entry.pixels_path(split),
            good,
            side,
            lambda done, before=done_before: on_progress("decoding", before + done, len(paths)),  # type: ignore[misc]
        )
        problems += [problem for problem in found if problem.path not in bad]
        entry.labels(split, layout.labels(split))
        done_before += len(pairs)
    if problems:
        raise unusable(layout.root, problems)
    return Description(
        name=layout.root.name,
        classes=layout.classes,
        flippable=True,
        notes=(*layout.notes, *_conversions(usable), *_what_is_cut(usable, side)),
    )


def default_size(headers: list[Header]) -> int:
    """Return the side to decode at: the pictures' own if all are squares alike, else the median shorter side, at most 224."""
    sizes = {(header.width, header.height) for header in headers}
    if len(sizes) == 1 and (only := sizes.pop())[0] == only[1]:
        return only[0]
    return min(LARGEST_DEFAULT, int(np.median([min(header.width, header.height) for header in headers])))


def unusable(root: Path, problems: list[Problem]) -> UnusablePicturesError:
    """Return the error that lists every file that cannot be used."""
    return UnusablePicturesError([(_shown(problem.path, root), problem.reason) for problem in sorted(problems, key=lambda p: p.path)])


def _pictures_by_class(folder: Path) -> tuple[dict[str, list[Path]], int]:
    """Return the pictures below each class folder, and how many files there are that are none."""
    classes: dict[str, list[Path]] = {}
    ignored = 0
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                files = list(_files_below(Path(entry.path)))
                classes[entry.name] = [path for path in files if _named_as_picture(path)]
                ignored += len(files) - len(classes[entry.name])
            else:
                ignored += 1
    except OSError as error:
        raise DataError(f"a folder of pictures must be readable, but {folder}: {error.strerror}") from error
    return classes, ignored


def _files_below(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _named_as_picture(path: Path) -> bool:
    return path.suffix.lower() in FORMAT_OF_SUFFIX and not path.name.startswith(".")


def _check_classes(root: Path, by_class: dict[str, dict[str, list[Path]]]) -> None:
    train = by_class["train"]
    how = "one folder a class: train/<class>/*.jpg or <class>/*.jpg"
    if not train:
        raise DataError(f"a data set needs pictures, {how}, but {root} has none ({', '.join(sorted(FORMAT_OF_SUFFIX))} are looked for)")
    if len(train) == 1:
        raise DataError(f"a data set needs at least two classes, {how}, but {root} has only {_names(list(train))}")
    single = [name for name, files in train.items() if len(files) == 1]
    if single:
        raise DataError(f"every class needs at least two training pictures, but {root} has one of {_names(single)}; add some, or remove the class")
    for split, pictures in by_class.items():
        strangers = [name for name in pictures if name not in train]
        if strangers:
            raise DataError(f"every class must be in train, but {split} of {root} has also {_names(strangers)}; remove it there or add it to train")


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _conversions(headers: list[Header]) -> list[str]:
    kinds = Counter(kind for header in headers for kind in header.kinds)
    return [f"{count} of {len(headers)} pictures converted: {kind}" for kind, count in sorted(kinds.items())]


def _what_is_cut(headers: list[Header], side: int) -> list[str]:
    if all(header.width == header.height == side for header in headers):
        return []
    seen = float(np.mean([min(header.width, header.height) / max(header.width, header.height) for header in headers]))
    return [f"pictures are scaled to {side} pixels on their shorter side and cut to the middle square: on average {seen:.0%} of each is kept"]


def _names(names: list[str]) -> str:
    """Name classes so that control characters and the like cannot do anything."""
    shown = [repr(name) for name in sorted(names)]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


def _shown(path: Path, root: Path) -> str:
    return repr(str(path.relative_to(root) if path.is_relative_to(root) else path))[1:-1]
