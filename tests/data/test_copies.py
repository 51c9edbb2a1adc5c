"""Copies are named by the files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bakeoff.data.copies import named_copies
from tests.data.test_duplicates import smooth


def folder(root: Path, pictures: dict[str, np.ndarray]) -> str:
    for name, pixels in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return str(root)


def test_copies_are_named_those_across_splits_first(tmp_path: Path) -> None:
    a, b, c, d, e, f = smooth(6, 1)
    brighter = (c.astype(int) + 3).clip(0, 255).astype(np.uint8)
    source = folder(
        tmp_path / "pictures",
        {
            "train/cat/1.png": a, "train/cat/2.png": b, "train/cat/again.png": a, "train/dog/3.png": c,
            "train/dog/4.png": d, "train/dog/[b]5\x07.png": b, "test/cat/6.png": a, "test/cat/7.png": e,
            "test/dog/8.png": brighter, "test/dog/9.png": f,
        },
    )  # fmt: skip
    found = named_copies(source, cache_dir=tmp_path / "cache")
    told = [(one.first, one.second, one.exact, one.across, one.contradicting) for one in found]
    assert told == [
        ("train/cat/1.png", "test/cat/6.png", True, True, False),
        ("train/dog/3.png", "test/dog/8.png", False, True, False),
        ("train/cat/2.png", "train/dog/[b]5\\x07.png", True, False, True),
        ("train/cat/1.png", "train/cat/again.png", True, False, False),
    ]


def test_a_test_set_that_is_split_off_is_named_by_its_files_too(tmp_path: Path) -> None:
    pictures = smooth(40, 2)
    named = {f"{'cat' if place < 20 else 'dog'}/{place}.png": one for place, one in enumerate(pictures)}
    named |= {f"cat/copy of {place}.png": pictures[place] for place in range(20)}
    found = named_copies(folder(tmp_path / "pictures", named), cache_dir=tmp_path / "cache")
    pairs = {frozenset((one.first, one.second)) for one in found}
    assert pairs == {frozenset((f"cat/{place}.png", f"cat/copy of {place}.png")) for place in range(20)}
    assert {one.across for one in found} == {True, False}


def test_pictures_without_files_are_told_by_split_and_place(tmp_path: Path) -> None:
    found = named_copies("digits", cache_dir=tmp_path)
    assert all(one.first.split()[0] in ("train", "test") for one in found)
