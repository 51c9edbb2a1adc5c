"""Copies are found exactly, and what was found is kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bakeoff.data import Dataset, Pictures
from bakeoff.data import duplicates as module
from bakeoff.data.duplicates import find_duplicates
from tests.builders import small_dataset
from tests.data.test_near_copies import encoded_again, photographs


def smooth(count: int, seed: int, size: int = 32) -> np.ndarray:
    """Pictures with large shapes, as photographs have them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse])


def dataset_of(train: np.ndarray, test: np.ndarray, folder: Path | None = None) -> Dataset:
    return replace(
        small_dataset(),
        folder=folder or Path("nowhere"),
        train=Pictures(train, np.zeros(len(train), np.int64)),
        test=Pictures(test, np.zeros(len(test), np.int64)),
    )


def test_pictures_that_are_equal_share_a_group_and_others_do_not() -> None:
    train = smooth(40, 1)
    test = smooth(20, 2)
    test[:5] = train[10:15]
    test[6] = test[5]
    found = find_duplicates(dataset_of(train, test))
    every = np.concatenate([train, test])
    for one in range(60):
        for other in range(60):
            equal = bool((every[one] == every[other]).all())
            assert (found.groups[one] == found.groups[other]) == equal
    assert not len(found.near)


def test_near_copies_are_pairs_of_groups() -> None:
    train = photographs(40, 1)
    train[5] = train[2]  # so that groups are not places
    test = encoded_again(train[20:30], 75)
    found = find_duplicates(dataset_of(train, test))
    pairs = {tuple(sorted(pair)) for pair in found.near.tolist()}
    assert pairs == {(int(found.groups[20 + place]), int(found.groups[40 + place])) for place in range(10)}


def test_what_was_found_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(smooth(20, 1), smooth(20, 1), tmp_path)
    first = find_duplicates(dataset)
    assert len(set(first.groups)) == 20
    monkeypatch.setattr(module, "_found", lambda *_: pytest.fail("looked again"))
    assert (find_duplicates(dataset).groups == first.groups).all()


def test_what_was_found_in_other_pictures_and_damaged_files_are_not_used(tmp_path: Path) -> None:
    dataset = dataset_of(smooth(20, 1), smooth(20, 1), tmp_path)
    find_duplicates(dataset)
    other = replace(dataset_of(smooth(20, 1), smooth(20, 2), tmp_path), fingerprint="another")
    assert len(set(find_duplicates(other).groups)) == 40
    (tmp_path / module.FILE).write_bytes(b"no archive")
    assert len(set(find_duplicates(dataset).groups)) == 20


def test_a_file_that_is_cut_off_or_altered_anywhere_is_not_used(tmp_path: Path) -> None:
    dataset = dataset_of(smooth(20, 1), smooth(20, 1), tmp_path)
    expected = find_duplicates(dataset)
    file = tmp_path / module.FILE
    whole = file.read_bytes()
    for length in range(0, len(whole), 5):
        file.write_bytes(whole[:length])
        assert module._read(file, dataset.fingerprint) is None
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found = module._read(file, dataset.fingerprint)  # some bytes, such as dates, mean nothing
        assert found is None or (found.groups == expected.groups).all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    dataset = dataset_of(smooth(4, 1), smooth(4, 2), tmp_path)
    assert len(find_duplicates(dataset).groups) == 8
