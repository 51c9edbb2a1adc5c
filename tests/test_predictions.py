"""Predictions come back as they were written; damage is told."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff import predictions
from bakeoff.errors import StudyError
from bakeoff.predictions import load_correct, load_predictions, save_predictions

HEADER = "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000, 1000000), }"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    save_predictions(tmp_path / "run.npz", logits, np.array([7, 3, 5]), np.array([1, 1, 1]))
    return tmp_path / "run.npz"


def test_pictures_come_in_the_order_of_the_test_split(path: Path) -> None:
    indices, labels, right = load_correct(path)
    assert indices.tolist() == [3, 5, 7]
    assert labels.tolist() == [1, 1, 1]
    assert right.tolist() == [False, True, True]


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_told(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content) if isinstance(keep, float) else keep)])
    for load in (load_correct, load_predictions):
        with pytest.raises(StudyError, match="run it again"):
            load(path)


def test_a_file_with_a_wrong_byte_is_told(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(60, 110):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(StudyError, match="run it again"):
        load_predictions(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"predicted": [1, 1], "labels": [1, 1], "indices": [4, 4]},
        {"predicted": [1, 1], "labels": [1], "indices": [4, 5]},
        {"predicted": [], "labels": [], "indices": []},
        {"predicted": [[1, 1]], "labels": [[1, 1]], "indices": [[4, 5]]},
    ],
    ids=["a picture twice", "a label missing", "no picture", "a table"],
)
def test_pictures_that_do_not_add_up_are_told(tmp_path: Path, arrays: dict[str, list[int]]) -> None:
    given = {name: np.array(value, np.int64) for name, value in arrays.items()}
    np.savez(tmp_path / "run.npz", logits=np.zeros((2, 2), np.float16), **given)
    with pytest.raises(StudyError, match="each test picture once"):
        load_correct(tmp_path / "run.npz")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.array([0.5, 1.0, 1.0])}, "labels are of the type float64"),
        ({"predicted": np.array([1, -1, 1])}, "predicted are classes from -1 to 1"),
        ({"labels": np.array([1, 1, 10**9])}, "labels are classes from 1 to 1000000000"),
        ({"labels": np.array([1, 1, 2])}, "labels are classes from 1 to 2, and there are logits of 2"),
        ({"labels": np.array([1, None, 1], object)}, "allow_pickle=False"),
        ({"logits": np.zeros(3, np.float16)}, "each test picture once"),
        ({"logits": np.zeros((2, 2), np.float16)}, "each test picture once"),
    ],
    ids=[
        "halves",
        "a class below 0",
        "a matrix without end",
        "a class without logits",
        "a pickle",
        "logits of one class",
        "logits missing",
    ],
)
def test_what_no_network_predicts_is_refused(path: Path, changed: dict[str, Any], said: str) -> None:
    with np.load(path) as stored:
        arrays = dict(stored) | changed
    np.savez(path, **arrays)
    with pytest.raises(StudyError, match=said):
        load_predictions(path)


def test_what_would_fill_the_memory_is_not_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "LARGEST", 150)
    with pytest.raises(StudyError, match="predicted would take 152 bytes"):
        load_correct(path)
    with zipfile.ZipFile(path, "w") as packed:  # a header that promises what does not follow
        packed.writestr("logits.npy", b"\x93NUMPY\x01\x00v\x00" + HEADER.ljust(117).encode() + b"\n")
    with pytest.raises(StudyError, match="run it again"):
        load_predictions(path)
