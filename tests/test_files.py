"""Files and folders appear whole, and are as open to others as the user's umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.errors import StudyError
from bakeoff.files import unfinished_folder, write_atomically

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_others_can_read_what_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "study.toml", b"x")
    assert stat.S_IMODE((tmp_path / "study.toml").stat().st_mode) == 0o644
    assert stat.S_IMODE(unfinished_folder(tmp_path / "entry").stat().st_mode) == 0o755


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StudyError, match="taken"):
        write_atomically(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_where_a_folder_must_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StudyError, match="must lie in a folder, but a file is in its place"):
        write_atomically(tmp_path / "file" / "inside", b"x")


@pytest.mark.parametrize("name", ["folder", "pipe"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StudyError, match="must be a file, but is a"):
        write_atomically(tmp_path / name, b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "folder").is_dir()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"x"
