"""From what a user names to pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bakeoff.data import KNOWN_SOURCES, inspect_source, prepare
from bakeoff.errors import DataError, SpecError

from .conftest import MakeFolder


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    dataset = prepare("digits")
    source = load_digits()
    assert (dataset.name, dataset.size, dataset.classes) == ("digits", 8, tuple("0123456789"))
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    assert not dataset.flippable
    assert any("split off here" in note for note in dataset.notes)
    # Every picture of the source comes once, with its label, each level from 0 to 16 spread over 0 to 255.
    expected = sorted(
        (label, np.repeat(np.rint(image * 15.9375)[..., None], 3, axis=2).astype(np.uint8).tobytes())
        for image, label in zip(source.images, source.target, strict=True)
    )
    found = sorted(
        (label, pixels.tobytes())
        for split in (dataset.train, dataset.test)
        for pixels, label in zip(split.pixels, split.labels, strict=True)
    )
    assert found == expected
    shares = np.bincount(dataset.test.labels) / np.bincount(source.target)
    assert np.abs(shares - 0.2).max() < 0.01


def test_digits_can_be_scaled() -> None:
    dataset = prepare("digits", size=16)
    small = prepare("digits")
    assert dataset.train.pixels.shape == (1437, 16, 16, 3)
    assert (dataset.train.labels == small.train.labels).all()
    grown = Image.fromarray(np.asarray(small.train.pixels[5])).resize((16, 16), Image.Resampling.BILINEAR)
    assert (dataset.train.pixels[5] == np.asarray(grown)).all()


@pytest.mark.parametrize(("name", "meant"), [("cifar11", "cifar10"), ("digit", "digits"), ("CIFAR100", "cifar100")])
def test_an_unknown_name_is_refused_with_the_nearest_known(name: str, meant: str) -> None:
    with pytest.raises(SpecError, match=f"there is no '{name}'; did you mean '{meant}'"):
        prepare(name)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no") as error:
        prepare(str(tmp_path / "nowhere"))
    for name in KNOWN_SOURCES:
        assert name in str(error.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="a file of another kind"):
        prepare(str(tmp_path / "pets.csv"))


def test_the_home_folder_can_be_given_as_a_tilde(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder({"a": 3, "b": 3})
    monkeypatch.setenv("HOME", str(folder.parent))
    assert prepare("~/pets").name == "pets"


def test_the_environment_names_the_cache(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert prepare(str(make_folder({"a": 3, "b": 3}))).folder.is_relative_to(tmp_path / "elsewhere")


def test_the_environment_names_the_data_folder(cifar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_DATA_DIR", str(cifar_folder.parent))
    assert len(prepare("cifar10").train) == 100


@pytest.mark.parametrize("size", [0, -1, 4097])
def test_a_size_out_of_all_reason_is_refused(make_folder: MakeFolder, size: int) -> None:
    for source in ("digits", str(make_folder({"a": 3, "b": 3}))):
        with pytest.raises(SpecError, match="size"):
            prepare(source, size=size)


def test_a_report_on_a_known_data_set_counts_it(cifar_folder: Path) -> None:
    report = inspect_source("cifar10", data_dir=cifar_folder.parent)
    assert report.counts == {"train": [10] * 10, "test": [2] * 10}
    assert report.sizes == [(32, 32, 120)]
    assert report.problems == []
    assert inspect_source("digits").classes == tuple("0123456789")
