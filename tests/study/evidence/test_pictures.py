"""Counts, copies and the linear classifier of a study's own pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff.data import Dataset, Pictures
from bakeoff.data.splits import split_indices
from bakeoff.study.evidence.pictures import baseline, data_probe
from tests.builders import one_run, random_pictures, small_dataset


def probe(dataset: Dataset, validation: float = 0.25):  # type: ignore[no-untyped-def]
    run = one_run(dataset, study={"data": {"validation": validation}})
    return data_probe(dataset, split_indices(dataset, run))


def copied(dataset: Dataset, count: int, *, alter: int = 0) -> Dataset:
    """The data set with some training pictures put into the test set, each pixel altered by at most so much."""
    pixels = np.array(dataset.test.pixels)
    noise = np.random.default_rng(0).integers(-alter, alter + 1, pixels[:count].shape)
    pixels[:count] = np.clip(dataset.train.pixels[:count] + noise, 0, 255)
    return replace(dataset, test=Pictures(pixels, dataset.test.labels))


def test_each_split_is_counted_by_class() -> None:
    found = probe(small_dataset())
    assert found.counts == {"train": (18,) * 4, "validation": (6,) * 4, "test": (6,) * 4}
    assert found.constant == {"train": 0, "validation": 0, "test": 0}
    assert [(one.first, one.second, one.same, one.near) for one in found.overlaps] == [
        ("train", "validation", 0, 0),
        ("train", "test", 0, 0),
        ("validation", "test", 0, 0),
    ]
    assert not found.contradicting
    assert not found.own_validation


def test_without_a_validation_split_there_is_none_to_count() -> None:
    found = probe(small_dataset(), validation=0)
    assert found.counts.keys() == {"train", "test"}
    assert [(one.first, one.second) for one in found.overlaps] == [("train", "test")]


def test_copied_test_pictures_are_found_on_the_side_of_the_split_where_they_are() -> None:
    dataset = copied(small_dataset(), 10)
    found = {(one.first, one.second): one for one in probe(dataset).overlaps}
    indices = split_indices(dataset, one_run(dataset, study={"data": {"validation": 0.25}}))
    in_train = int(np.isin(np.arange(10), indices.train).sum())
    assert found["train", "test"].same == in_train
    assert found["validation", "test"].same == 10 - in_train
    assert found["train", "test"].pictures == 24


def test_altered_copies_are_near_and_not_the_same() -> None:
    dataset = copied(small_dataset(size=32), 10, alter=1)
    found = {(one.first, one.second): one for one in probe(dataset, validation=0).overlaps}
    assert (found["train", "test"].same, found["train", "test"].near) == (0, 10)


def test_a_validation_split_of_its_own_is_looked_at() -> None:
    dataset = small_dataset()
    dataset = replace(dataset, validation=dataset.test)
    found = probe(dataset)
    assert found.own_validation
    overlaps = {(one.first, one.second): one for one in found.overlaps}
    assert overlaps["validation", "test"].same == 24


def test_one_picture_with_two_labels_is_counted() -> None:
    dataset = small_dataset()
    pixels, labels = np.array(dataset.train.pixels), np.array(dataset.train.labels)
    pixels[1] = pixels[0]
    assert labels[0] != labels[1]
    assert probe(replace(dataset, train=Pictures(pixels, labels))).contradicting == 2


def test_pictures_of_one_colour_are_counted() -> None:
    dataset = small_dataset()
    pixels = np.array(dataset.test.pixels)
    pixels[:3] = (10, 20, 30)
    assert probe(replace(dataset, test=Pictures(pixels, dataset.test.labels))).constant["test"] == 3


def test_the_linear_classifier_is_kept_beside_the_pictures_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = replace(small_dataset(train=200), folder=tmp_path)
    indices = split_indices(dataset, one_run(dataset))
    first = baseline(dataset, indices)
    assert first.accuracy > 0.5  # of four classes, which differ in brightness
    monkeypatch.setattr("bakeoff.training.baseline.linear_score", lambda *_: pytest.fail("trained again"))
    assert baseline(dataset, indices) == first


def test_the_linear_classifier_of_other_training_pictures_is_another(tmp_path: Path) -> None:
    dataset = replace(small_dataset(train=200), folder=tmp_path)
    for share in (0.25, 0.5):
        baseline(dataset, split_indices(dataset, one_run(dataset, study={"data": {"validation": share}})))
    assert len(list(tmp_path.glob("linear-*.json"))) == 2


def test_a_damaged_file_of_the_linear_classifier_is_written_anew(tmp_path: Path) -> None:
    dataset = replace(small_dataset(train=200), folder=tmp_path)
    indices = split_indices(dataset, one_run(dataset))
    first = baseline(dataset, indices)
    (kept,) = tmp_path.glob("linear-*.json")
    kept.write_text("{")
    assert baseline(dataset, indices) == first


def test_noise_teaches_a_linear_classifier_nothing() -> None:
    noise = random_pictures(400, 1, 8, 5)
    labels = np.arange(400, dtype=np.int64) % 4
    dataset = replace(
        small_dataset(),
        train=Pictures(noise.pixels[:300], labels[:300]),
        test=Pictures(noise.pixels[300:], labels[300:]),
    )
    found = baseline(dataset, split_indices(dataset, one_run(dataset)))
    assert 0.1 < found.accuracy < 0.42  # 0.25 and four standard errors
