"""A folder of pictures, one folder a class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.cache import Description, Entry
from bakeoff.data.decode import FORMAT_OF_SUFFIX, Header
from bakeoff.data.decoders import Problem, decode_into, read_headers
from bakeoff.data.splits import split_validation
from bakeoff.errors import DataError, UnusablePicturesError
from bakeoff.records import OnStage

TEST_SHARE = 0.2
"""Share of the pictures that is taken for the test set where a folder has none."""

LARGEST_DEFAULT = 224
"""Side in pixels that pictures are brought to at most unless `size` says otherwise."""

CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")
STRAY = "picture beside the folders of classes"
CLUTTER_KIND = "hidden"
"""What file managers and archivers leave behind, which nobody needs to hear of."""

SPLIT_FOLDERS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files are which split's and class's pictures."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[tuple[str, int]]]
    """By split (train, validation, test): paths and indices into the classes, sorted by path. Paths are text, since
    making `Path`s of a hundred thousand takes longer than finding them."""

    ignored: int
    """Files that are not used: none of a picture's name, or in no class's folder."""

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
        DataError: If there are no pictures, fewer than two classes, a class with one picture, a class outside train, or two
            folders for one split.
    """
    found = _split_folders(root)
    notes: list[str] = []
    if "train" not in found:
        found = {"train": root}
    elif "validation" in found and "test" not in found:
        found["test"] = found.pop("validation")
        notes.append(
            f"{found['test'].name}/ is taken for the test set, as there is no test/; validation is split off train/"
        )
    left_out: Counter[str] = Counter()
    listed = {split: _pictures_by_class(folder, left_out) for split, folder in found.items()}
    by_class = {split: {name: files for name, files in classes.items() if files} for split, classes in listed.items()}
    _check_depth(found["train"], by_class["train"])
    _check_classes(root, by_class, left_out)
    notes += _what_is_left_out(left_out, listed)
    classes = tuple(sorted(by_class["train"]))
    files = {
        split: [(path, classes.index(name)) for name in sorted(pictures) for path in sorted(pictures[name])]
        for split, pictures in by_class.items()
    }
    for split, pictures in by_class.items():
        missing = [name for name in classes if name not in pictures]
        if missing:
            notes.append(f"{split} has no picture of {_names(missing)}")
    below = len(os.path.join(root, ""))
    stamps = [(path[below:], *_stamp(path)) for pairs in files.values() for path, _ in pairs]
    if "test" not in files:
        labels = np.array([label for _, label in files["train"]], dtype=np.int64)
        count = max(len(classes), round(TEST_SHARE * len(labels)))
        kept, test = split_validation(labels, min(count, len(labels) - len(classes)), seed=0)
        files["test"] = [files["train"][index] for index in test]
        files["train"] = [files["train"][index] for index in kept]
        notes.append(
            f"the test set is {len(test)} pictures split off here, stratified, seed 0: the folder has none of its own"
        )
    counts = Counter(label for _, label in files["train"])
    if max(counts.values()) > 1.5 * min(counts.values()):
        notes.append(
            f"classes are uneven: {min(counts.values())} to {max(counts.values())} training pictures a class; "
            "accuracy favours the large ones"
        )
    return Layout(root, classes, files, left_out.total(), tuple(notes), stamps)


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders that hold a data set's splits.

    Raises:
        DataError: If a split has two.
    """
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        there = [root / name for name in names if (root / name).is_dir()]
        if len(there) > 1:
            told = " and ".join(f"{folder.name}/" for folder in there)
            raise DataError(
                f"the {split} pictures must be in one folder, but {root} has {told}; move the pictures of one into the "
                "other, or take one of them out"
            )
        if there:
            found[split] = there[0]
    return found


def build(entry: Entry, layout: Layout, name: str, size: int | None, on_progress: OnStage) -> Description:
    """Decode a folder's pictures into a cache entry, under a name.

    Raises:
        UnusablePicturesError: If some cannot be decoded, all of them listed.
        DataError: If the disk has no room.
    """
    paths = [Path(path) for pairs in layout.files.values() for path, _ in pairs]
    headers, problems = read_headers(paths, lambda done: on_progress("reading headers", done, len(paths)))
    usable = [header for header in headers if header is not None]
    if not usable:
        raise unusable(layout.root, problems)
    side = size or default_size(usable)
    bad = {problem.path for problem in problems}
    done_before = 0
    for split, pairs in layout.files.items():
        entry.pixels(split, len(pairs), side)
        found = decode_into(
            entry.pixels_path(split),
            [Path(path) for path, _ in pairs],
            side,
            lambda done, before=done_before: on_progress("decoding", before + done, len(paths)),  # type: ignore[misc]
        )
        problems += [problem for problem in found if problem.path not in bad]
        entry.labels(split, layout.labels(split))
        done_before += len(pairs)
    if problems:
        raise unusable(layout.root, problems)
    return Description(
        name=name,
        classes=layout.classes,
        flippable=True,
        notes=(*layout.notes, *_conversions(usable), *_what_is_cut(usable, side)),
    )


def default_size(headers: list[Header]) -> int:
    """Return the side to decode at: the pictures' own if all are squares alike, else their median, at most 224.

    The median is that of the shorter sides.
    """
    sizes = {(header.width, header.height) for header in headers}
    if len(sizes) == 1 and (only := sizes.pop())[0] == only[1]:
        return only[0]
    return min(LARGEST_DEFAULT, int(np.median([min(header.width, header.height) for header in headers])))


def unusable(root: Path, problems: list[Problem]) -> UnusablePicturesError:
    """Return the error that lists every file that cannot be used."""
    ordered = sorted(problems, key=lambda problem: problem.path)
    return UnusablePicturesError([(shown(problem.path, root), problem.reason) for problem in ordered])


def _pictures_by_class(folder: Path, left_out: Counter[str]) -> dict[str, list[str]]:
    """Return the pictures below each class folder, and count by kind the files that are none."""
    try:
        with os.scandir(folder) as entries:
            classes = {}
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith((".", "__MACOSX")):
                    classes[entry.name] = list(_pictures_below(entry.path, left_out))
                else:
                    left_out[STRAY if _is_picture(entry) else _kind_of_file(entry)] += 1
            return classes
    except OSError as error:
        raise DataError(f"a folder of pictures must be readable, but {folder}: {error.strerror}") from error


def _pictures_below(folder: str, left_out: Counter[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _pictures_below(entry.path, left_out)
            elif _is_picture(entry):
                yield entry.path
            else:
                left_out[_kind_of_file(entry)] += 1


def _is_picture(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return entry.is_file(follow_symlinks=False) and suffix in FORMAT_OF_SUFFIX and not entry.name.startswith(".")


def _kind_of_file(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symbolic link"
    if entry.name.startswith(".") or entry.name.lower() in CLUTTER or entry.is_dir():
        return CLUTTER_KIND
    suffix = Path(entry.name).suffix.lower()
    return repr(suffix)[1:-1] if suffix else "no suffix"


def _what_is_left_out(left_out: Counter[str], listed: dict[str, dict[str, list[str]]]) -> list[str]:
    """Say what lies among the pictures and is not used. A picture in a format that is not read must not just vanish."""
    notes = []
    kinds = [f"{count} {kind}" for kind, count in left_out.most_common() if kind not in (CLUTTER_KIND, STRAY)]
    if kinds:
        more = f" and {len(kinds) - 8} kinds more" if len(kinds) > 8 else ""
        notes.append(f"left out, as they are not named as pictures that can be read: {', '.join(kinds[:8])}{more}")
    if stray := left_out[STRAY]:
        notes.append(f"left out, as they lie in no class's folder: {stray} {'picture' if stray == 1 else 'pictures'}")
    empty = sorted({name for classes in listed.values() for name, files in classes.items() if not files})
    if empty:
        notes.append(f"folders without a picture were left out: {_names(empty)}")
    return notes


def _check_depth(folder: Path, classes: dict[str, list[str]]) -> None:
    """Refuse a folder of data sets: its parts would be taken for classes.

    Raises:
        DataError: If no class folder holds a picture itself, only in folders below it.
    """
    if classes and not any(
        os.path.dirname(path) == str(folder / name) for name, files in classes.items() for path in files
    ):
        raise DataError(
            f"pictures must lie in the folder of their class, but {folder} has them only a level further down, below "
            f"{_names(list(classes))}; give one of these instead, or name the one to train on train/"
        )


def _check_classes(root: Path, by_class: dict[str, dict[str, list[str]]], left_out: Counter[str]) -> None:
    train = by_class["train"]
    how = "one folder a class: train/<class>/*.jpg or <class>/*.jpg"
    if not train:
        there = ", ".join(f"{count} {kind}" for kind, count in left_out.most_common(8)) or "nothing else either"
        raise DataError(
            f"a data set needs pictures, {how}, but {root} has none ({', '.join(sorted(FORMAT_OF_SUFFIX))} are looked "
            f"for; found: {there})"
        )
    if len(train) == 1:
        raise DataError(f"a data set needs at least two classes, {how}, but {root} has only {_names(list(train))}")
    unspeakable = [name for classes in by_class.values() for name in classes if not name.isprintable()]
    if unspeakable:
        raise DataError(
            f"a class's name must be readable text, but {root} has {_names(unspeakable)}; rename the folder"
        )
    single = [name for name, files in train.items() if len(files) == 1]
    if single:
        raise DataError(
            f"every class needs at least two training pictures, but {root} has one of {_names(single)}; "
            "add some, or remove the class"
        )
    for split, pictures in by_class.items():
        strangers = [name for name in pictures if name not in train]
        if strangers:
            raise DataError(
                f"every class must be in train, but {split} of {root} has also {_names(strangers)}; "
                "remove it there, or add it to train"
            )


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _conversions(headers: list[Header]) -> list[str]:
    kinds = Counter(kind for header in headers for kind in header.kinds)
    return [f"{count} of {len(headers)} pictures converted: {kind}" for kind, count in sorted(kinds.items())]


def _what_is_cut(headers: list[Header], side: int) -> list[str]:
    if all(header.width == header.height == side for header in headers):
        return []
    seen = float(np.mean([min(header.width, header.height) / max(header.width, header.height) for header in headers]))
    return [
        f"pictures are scaled to {side} pixels on their shorter side and cut to the middle square: "
        f"on average {seen:.0%} of each is kept"
    ]


def _names(names: list[str]) -> str:
    """Name classes so that control characters and the like cannot do anything."""
    shown = [repr(name) for name in sorted(names)]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


def shown(path: Path, root: Path) -> str:
    """Return a path below a root so that control characters in it cannot do anything on a terminal."""
    return repr(str(path.relative_to(root) if path.is_relative_to(root) else path))[1:-1]
