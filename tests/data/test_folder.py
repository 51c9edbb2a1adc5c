"""A folder of pictures: which layouts are understood, which are refused, and what is said of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bakeoff.data import Dataset, decoders, inspect_source, prepare
from bakeoff.errors import DataError, UnusablePicturesError

from .conftest import MakeFolder


def counts(dataset: Dataset) -> dict[str, list[int]]:
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {name: np.bincount(one.labels).tolist() for name, one in splits.items() if one is not None}


def test_pictures_and_labels_come_in_the_order_of_classes_and_names(make_folder: MakeFolder) -> None:
    folder = make_folder({"train/b": 3, "train/a": 2, "test/a": 1, "test/b": 1})
    dataset = prepare(str(folder))
    assert dataset.classes == ("a", "b")
    assert list(dataset.train.labels) == [0, 0, 1, 1, 1]
    for row, path in enumerate(sorted((folder / "train").rglob("*.png"))):
        with Image.open(path) as image:
            assert (dataset.train.pixels[row] == np.asarray(image)).all()
    assert dataset.validation is None
    assert dataset.size == 8
    assert dataset.flippable
    assert dataset.name == "pets"


def test_mean_and_deviation_are_those_of_all_training_pixels(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"train/a": 9, "train/b": 7, "test/a": 2, "test/b": 2})))
    pixels = np.asarray(dataset.train.pixels) / 255
    assert dataset.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-12)
    assert dataset.std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-12)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_decoders_end_together_and_ctrl_c_reaches_none_of_them(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    paths = sorted(make_folder({"train/a": 40}).rglob("*.png"))
    started, sessions, start = [], [], decoders._started

    def noted() -> subprocess.Popen[str]:
        process = start()
        started.append(process)
        sessions.append(os.getsid(process.pid))
        return process

    def interrupted(done: int) -> None:
        raise error

    monkeypatch.setattr(decoders, "FEW", 0)
    monkeypatch.setattr(decoders, "PICTURES_A_JOB", 1)
    monkeypatch.setattr(decoders, "_cores", lambda: 2)
    monkeypatch.setattr(decoders, "_started", noted)
    before = threading.active_count()
    with pytest.raises(error):
        decoders.read_headers(paths, interrupted, decode=True)
    assert threading.active_count() == before
    assert 1 <= len(started) <= 2
    assert all(process.returncode is not None for process in started)
    assert os.getsid(0) not in sessions


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_val_beside_test_is_the_validation_split(make_folder: MakeFolder, name: str) -> None:
    folder = make_folder(
        {f"{split}/{one}": number for split, number in [("train", 4), (name, 2), ("test", 3)] for one in "ab"}
    )
    assert counts(prepare(str(folder))) == {"train": [4, 4], "validation": [2, 2], "test": [3, 3]}


def test_two_folders_of_validation_are_refused_by_name(make_folder: MakeFolder) -> None:
    folder = make_folder({f"{split}/{one}": 4 for split in ("train", "val", "validation", "test") for one in "ab"})
    with pytest.raises(DataError, match=r"one folder, but .* has val/ and validation/; move"):
        prepare(str(folder))


def test_val_alone_is_the_test_set_and_that_is_said(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 3})))
    assert counts(dataset) == {"train": [4, 4], "test": [2, 3]}
    assert any("val/ is taken for the test set" in note for note in dataset.notes)


@pytest.mark.parametrize("layout", [{"a": 10, "b": 20}, {"train/a": 10, "train/b": 20}])
def test_a_fifth_is_split_off_where_there_is_no_test_set_and_that_is_said(
    make_folder: MakeFolder, layout: dict[str, int]
) -> None:
    dataset = prepare(str(make_folder(layout)))
    assert counts(dataset) == {"train": [8, 16], "test": [2, 4]}
    assert any("6 pictures split off here" in note for note in dataset.notes)
    train, test = ({one.tobytes() for one in split.pixels} for split in (dataset.train, dataset.test))
    assert not train & test


def test_two_pictures_of_a_class_are_one_to_train_and_one_to_test(make_folder: MakeFolder) -> None:
    assert counts(prepare(str(make_folder({"a": 2, "b": 2})))) == {"train": [1, 1], "test": [1, 1]}


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({}, "has none"),
        ({"train/a": 0, "train/b": 0}, "has none"),
        ({"a": 5}, "at least two classes.*only 'a'"),
        ({"train/a": 5, "test/a": 5}, "at least two classes"),
        ({"a": 5, "b": 1}, "at least two training pictures.*'b'"),
        ({"train/a": 5, "train/b": 1, "test/a": 2, "test/b": 2}, "at least two training pictures.*'b'"),
        ({"train/a": 5, "train/b": 5, "test/a": 2, "test/c": 2}, "every class must be in train.*'c'"),
        ({"train/a": 5, "train/b": 5, "test/a": 2, "val/c": 2}, "every class must be in train.*validation.*'c'"),
        (
            {"test/a": 5, "test/b": 5, "training/a": 5, "training/b": 5},
            "a level further down, below 'test', 'training'",
        ),
        ({"one/a": 5, "one/b": 5, "two/a": 5, "two/b": 5}, "give one of these instead"),
    ],
)
def test_a_layout_that_cannot_be_compared_on_is_refused(
    make_folder: MakeFolder, layout: dict[str, int], message: str
) -> None:
    folder = make_folder(layout)
    with pytest.raises(DataError, match=message):
        prepare(str(folder))
    with pytest.raises(DataError, match=message):
        inspect_source(str(folder))


def test_a_class_that_is_missing_in_test_is_said(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"train/a": 4, "train/b": 4, "test/a": 2})))
    assert any("test has no picture of 'b'" in note for note in dataset.notes)


def test_uneven_classes_are_said(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"train/a": 4, "train/b": 8, "test/a": 2, "test/b": 2})))
    assert any("uneven: 4 to 8" in note for note in dataset.notes)


def test_other_files_are_left_out_and_counted(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 4, "b": 4})
    for name in ("a/Thumbs.db", "a/.DS_Store", "b/notes.txt", "b/photo.heic", "list.csv"):
        (folder / name).write_bytes(b"x")
    (folder / "c").mkdir()
    dataset = prepare(str(folder))
    assert dataset.classes == ("a", "b")
    said = " ".join(dataset.notes)
    assert "1 .txt" in said
    assert "1 .heic" in said
    assert "without a picture were left out: 'c'" in said
    assert "db" not in said
    assert inspect_source(str(folder)).ignored == 5


def test_pictures_in_no_classs_folder_are_told_as_such(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 4, "b": 4})
    for name in ("stray.png", "photo.heic", "a/notes.txt"):
        (folder / name).write_bytes(b"x")
    said = prepare(str(folder)).notes
    assert "left out, as they lie in no class's folder: 1 picture" in said
    assert not any(".png" in note for note in said)
    assert inspect_source(str(folder)).ignored == 3


def test_links_are_left_out_and_counted(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 4, "b": 4})
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    (folder / "a" / "link.png").symlink_to(secret)
    (folder / "c").symlink_to(folder / "a", target_is_directory=True)
    dataset = prepare(str(folder))
    assert dataset.classes == ("a", "b")
    assert any("2 symbolic link" in note for note in dataset.notes)
    assert sum(map(sum, counts(dataset).values())) == 8


@pytest.fixture
def spoilt(make_folder: MakeFolder) -> Path:
    """A folder with a picture of every bad sort."""
    folder = make_folder({"a": 6, "b": 6})
    (folder / "a" / "empty.jpg").touch()
    (folder / "a" / "text.png").write_text("no picture")
    whole = (folder / "b" / "000.png").read_bytes()
    (folder / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(folder / "b" / "float.tif")
    return folder


BAD = ["a/empty.jpg", "a/text.png", "b/cut.png", "b/float.tif"]


def test_all_bad_pictures_are_listed_by_path_at_once(spoilt: Path) -> None:
    with pytest.raises(UnusablePicturesError) as error:
        prepare(str(spoilt))
    assert [path for path, _ in error.value.problems] == BAD
    for path, reason in error.value.problems:
        assert f"{path}: {reason}" in str(error.value)
    assert "4 cannot be used" in str(error.value)


def test_bad_pictures_leave_nothing_in_the_cache(spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusablePicturesError):
        prepare(str(spoilt), cache_dir=tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []


def test_inspecting_lists_the_bad_pictures_and_tells_of_the_others(spoilt: Path) -> None:
    report = inspect_source(str(spoilt))
    assert [path for path, _ in report.problems] == BAD
    assert sum(map(sum, report.counts.values())) == 16
    assert report.sizes == [(8, 8, 12)]


def test_beyond_twenty_bad_pictures_the_message_counts_and_the_attribute_lists(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3})
    for number in range(30):
        (folder / "a" / f"bad{number:02}.jpg").touch()
    with pytest.raises(UnusablePicturesError, match="and 10 more") as error:
        prepare(str(folder))
    assert len(error.value.problems) == 30


def test_names_cannot_do_anything_to_the_terminal(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3})
    (folder / "a" / "\x1b[31m\n.png").touch()
    with pytest.raises(UnusablePicturesError) as error:
        prepare(str(folder))
    assert "\x1b" not in str(error.value)
    assert "\\x1b[31m\\n.png" in str(error.value)
    assert inspect_source(str(folder)).problems[0][0] == r"a/\x1b[31m\n.png"


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", os.fsdecode(b"caf\xe9")])
def test_a_class_name_that_cannot_be_shown_is_refused(make_folder: MakeFolder, name: str) -> None:
    folder = make_folder({"a": 3, "b": 3, name: 3})
    with pytest.raises(DataError, match="rename the folder") as error:
        prepare(str(folder))
    assert str(error.value).isprintable()


def test_conversions_are_counted_in_the_notes_and_listed_in_the_report(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3})
    Image.new("L", (8, 8)).save(folder / "a" / "grey.png")
    Image.new("CMYK", (8, 8)).save(folder / "a" / "print.jpg")
    Image.new("RGB", (8, 8)).save(folder / "b" / "really.jpg", format="PNG")
    said = " ".join(prepare(str(folder)).notes)
    for kind in ("grey", "CMYK", "named .jpg but PNG"):
        assert f"1 of 9 pictures converted: {kind}" in said
    kinds = inspect_source(str(folder)).kinds
    assert kinds == {"grey": ["a/grey.png"], "CMYK": ["a/print.jpg"], "named .jpg but PNG": ["b/really.jpg"]}


def test_squares_that_are_all_alike_stay_as_they_are(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"a": 3, "b": 3}, side=300)))
    assert dataset.size == 300
    assert not any("scaled" in note for note in dataset.notes)


def test_otherwise_the_median_shorter_side_decides_and_what_is_cut_is_said(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 2}, side=(20, 40))
    make_folder({"b": 3}, side=(30, 60))
    dataset = prepare(str(folder))
    assert dataset.size == 30
    assert any("scaled to 30 pixels" in note and "50% of each is kept" in note for note in dataset.notes)


def test_the_median_is_capped_at_224(make_folder: MakeFolder) -> None:
    assert prepare(str(make_folder({"a": 2, "b": 2}, side=(300, 400)))).size == 224


def test_a_size_can_be_asked_for(make_folder: MakeFolder) -> None:
    dataset = prepare(str(make_folder({"a": 3, "b": 3})), size=5)
    assert dataset.train.pixels.shape[1:] == (5, 5, 3)


def test_many_pictures_are_decoded_by_several_processes_to_the_same(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder({"a": 70, "b": 70})
    alone = prepare(str(folder), cache_dir=tmp_path / "alone")
    monkeypatch.setattr(decoders, "FEW", 0)
    told: list[tuple[str, int, int | None]] = []
    together = prepare(str(folder), cache_dir=tmp_path / "together", on_progress=lambda *one: told.append(one))
    assert (np.asarray(together.train.pixels) == np.asarray(alone.train.pixels)).all()
    assert together.fingerprint == alone.fingerprint
    decoding = [done for stage, done, total in told if stage == "decoding"]
    assert decoding == sorted(decoding)
    assert decoding[-1] == 140


def test_several_processes_list_the_same_bad_pictures(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "FEW", 0)
    with pytest.raises(UnusablePicturesError) as error:
        prepare(str(spoilt))
    assert [path for path, _ in error.value.problems] == BAD
    assert [path for path, _ in inspect_source(str(spoilt)).problems] == BAD


def test_decoding_does_not_care_for_modules_in_the_current_folder(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "FEW", 0)
    here = tmp_path / "here"
    here.mkdir()
    (here / "json.py").write_text("raise SystemExit('this is not the library')")
    monkeypatch.chdir(here)
    assert len(prepare(str(make_folder({"a": 3, "b": 3}))).train) == 4


def test_a_decoding_process_that_cannot_start_is_told_and_no_picture_blamed(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "FEW", 0)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(DataError, match="a decoding process must start"):
        prepare(str(make_folder({"a": 3, "b": 3})))


def test_a_picture_that_brings_the_decoder_down_is_found_and_listed(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Pillow's decoder dies of one picture, as a fault in a C library would make it."""
    folder = make_folder({"a": 5, "b": 5})
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom PIL import Image\nload = Image.open\n"
        "def fragile(path, *more, **options):\n"
        "    if str(path).endswith('b/003.png'): os.abort()\n"
        "    return load(path, *more, **options)\n"
        "Image.open = fragile\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(decoders, "FEW", 0)
    with pytest.raises(UnusablePicturesError) as error:
        prepare(str(folder))
    assert error.value.problems == [("b/003.png", "brings the decoder down")]


