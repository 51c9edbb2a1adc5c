"""Confusion matrices against counts by hand and a plain loop."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.analysis import per_class as module
from bakeoff.analysis.per_class import confusion, per_class
from bakeoff.predictions import save_predictions
from bakeoff.records import RunStatus
from tests.synthetic import Run, frames


def write(path: Path, truth: list[int], predicted: list[int], classes: int = 3) -> float:
    """Write predictions, in an order of their own, and return how many are right."""
    order = np.arange(len(truth))[::-1]
    logits = np.eye(classes, dtype=np.float32)[np.array(predicted)]
    save_predictions(path, logits[order], order, np.array(truth)[order])
    return float(np.mean(np.array(truth) == np.array(predicted)))


def test_confusion_is_what_counting_by_hand_gives_summed_over_seeds(tmp_path: Path) -> None:
    first = write(tmp_path / "a", [0, 0, 1, 1, 2], [0, 1, 1, 1, 0])
    second = write(tmp_path / "b", [0, 0, 1, 1, 2], [0, 0, 1, 2, 2])
    runs, _ = frames(tmp_path, Run(seed=0, test=first), Run(seed=1, test=second))
    paths = {"alpha/0": tmp_path / "a", "alpha/1": tmp_path / "b"}
    (facts,) = per_class(runs, paths, ["cat", "dog", "<script>"])
    assert facts.label == "alpha"
    assert facts.classes == ("cat", "dog", "<script>")
    assert facts.confusion.tolist() == [[3, 1, 0], [0, 3, 1], [1, 0, 1]]
    assert facts.recall.tolist() == [0.75, 0.75, 0.5]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_confusion_is_that_of_a_plain_loop(pairs: list[tuple[int, int]]) -> None:
    expected = [[sum(pair == (row, column) for pair in pairs) for column in range(5)] for row in range(5)]
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    assert confusion(truth, predicted, 5).tolist() == expected


def test_only_finished_runs_whose_predictions_are_those_recorded_count(tmp_path: Path) -> None:
    good = write(tmp_path / "good", [0, 1], [0, 1])
    write(tmp_path / "other", [0, 1], [0, 0])
    (tmp_path / "damaged").write_bytes(b"no predictions")
    runs, _ = frames(
        tmp_path,
        Run(candidate="good", test=good),
        Run(candidate="other numbers", test=good),
        Run(candidate="damaged", test=good),
        Run(candidate="missing", test=good),
        Run(candidate="failed", status=RunStatus.FAILED, test=None),
    )
    paths = {
        "good/0": tmp_path / "good",
        "other numbers/0": tmp_path / "other",
        "damaged/0": tmp_path / "damaged",
        "missing/0": tmp_path / "nowhere",
        "failed/0": tmp_path / "good",
    }
    assert [one.label for one in per_class(runs, paths)] == ["good"]
    assert per_class(runs, {}) == []


def test_a_class_without_test_pictures_has_no_recall_and_unnamed_classes_have_numbers(tmp_path: Path) -> None:
    right = write(tmp_path / "a", [0, 2], [0, 0])
    runs, _ = frames(tmp_path, Run(test=right))
    (facts,) = per_class(runs, {"alpha/0": tmp_path / "a"}, ["cat"])
    assert facts.classes == ("cat", "1", "2")
    assert math.isnan(facts.recall[1])
    assert facts.recall[2] == 0


def test_of_more_classes_than_anybody_can_read_no_matrix_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, _ = frames(tmp_path, Run(test=write(tmp_path / "a", [0, 1000], [0, 0], classes=1001)))
    monkeypatch.setattr(module, "confusion", lambda *_: pytest.fail("made"))
    assert per_class(runs, {"alpha/0": tmp_path / "a"}) == []
