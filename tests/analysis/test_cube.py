"""The per-picture results of a study's runs, aligned; whatever cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bakeoff.analysis.cube import Cube, load_cube
from bakeoff.errors import StudyError
from bakeoff.predictions import save_predictions
from tests.stored import write_predictions


def write(path: Path, right: list[int], indices: list[int] | None = None) -> Path:
    labels = np.zeros(len(right), np.int64)
    logits = np.array([[1, 0] if one else [0, 1] for one in right], np.float32)
    save_predictions(path, logits, np.array(range(len(right)) if indices is None else indices, np.int64), labels)
    return path


def load(**files: Path) -> Cube:
    return load_cube(files, dict.fromkeys(files, 0.5))


def test_pictures_are_aligned_by_their_index(tmp_path: Path) -> None:
    cube = load(a=write(tmp_path / "a", [1, 1, 0, 0]), b=write(tmp_path / "b", [0, 1, 0, 1], [3, 1, 2, 0]))
    assert cube.indices.tolist() == [0, 1, 2, 3]
    assert cube.of(["a", "b"]).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    assert cube.of(["b", "stranger"]).shape == (1, 4)
    assert cube.of([]).shape == (0, 4)
    assert not cube.missing


def test_a_run_without_usable_predictions_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"no archive")
    cube = load(a=write(tmp_path / "a", [1, 0]), b=tmp_path / "b", c=tmp_path / "c", d=write(tmp_path / "d", [1, 1]))
    assert list(cube.correct) == ["a"]
    assert cube.missing["b"] == "no predictions were kept"
    assert "must be readable" in cube.missing["c"]
    assert "100.00 % right, but 50.00 % was recorded" in cube.missing["d"]


@pytest.mark.parametrize("indices", [[0, 1, 2, 9], [0, 1]], ids=["another", "fewer"])
def test_runs_that_saw_different_pictures_are_not_compared(tmp_path: Path, indices: list[int]) -> None:
    first = write(tmp_path / "a", [1, 1, 0, 0])
    second = write(tmp_path / "b", [1, 0] * (len(indices) // 2), indices)
    with pytest.raises(StudyError, match=r"tested on the same pictures, but .*b holds"):
        load(a=first, b=second)


def test_runs_with_other_labels_are_not_compared(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a", np.array([True, False]))
    with pytest.raises(StudyError, match="same pictures"):
        load(a=write(tmp_path / "b", [1, 0]), b=tmp_path / "a")


def test_no_runs_make_an_empty_cube() -> None:
    cube = load_cube({}, {})
    assert cube.of(["a"]).shape == (0, 0)
