"""What a worker's failure means for the other runs, and who may train a run."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from filelock import FileLock

from bakeoff.errors import DataError, RunError, StudyError
from bakeoff.execution import worker


def test_what_the_runs_share_stops_the_study_and_what_is_one_runs_own_does_not() -> None:
    shared = [StudyError("a full disk"), DataError("the cache is gone")]
    own = [RunError("the checkpoint of another run"), OSError("a slip"), ValueError("a bug"), RuntimeError("no memory")]
    assert [worker._meets_every_run(error) for error in shared] == [True, True]
    assert not any(worker._meets_every_run(error) for error in own)


def test_a_run_that_another_process_trains_is_left_to_it_and_its_own_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOCK_SECONDS", 0.01)
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(RunError, match=r"one process at a time.*end that one, then give the same command again"),
        worker._claimed(tmp_path),
    ):
        pytest.fail("claimed")
    with worker._claimed(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_to_stops_the_study_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").write_bytes(b"")
    with (
        pytest.raises(StudyError, match="a file is in its place") as caught,
        worker._claimed(tmp_path / "checkpoints/a"),
    ):
        pytest.fail("claimed")
    assert worker._meets_every_run(caught.value)

    def refuse(lock: FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(StudyError, match=r"Read-only file system; .*--out") as caught, worker._claimed(tmp_path / "b"):
        pytest.fail("claimed")
    assert worker._meets_every_run(caught.value)
