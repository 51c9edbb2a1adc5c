"""What a measuring process and its parent say to each other: one JSON document a line, nothing that could run code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakeoff.cost.effort import Span
from bakeoff.records import Numerics
from bakeoff.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A candidate to measure."""

    run: RunSpec
    """One of its runs; the seed decides nothing here."""

    numerics: Numerics
    dataset: Path | None
    """The study's pictures in the cache, or None where there is no study: noise stands for them then."""

    classes: int
    picture: int
    """Side of the pictures in pixels."""

    @property
    def size(self) -> int:
        """Side of the network's input in pixels."""
        return self.run.candidate.input_size(self.picture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is known of a candidate before anything is timed."""

    parameters: int
    trainable: int
    buffers: int
    macs: int
    train_macs_per_image: int
    activation_memory: int
    peak_memory_train: int | None
    peak_memory_inference: int | None
    reserved_memory_train: int | None
    batch: int
    """Pictures a step: the recipe's, or fewer where there are no more."""

    micro_batch: int
    shares: list[float]
    """Share of the epochs at each size of inputs in training."""

    device: str
    processor: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTurn:
    """Calls with one picture."""

    warm_up_calls: int
    seconds: list[float]
    """Duration of each call that counts."""

    retimed: float
    """Seconds a call over a block with one wait at its end."""

    training: bool
    """Whether the network was in training mode."""

    gradients: bool
    """Whether operations were recorded for gradients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTurn:
    """Calls with a batch of pictures."""

    seconds: list[float]
    """Duration of each call; none if the batch did not fit into memory."""

    room: bool
    """Whether twice the batch may be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTurn:
    """Training steps."""

    seconds: list[list[float]]
    """Duration of each step, by size of inputs."""

    waits: list[float]
    """Seconds of assembling each step's batch; none where there is no study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTurn:
    """What a counter of energy showed."""

    source: str
    joules: float
    seconds: float
    images: int
    idle_watts: float


def work_to_line(work: Work) -> str:
    """Write a piece of work as one line."""
    return json.dumps(
        {
            "run": work.run.model_dump(mode="json"),
            "numerics": asdict(work.numerics),
            "dataset": None if work.dataset is None else str(work.dataset),
            "classes": work.classes,
            "picture": work.picture,
        }
    )


def work_from_line(line: str) -> Work:
    """Read what `work_to_line` wrote."""
    plain = json.loads(line)
    return Work(
        run=RunSpec.model_validate(plain["run"]),
        numerics=Numerics(**plain["numerics"]),
        dataset=None if plain["dataset"] is None else Path(plain["dataset"]),
        classes=plain["classes"],
        picture=plain["picture"],
    )


def command(do: str, **values: Any) -> str:
    """Write a command as one line."""
    return json.dumps({"do": do} | {key: _plain(value) for key, value in values.items()})


def span(plain: list[float]) -> Span:
    """Read a span out of a command."""
    calls, seconds, most_seconds = plain
    return Span(int(calls), seconds, most_seconds)


def _plain(value: Any) -> Any:
    return [value.calls, value.seconds, value.most_seconds] if isinstance(value, Span) else value
