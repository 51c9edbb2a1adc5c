"""Checkpoints that survive a crash at any moment: tensors and JSON, whole or not at all, and the one before kept.

A file holds a magic word, the SHA-256 of what follows, and a `torch.save` archive that is read with
`weights_only=True`: nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bakeoff.errors import RunError
from bakeoff.files import drop_unfinished, unwritable, write_atomically
from bakeoff.records import EpochRecord, RunResult, RunStatus

MAGIC = b"BAKEOFF1"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come, apart from its tensors."""

    run_id: str
    micro_batch: int
    epoch: int = 1
    """The epoch under way, counted from 1."""

    step: int = 0
    """Steps of it that are done."""

    seconds_train: float = 0.0
    """Spent in this epoch so far."""

    seconds_wait: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)
    result: RunResult | None = None
    """Set once the run has ended."""

    health: dict[str, Any] = field(default_factory=dict)
    """What has been seen of the training so far; empty in checkpoints from before that was looked at."""


@dataclass(slots=True, kw_only=True)
class Checkpoint:
    """All that a run needs to go on as if it had not stopped."""

    progress: Progress
    network: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    rng: dict[str, torch.Tensor]
    """States of torch's default generators, by device type."""

    sums: torch.Tensor
    """float64, shape (2,): summed loss and correct predictions of the epoch under way."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, keeping the one before it.

    Raises:
        StudyError: If the disk is full or the folder cannot be written to.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "progress": json.dumps(asdict(checkpoint.progress)),
            "network": checkpoint.network,
            "optimizer": checkpoint.optimizer,
            "rng": checkpoint.rng,
            "sums": checkpoint.sums,
        },
        buffer,
    )
    content = buffer.getbuffer()
    last = folder / LAST
    if last.exists():
        # A hard link would not survive on every file system; a rename leaves a moment without LAST, in which PREVIOUS
        # is whole, so a reader always finds one of the two.
        try:
            os.replace(last, folder / PREVIOUS)
        except OSError as error:
            raise unwritable(last, error) from error
    write_atomically(last, MAGIC + hashlib.sha256(content).digest() + content)


def drop_previous(folder: Path) -> None:
    """Delete the checkpoint before the last: a run that has ended needs one, and sweeps fill disks."""
    (folder / PREVIOUS).unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Delete what kills have left unfinished, each as large as a checkpoint; the run must be this process's alone."""
    drop_unfinished(folder / LAST)


def load(folder: Path, run_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint that is whole, or None where there is none.

    Args:
        folder: The run's folder of checkpoints.
        run_id: Of the run that wants to go on.
        warn: Told of a checkpoint that had to be passed over.

    Raises:
        RunError: If the checkpoint belongs to another run, or holds what could run code.
    """
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            checkpoint = _read(path)
        except _DamagedError as error:
            instead = (
                "the one before it is used" if name == LAST and (folder / PREVIOUS).exists() else "the run starts again"
            )
            warn(f"checkpoint {path} is damaged ({error}): {instead}")
            os.replace(path, folder / f"damaged-{name}")  # so that the next save does not push a whole one out by it
            continue
        if checkpoint.progress.run_id != run_id:
            raise RunError(
                f"a checkpoint must belong to its run, but {path} is of run {checkpoint.progress.run_id} instead of {run_id}; move it away"
            )
        return checkpoint
    return None


class _DamagedError(Exception):
    pass


def _read(path: Path) -> Checkpoint:
    content = path.read_bytes()
    header = len(MAGIC) + hashlib.sha256().digest_size
    if content[: len(MAGIC)] != MAGIC:
        raise _DamagedError("it does not begin as a checkpoint does")
    body = memoryview(content)[header:]
    if hashlib.sha256(body).digest() != content[len(MAGIC) : header]:
        raise _DamagedError("its checksum does not match: truncated or altered")
    try:
        state = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise RunError(
            f"a checkpoint must hold tensors and plain values only, but {path} does not: delete it if you did not expect this"
        ) from error
    plain = json.loads(state["progress"])
    plain["history"] = [EpochRecord(**record) for record in plain["history"]]
    if plain["result"] is not None:
        plain["result"] = RunResult(**plain["result"] | {"status": RunStatus(plain["result"]["status"])})
    return Checkpoint(
        progress=Progress(**plain),
        network=state["network"],
        optimizer=state["optimizer"],
        rng=state["rng"],
        sums=state["sums"],
    )
