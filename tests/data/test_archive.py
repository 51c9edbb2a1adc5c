"""Archives of pictures are unpacked; what would reach out of their folder is refused with nothing written."""

from __future__ import annotations

import errno
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from bakeoff.data import inspect_source, prepare
from bakeoff.errors import DataError

from .conftest import MakeFolder


def packed(folder: Path, target: Path, below: str = "") -> Path:
    """Pack a folder by the suffix of the target, optionally below another folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                archive.write(path, below + str(path.relative_to(folder)))
    else:
        with tarfile.open(target, f"w:{target.suffix[1:]}" if target.suffix != ".tar" else "w") as archive:
            for path in files:
                archive.add(path, below + str(path.relative_to(folder)))
    return target


def tar_with(target: Path, **fields: Any) -> Path:
    member = tarfile.TarInfo("cat/0.png")
    for name, value in fields.items():
        setattr(member, name, value)
    with tarfile.open(target, "w") as archive:
        archive.addfile(member, io.BytesIO(b"x" * member.size))
    return target


def refused(archive: Path, cache: Path, message: str) -> None:
    outside = set(cache.parent.iterdir()) | {cache}
    with pytest.raises(DataError, match=message):
        prepare(str(archive), cache_dir=cache)
    assert set(cache.parent.iterdir()) <= outside
    written = [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert written == []


@pytest.mark.parametrize("name", ["pets.zip", "pets.tar", "pets.tar.gz", "pets.tar.bz2", "pets.tar.xz"])
@pytest.mark.parametrize("below", ["", "pets/", "a/b/"])
def test_an_archive_gives_what_its_folder_gives(make_folder: MakeFolder, tmp_path: Path, name: str, below: str) -> None:
    folder = make_folder({"train/cat": 3, "train/dog": 3, "test/cat": 2, "test/dog": 2})
    archive = packed(folder, tmp_path / name, below)
    dataset = prepare(str(archive), cache_dir=tmp_path / "cache")
    assert dataset.fingerprint == prepare(str(folder), cache_dir=tmp_path / "cache").fingerprint
    assert dataset.name == "pets"


def test_an_archive_is_unpacked_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    archive = packed(make_folder({"cat": 3, "dog": 3}), tmp_path / "x.zip")
    told: list[str] = []
    for _ in range(2):
        prepare(str(archive), cache_dir=tmp_path / "cache", on_progress=lambda stage, done, total: told.append(stage))
    assert told.count("unpacking") == 6


def test_an_unpacked_archive_serves_from_a_cache_that_cannot_be_written_to(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(make_folder({"cat": 3, "dog": 3}), tmp_path / "x.zip")
    first = prepare(str(path), cache_dir=tmp_path / "cache")

    def refuse(lock: FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert prepare(str(path), cache_dir=tmp_path / "cache").fingerprint == first.fingerprint


def test_what_a_mac_adds_is_no_class(make_folder: MakeFolder, tmp_path: Path) -> None:
    archive = packed(make_folder({"cat": 3, "dog": 3}), tmp_path / "x.zip")
    with zipfile.ZipFile(archive, "a") as added:
        added.writestr("__MACOSX/cat/._000.png", b"junk")
        added.writestr(".DS_Store", b"junk")
    assert prepare(str(archive), cache_dir=tmp_path / "cache").classes == ("cat", "dog")


@pytest.mark.parametrize(
    "name", ["../evil.png", "cat/../../evil.png", "/evil.png", "C:\\evil.png", "cat\\..\\..\\evil.png"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_climbs_out_is_refused_by_name(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / f"evil.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("cat/0.png", b"x")
            file.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w") as file:
            file.addfile(tarfile.TarInfo("cat/0.png"))
            file.addfile(tarfile.TarInfo(name))
    refused(archive, tmp_path / "cache", "must stay inside its folder.*evil")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tar_with(tmp_path / "evil.tar", type=kind, linkname="/etc/passwd")
    refused(archive, tmp_path / "cache", "no links or devices.*cat/0.png")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/0.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tmp_path / "evil.zip", tmp_path / "cache", "no links.*cat/0.png")


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_an_archive_that_unpacks_to_far_more_than_itself_is_refused(tmp_path: Path, name: str) -> None:
    content = b"\0" * 20_000_000
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cat/0.png", content)
    else:
        with tarfile.open(tmp_path / name, "w:gz") as tar:
            member = tarfile.TarInfo("cat/0.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused(tmp_path / name, tmp_path / "cache", "claims 20,000,000 bytes")


def test_an_archive_larger_than_the_disk_is_refused(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(make_folder({"cat": 3, "dog": 3}), tmp_path / "x.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 100))  # type: ignore[attr-defined]
    refused(archive, tmp_path / "cache", "BAKEOFF_CACHE_DIR")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "garbled", "empty", "text"])
def test_a_damaged_archive_is_refused(make_folder: MakeFolder, tmp_path: Path, name: str, damage: str) -> None:
    archive = packed(make_folder({"cat": 9, "dog": 9}, side=16), tmp_path / name)
    content = archive.read_bytes()
    middle = len(content) // 3
    archive.write_bytes(
        {
            "cut": content[:middle],
            "garbled": content[:middle] + bytes(byte ^ 0xA5 for byte in content[middle:]),
            "empty": b"",
            "text": b"this is no archive\n" * 100,
        }[damage]
    )
    with pytest.raises(DataError):
        prepare(str(archive), cache_dir=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_to_is_told(make_folder: MakeFolder, tmp_path: Path) -> None:
    archive = packed(make_folder({"cat": 3, "dog": 3}), tmp_path / "x.zip")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="BAKEOFF_CACHE_DIR"):
        prepare(str(archive), cache_dir=tmp_path / "file" / "cache")


def test_what_is_in_an_archive_is_reported(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"cat": 3, "dog": 7})
    (folder / "cat" / "bad.png").touch()
    report = inspect_source(str(packed(folder, tmp_path / "x.tar.gz", "top/")), cache_dir=tmp_path / "cache")
    assert report.name == "x"
    assert [path for path, _ in report.problems] == ["cat/bad.png"]
