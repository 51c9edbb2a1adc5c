"""A checkpoint is whole or not there, and the one before it stands in."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch

from bakeoff.errors import RunError, StudyError
from bakeoff.files import write_atomically
from bakeoff.records import EpochRecord, RunResult, RunStatus
from bakeoff.training.checkpoint import LAST, PREVIOUS, Checkpoint, Progress, clear, load, save

RECORD = EpochRecord(
    epoch=1,
    steps=3,
    images=10,
    learning_rate=0.1,
    train_loss=1.0000000000000002,
    train_accuracy=0.5,
    val_loss=None,
    val_accuracy=None,
    seconds_train=1.0,
    seconds_evaluate=0.5,
    seconds_wait=0.1,
    micro_batch=4,
)


def checkpoint(epoch: int = 2) -> Checkpoint:
    torch.manual_seed(epoch)
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return Checkpoint(
        progress=Progress(run_id="abc", micro_batch=4, epoch=epoch, step=7, history=[RECORD]),
        network=layer.state_dict(),
        optimizer=optimizer.state_dict(),
        rng={"cpu": torch.get_rng_state()},
        sums=torch.tensor([1 / 3, 2.0], dtype=torch.float64),
    )


def loaded(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    warnings: list[str] = []
    return load(folder, "abc", warnings.append), warnings


def test_all_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = checkpoint()
    save(tmp_path, saved)
    found, warnings = loaded(tmp_path)
    assert found is not None
    assert not warnings
    assert found.progress == saved.progress
    assert all(torch.equal(found.network[key], value) for key, value in saved.network.items())
    assert torch.equal(found.optimizer["state"][0]["exp_avg"], saved.optimizer["state"][0]["exp_avg"])
    assert torch.equal(found.rng["cpu"], saved.rng["cpu"])
    assert torch.equal(found.sums, saved.sums)


def test_an_end_comes_back(tmp_path: Path) -> None:
    saved = checkpoint()
    saved.progress.result = RunResult(
        status=RunStatus.DIVERGED, test_loss=None, test_accuracy=None, seconds_test=0.0, message="loss"
    )
    save(tmp_path, saved)
    found, _ = loaded(tmp_path)
    assert found is not None
    assert found.progress.result == saved.progress.result


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path) == (None, [])


@pytest.mark.parametrize("keep", [0, 5, 39, 41, 1000, -1])
def test_a_truncated_checkpoint_gives_way_to_the_one_before_and_says_so(tmp_path: Path, keep: int) -> None:
    save(tmp_path, checkpoint(2))
    save(tmp_path, checkpoint(3))
    content = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(content[:keep])
    found, warnings = loaded(tmp_path)
    assert found is not None
    assert found.progress.epoch == 2
    assert len(warnings) == 1
    assert "damaged" in warnings[0]
    assert "the one before it is used" in warnings[0]


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, checkpoint())
    content = bytearray((tmp_path / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / LAST).write_bytes(content)
    found, warnings = loaded(tmp_path)
    assert found is None
    assert "checksum" in warnings[0]
    assert "starts again" in warnings[0]


def test_a_damaged_checkpoint_never_pushes_out_a_whole_one(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(2))
    save(tmp_path, checkpoint(3))
    (tmp_path / LAST).write_bytes(b"")
    loaded(tmp_path)
    save(tmp_path, checkpoint(3))
    (tmp_path / LAST).write_bytes(b"")
    found, _ = loaded(tmp_path)
    assert found is not None
    assert found.progress.epoch == 2


def test_a_crash_between_the_two_renames_leaves_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(2))
    (tmp_path / LAST).rename(tmp_path / PREVIOUS)
    found, warnings = loaded(tmp_path)
    assert found is not None
    assert found.progress.epoch == 2
    assert not warnings


def test_what_kills_left_unfinished_is_deleted_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, checkpoint(2))
    save(tmp_path, checkpoint(3))
    whole = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process clears nothing up
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(StudyError):
            write_atomically(tmp_path / LAST, b"half a checkpoint")
    assert len(list(tmp_path.iterdir())) == 3
    clear(tmp_path)
    assert sorted(tmp_path.iterdir()) == whole
    clear(tmp_path / "not there yet")


def test_a_folder_that_has_become_read_only_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    save(tmp_path, checkpoint(2))
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StudyError, match=r"Read-only file system; .*--out") as caught:
        save(tmp_path, checkpoint(3))
    assert not isinstance(caught.value, RunError)
    assert loaded(tmp_path)[0] is not None


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save(tmp_path, checkpoint())
    with pytest.raises(StudyError, match="abc instead of xyz"):
        load(tmp_path, "xyz", lambda message: None)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    body = pickle.dumps(Evil(), protocol=2)
    (tmp_path / LAST).write_bytes(b"BAKEOFF1" + hashlib.sha256(body).digest() + body)
    with pytest.raises(StudyError, match="tensors and plain values only"):
        loaded(tmp_path)
    assert not (tmp_path / "ran").exists()
