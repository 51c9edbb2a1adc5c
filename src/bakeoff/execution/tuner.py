"""Choosing algorithms for convolutions in a process of its own, with the threads and the allocator of a worker.

A program of its own (`execution.program`) with a request on standard input; it tells its progress and the result on
standard output, one JSON document a line.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bakeoff.errors import StudyError
from bakeoff.execution.local import environment
from bakeoff.execution.program import command
from bakeoff.spec import PrecisionName

if TYPE_CHECKING:
    from torch import nn

    from bakeoff.training.convolution import Layer, Timings

PEAK_SIDE = 2048
"""Rows of the square matrices whose product gives the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A network at work, as far as its convolutions are concerned."""

    model: str
    classes: int
    stem: Literal["original", "small"]
    size: int
    """Side of the input in pixels."""

    batch: int
    precision: PrecisionName


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedLayer:
    """A convolution and how long each algorithm takes for it."""

    name: str
    shape: str
    """The layer in a few words."""

    macs: int
    """Multiply-accumulates of one pass over the batch."""

    milliseconds: dict[str, dict[str, float]]
    """By pass and algorithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What was measured of a job, and chosen."""

    layers: list[TunedLayer]
    choices: dict[str, list[str]]
    """By layer, the algorithms of its passes, where one is faster than the library."""

    joined: list[str]
    """Layers that training computes in one go with the normalisations around them, if the peak was asked for, too."""

    peak: float | None
    """Multiply-accumulates a second of a large matrix product in the same precision, if it was asked for."""

    remark: str | None = None
    """Why an algorithm is left out, if one is."""


def tune(
    jobs: list[Job],
    *,
    threads: int,
    folder: Path,
    peak: bool = False,
    anew: bool = False,
    on_layer: Callable[[int, int], None] = lambda done, total: None,
) -> list[Tuned]:
    """Choose algorithms for the convolutions of networks, in a fresh process.

    Args:
        jobs: What to choose for.
        threads: Of the workers that will train.
        folder: Where measurements are kept and found again.
        peak: Whether to measure the processor's peak as well.
        anew: Whether to measure again what was measured before.
        on_layer: Told how many layers are done, of how many.

    Raises:
        StudyError: If the process fails; the message carries its last words.
    """
    if not (peak or anew):
        known = _recalled(jobs, folder, threads)
        if known is not None:
            return known
    request = {
        "jobs": [asdict(job) for job in jobs], "threads": threads, "folder": str(folder), "peak": peak, "anew": anew
    }  # fmt: skip
    return [
        Tuned(
            layers=[TunedLayer(**layer) for layer in job["layers"]],
            choices=job["choices"],
            joined=job["joined"],
            peak=job["peak"],
            remark=job["remark"],
        )
        for job in _asked(request, threads, on_layer)
    ]


def _asked(request: dict[str, object], threads: int, on_layer: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Have a request served by a fresh process."""
    result: list[dict[str, Any]] | None = None
    # Its words go to a file: a pipe that nobody reads meanwhile would be full after some warnings, and hold it up.
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command("bakeoff.execution.tuner"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            encoding="utf-8",
            env=environment(threads),
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                with contextlib.suppress(BrokenPipeError), process.stdin:  # it is dead already, and its words say why
                    process.stdin.write(json.dumps(request))
                for line in process.stdout:
                    told = json.loads(line)
                    if "done" in told:
                        on_layer(told["done"], told["total"])
                    else:
                        result = told["tuned"]
            finally:
                if result is None:
                    process.kill()
        if result is None:
            words.seek(0)
            last_words = words.read().decode("utf-8", errors="replace").strip().splitlines()[-1:] or ["it was killed"]
            raise StudyError(
                f"measuring the convolutions failed: {last_words[0]}; `bakeoff run --no-tune` trains without"
            )
    return result


def main() -> None:
    """Serve one request."""
    import torch

    request = json.loads(sys.stdin.read())
    torch.set_num_threads(request["threads"])
    jobs = [Job(**job) for job in request["jobs"]]
    tuned = _tuned(jobs, Path(request["folder"]), measure_peak=request["peak"], anew=request["anew"])
    _tell({"tuned": [asdict(job) for job in tuned]})


def _tell(content: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def _tuned(jobs: list[Job], folder: Path, *, measure_peak: bool, anew: bool) -> list[Tuned]:
    from bakeoff.training import convolution

    networks = [_layers(job) for job in jobs]
    total, before, found = sum(map(len, networks)), 0, []
    for job, layers in zip(jobs, networks, strict=True):

        def tell(done: int, _: int, offset: int = before) -> None:
            _tell({"done": offset + done, "total": total})

        timings = convolution.tune(layers, folder, tell, anew=anew)
        before += len(layers)
        joined = convolution.joinable(_network(job), job.size) if measure_peak else []
        found.append(_told(layers, joined, timings, _peak(job.precision) if measure_peak else None))
    return found


def _recalled(jobs: list[Job], folder: Path, threads: int) -> list[Tuned] | None:
    """Return what is known of all jobs, or None if something must be measured."""
    from bakeoff.training import convolution

    found = []
    for job in jobs:
        layers = _layers(job)
        timings = convolution.recall(layers, folder, threads)
        if timings is None:
            return None
        found.append(_told(layers, [], timings, None))
    return found


def _network(job: Job) -> nn.Module:
    import torch

    from bakeoff import models

    with torch.random.fork_rng(devices=[]):  # the weights are of no importance
        return models.build(job.model, classes=job.classes, stem=job.stem, size=job.size).module


def _layers(job: Job) -> list[Layer]:
    import torch

    from bakeoff.training import convolution

    return convolution.layers_of(_network(job), batch=job.batch, size=job.size, dtype=getattr(torch, job.precision))


def _told(layers: list[Layer], joined: list[str], timings: dict[str, Timings], peak: float | None) -> Tuned:
    from bakeoff.training import convolution

    return Tuned(
        layers=[
            TunedLayer(
                name=layer.name,
                shape=str(layer.geometry),
                macs=layer.geometry.macs,
                milliseconds={str(task): known for task, known in timings[layer.name].items()},
            )
            for layer in layers
        ],
        choices=convolution.choose(timings),
        joined=joined,
        peak=peak,
        remark=convolution.remark(),
    )


def _peak(precision: PrecisionName) -> float:
    """Return the multiply-accumulates a second of a large matrix product: the best of six."""
    import torch

    square = torch.ones(PEAK_SIDE, PEAK_SIDE, dtype=getattr(torch, precision))
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        square @ square
        seconds.append(time.perf_counter() - started)
    return PEAK_SIDE**3 / min(seconds)
