"""The cache: opened again at once, rebuilt when damaged, whole at every moment, and clear when it cannot be written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bakeoff.data import Dataset, decode, open_cached, prepare
from bakeoff.errors import DataError

from .conftest import MakeFolder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def same(one: Dataset, other: Dataset) -> bool:
    return (
        one.fingerprint == other.fingerprint
        and (np.asarray(one.train.pixels) == np.asarray(other.train.pixels)).all()
        and (np.asarray(one.test.labels) == np.asarray(other.test.labels)).all()
    )


def never(*arguments: object) -> None:
    raise AssertionError("nothing was to be decoded")


def test_a_second_call_decodes_nothing(make_folder: MakeFolder, cache: Path) -> None:
    folder = make_folder({"a": 3, "b": 3})
    first = prepare(str(folder), cache_dir=cache)
    second = prepare(str(folder), cache_dir=cache, on_progress=never)
    assert first.folder == second.folder
    assert same(first, second)


def test_a_resumed_study_asks_for_the_decided_size_and_decodes_nothing(make_folder: MakeFolder, cache: Path) -> None:
    folder = make_folder({"a": 3, "b": 3}, side=(10, 12))
    first = prepare(str(folder), cache_dir=cache)
    assert prepare(str(folder), size=10, cache_dir=cache, on_progress=never).folder == first.folder
    assert prepare(str(folder), size=9, cache_dir=cache).size == 9


def test_pictures_are_mapped_and_cannot_be_written_to(make_folder: MakeFolder, cache: Path) -> None:
    dataset = prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)
    assert isinstance(dataset.train.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.pixels[0, 0, 0, 0] = 1


def test_another_process_opens_an_entry_by_its_folder_without_torch(make_folder: MakeFolder, cache: Path) -> None:
    dataset = prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)
    program = (
        "import sys; from pathlib import Path; from bakeoff.data import open_cached;"
        "print(open_cached(Path(sys.argv[1])).fingerprint, 'torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(dataset.folder)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [dataset.fingerprint, "False"]


@pytest.mark.parametrize("change", ["content", "added", "removed", "renamed"])
def test_a_changed_folder_is_decoded_anew(make_folder: MakeFolder, cache: Path, change: str) -> None:
    folder = make_folder({"a": 4, "b": 4})
    before = prepare(str(folder), cache_dir=cache)
    path = folder / "a" / "000.png"
    if change == "content":
        shutil.copyfile(folder / "b" / "000.png", path)
    elif change == "added":
        shutil.copyfile(path, folder / "a" / "new.png")
    elif change == "removed":
        path.unlink()
    else:
        path.rename(folder / "a" / "zzz.png")
    assert prepare(str(folder), cache_dir=cache).fingerprint != before.fingerprint


DAMAGES: dict[str, Callable[[Path], object]] = {
    "meta missing": lambda entry: (entry / "meta.json").unlink(),
    "meta cut": lambda entry: (entry / "meta.json").write_text('{"format": 1, "na'),
    "meta a list": lambda entry: (entry / "meta.json").write_text("[]"),
    "meta of another format": lambda entry: (entry / "meta.json").write_text(json.dumps({"format": 0})),
    "pixels missing": lambda entry: (entry / "train.npy").unlink(),
    "pixels cut": lambda entry: os.truncate(entry / "train.npy", 300),
    "pixels empty": lambda entry: os.truncate(entry / "test.npy", 0),
    "pixels of another shape": lambda entry: np.save(entry / "train.npy", np.zeros((2, 8, 8, 3), dtype=np.uint8)),
    "pixels of another type": lambda entry: np.save(entry / "train.npy", np.load(entry / "train.npy").astype(float)),
    "labels missing": lambda entry: (entry / "train-labels.npy").unlink(),
    "labels too few": lambda entry: np.save(entry / "train-labels.npy", np.zeros(1, dtype=np.int64)),
    "labels a pickle": lambda entry: np.save(entry / "train-labels.npy", np.array([{}] * 4, dtype=object)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_noticed_and_rebuilt(make_folder: MakeFolder, cache: Path, damage: str) -> None:
    folder = make_folder({"a": 3, "b": 3})
    before = prepare(str(folder), cache_dir=cache)
    fingerprint, entry = before.fingerprint, before.folder
    del before
    DAMAGES[damage](entry)
    with pytest.raises(DataError, match="missing or damaged"):
        open_cached(entry)
    assert prepare(str(folder), cache_dir=cache).fingerprint == fingerprint
    assert open_cached(entry).fingerprint == fingerprint


def test_a_process_killed_while_decoding_leaves_no_entry_and_its_rest_is_cleared(
    make_folder: MakeFolder, cache: Path
) -> None:
    folder = make_folder({"a": 3, "b": 3})
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom bakeoff.data import prepare\n"
        "def kill(stage, done, total):\n    if stage == 'decoding': os.kill(os.getpid(), 9)\n"
        "prepare(sys.argv[1], cache_dir=Path(sys.argv[2]), on_progress=kill)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(folder), str(cache)], capture_output=True)
    assert run.returncode == -9
    assert [path.name[0] for path in entries(cache)] == ["."]
    dataset = prepare(str(folder), cache_dir=cache)
    assert entries(cache) == [dataset.folder]


def test_several_processes_at_once_make_one_whole_entry(make_folder: MakeFolder, cache: Path) -> None:
    folder = make_folder({"a": 30, "b": 30})
    program = (
        "import sys\nfrom pathlib import Path\nfrom bakeoff.data import prepare\n"
        "print(prepare(sys.argv[1], cache_dir=Path(sys.argv[2])).fingerprint)\n"
    )
    command = [sys.executable, "-c", program, str(folder), str(cache)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert set(said) == {prepare(str(folder), cache_dir=cache, on_progress=never).fingerprint}
    assert len(entries(cache)) == 1


def test_an_error_while_decoding_leaves_nothing_behind(
    make_folder: MakeFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "read_pixels", broken)
    with pytest.raises(KeyboardInterrupt):
        prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)
    assert entries(cache) == []


def test_too_little_space_is_told_beforehand_with_what_is_needed_where(
    make_folder: MakeFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 100))  # type: ignore[attr-defined]
    with pytest.raises(DataError) as error:
        prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)
    for word in ("decoding 4 pictures at 8 pixels", str(cache), "BAKEOFF_CACHE_DIR", "size"):
        assert word in str(error.value)
    assert entries(cache) == []


@pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="space is reserved by posix_fallocate, which is not here"
)
def test_a_disk_that_is_full_is_told_and_not_died_of(
    make_folder: MakeFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, start: int, length: int) -> None:
        assert length > 4 * 8 * 8 * 3
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"none is left.*BAKEOFF_CACHE_DIR"):
        prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)
    assert entries(cache) == []


def test_a_cache_below_a_file_is_told(make_folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="BAKEOFF_CACHE_DIR"):
        prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=tmp_path / "file" / "cache")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_cache_is_told(make_folder: MakeFolder, cache: Path) -> None:
    cache.mkdir(mode=0o555)
    with pytest.raises(DataError, match="must be writable"):
        prepare(str(make_folder({"a": 3, "b": 3})), cache_dir=cache)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_system_that_refuses_to_write_is_told(
    make_folder: MakeFolder, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder = make_folder({"a": 3, "b": 3})

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DataError, match=f"must be writable.*{os.strerror(number)}.*BAKEOFF_CACHE_DIR"):
        prepare(str(folder), cache_dir=cache)


def test_an_entry_in_a_read_only_cache_is_opened(
    make_folder: MakeFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder({"a": 3, "b": 3})
    prepare(str(folder), cache_dir=cache)

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert len(prepare(str(folder), cache_dir=cache).train) == 4