def test_a_moved_folder_keeps_its_fingerprint(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 3, "b": 3})
    before = prepare(str(folder)).fingerprint
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other name")
    assert prepare(str(moved)).fingerprint == before


@pytest.mark.parametrize("change", ["pixel", "label", "class name", "order"])
def test_whatever_changes_the_data_changes_its_fingerprint(make_folder: MakeFolder, change: str) -> None:
    folder = make_folder({"train/a": 3, "train/b": 3, "test/a": 1, "test/b": 1})
    before = prepare(str(folder))
    if change == "pixel":
        path = folder / "test" / "a" / "000.png"
        with Image.open(path) as image:
            pixels = np.asarray(image).copy()
        pixels[0, 0, 0] ^= 1
        Image.fromarray(pixels).save(path)
    elif change == "label":
        (folder / "train" / "a" / "002.png").rename(folder / "train" / "b" / "00.png")
    elif change == "class name":
        (folder / "train" / "b").rename(folder / "train" / "c")
        (folder / "test" / "b").rename(folder / "test" / "c")
    else:
        (folder / "train" / "a" / "000.png").rename(folder / "train" / "a" / "999.png")
    assert prepare(str(folder)).fingerprint != before.fingerprint


def test_cifar10_as_pictures_is_read_whole(cifar10_folder: Path, tmp_path: Path) -> None:
    """The real thing, a part of it: 100 pictures of each class."""
    for split, number in (("train", 100), ("test", 20)):
        for one in sorted((cifar10_folder / split).iterdir()):
            (tmp_path / "cifar" / split / one.name).mkdir(parents=True)
            for path in sorted(one.iterdir())[:number]:
                shutil.copy2(path, tmp_path / "cifar" / split / one.name)
    dataset = prepare(str(tmp_path / "cifar"), cache_dir=tmp_path / "cache")
    assert counts(dataset) == {"train": [100] * 10, "test": [20] * 10}
    assert dataset.size == 32
    # Over all 50,000 pictures: 0.4914, 0.4822, 0.4465 and 0.2470, 0.2435, 0.2616.
    assert dataset.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.02)
    assert dataset.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.02)
