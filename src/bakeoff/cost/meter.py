"""A measuring process: one candidate, measured turn by turn as its parent asks.

Started by `turns.py` (`execution.program`). It reads a piece of work, then one command a line, and answers
each with a line of JSON; between its turns it rests. Training goes through the engine with the numerics that a study
would use; inference through the network as PyTorch computes it.
"""

from __future__ import annotations

import gc
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bakeoff import cost
from bakeoff.cost.effort import Span
from bakeoff.cost.energy import NoCounterError, counter
from bakeoff.cost.memory import Gauge, saved_for_backward, weight_of
from bakeoff.cost.messages import BatchTurn, EnergyTurn, LatencyTurn, Prepared, TrainTurn, Work, span, work_from_line
from bakeoff.data import Dataset, Pictures, open_cached
from bakeoff.execution.machine import available_memory, resident_memory
from bakeoff.execution.messages import claim_standard_output
from bakeoff.training.kernels.native import processor
from bakeoff.training.memory import MemoryShortError, memory_is_short
from bakeoff.training.precision import autocast, emulated
from bakeoff.training.setup import build_network
from bakeoff.training.trainer import Hooks, Trainer

PEAK_SIDES = {"cpu": 1024, "cuda": 4096}
"""Rows of the square matrices whose product gives the device's peak."""

IMITATED_SIDE = 256
"""The same where the processor imitates the precision, which takes many times as long."""

RETIMED_CALLS = 10
IDLE_SECONDS = 1.0
"""Seconds for which a counter of energy is read while nobody works."""


class Meter:
    """One candidate and its figures.

    Args:
        work: What to measure.
        clock: Seconds; tests put their own in its place.
    """

    def __init__(self, work: Work, clock: Callable[[], float] = time.perf_counter) -> None:
        self.work, self.clock = work, clock
        self.recipe, self.precision = work.run.candidate.recipe, work.run.precision
        self.device = torch.device(work.numerics.device)
        self.layout = torch.channels_last if work.numerics.channels_last else torch.contiguous_format

    def prepare(self, steps: int) -> Prepared:
        """Build the candidate and take all that needs no clock: counts, and the peaks of memory.

        Args:
            steps: Training steps over which the peak is taken, which also warm up.
        """
        work = self.work
        _set_up_libraries(self.device)
        dataset = _noise(work) if work.dataset is None else open_cached(work.dataset)
        gauge = Gauge(self.device)
        self.network = build_network(work.run, dataset).to(self.device).to(memory_format=self.layout).eval()
        gauge.restart()
        with self._inference():
            self._call(self._pictures(1))()
        inference = gauge.peak()
        self._train_on_noise(dataset, steps, gauge)
        gc.collect()  # not while something is timed
        peak, reserved = gauge.peak(), gauge.reserved()
        return Prepared(
            parameters=cost.parameters(self.network),
            trainable=cost.trainable(self.network),
            buffers=cost.buffers(self.network),
            macs=cost.macs(self.network, work.size),
            train_macs_per_image=cost.train_macs(
                self.recipe, lambda side: cost.macs(self.network, work.size if side is None else side)
            ),
            activation_memory=self._activations(),
            # The network for inference stands beside the one in training.
            peak_memory_train=None if peak is None else max(0, peak - weight_of(self.network)),
            peak_memory_inference=inference,
            reserved_memory_train=reserved,
            batch=self.batch,
            micro_batch=self.trainer.micro_batch,
            shares=[share for share, _ in self._sizes()],
            device=torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            processor=processor(),
            versions={
                "python": platform.python_version(),
                "torch": torch.__version__,
                "bakeoff": version("bakeoff"),
            },
        )

    def _train_on_noise(self, dataset: Dataset, steps: int, gauge: Gauge) -> None:
        """Start a training and take some steps on noise, in parts where memory is short; the gauge counts from the first."""
        micro_batch = self.work.numerics.micro_batch
        while True:
            self.trainer = Trainer(
                self.work.run, dataset, self.work.numerics, micro_batch, None, Path("unused"), Hooks()
            )
            self.trainer.network.train()
            self.batch = min(self.recipe.batch_size, len(self.trainer.batches))
            self.inputs = self._pictures(self.batch)
            self.labels = (torch.arange(self.batch) % self.work.classes).to(self.device)
            self.batches = self._endless()
            gauge.restart()
            try:
                for _ in range(steps):
                    for _, step in self._sizes():
                        self.trainer.step(self.inputs, self.labels, step)
                self._wait()
                return
            except MemoryShortError:
                micro_batch = self.trainer.micro_batch // 2

    def _sizes(self) -> list[tuple[float, int]]:
        """Return for each size of inputs in training its share of the epochs, and a step at which it is in use."""
        steps, sizes, done = self.recipe.epochs * self.trainer.steps, [], 0.0
        for share in [share for _, share in self.recipe.early_sizes]:
            sizes.append((share, int((done + share / 2) * steps)))
            done += share
        return [*sizes, (1 - done, steps - 1 if sizes else 0)]

    def _activations(self) -> int:
        """Return the bytes that a micro-batch leaves between its forward and backward pass."""
        part, trainer = slice(self.trainer.micro_batch), self.trainer
        with saved_for_backward(trainer.network) as kept:
            trainer.step(self.inputs[part], self.labels[part], self._sizes()[-1][1])
        return sum(kept.values())

    def peak(self) -> float:
        """Return the multiply-accumulates a second of a large matrix product: the best of four."""
        imitated = emulated(self.precision, self.work.numerics.device)
        side = IMITATED_SIDE if imitated else PEAK_SIDES[self.device.type]
        square = torch.ones(side, side, dtype=getattr(torch, self.precision), device=self.device)
        seconds = self._timed(lambda: square @ square, Span(4, 0.0, 10.0))
        return side**3 / min(seconds)

    def latency(self, warm_up: Span, calls: Span) -> LatencyTurn:
        """Time the forward pass of one picture, its input in place."""
        with self._inference():
            call = self._call(self._pictures(1))
            warmed = self._timed(call, warm_up)
            seconds = self._timed(call, calls)
            block = min(len(seconds), RETIMED_CALLS)
            started = self.clock()
            for _ in range(block):
                call()
            self._wait()
            retimed = (self.clock() - started) / block
            return LatencyTurn(
                warm_up_calls=len(warmed),
                seconds=seconds,
                retimed=retimed,
                training=self.network.training,
                gradients=torch.is_grad_enabled(),
            )

    def forward(self, batch: int, calls: Span) -> BatchTurn:
        """Time the forward pass of a batch."""
        before, free = resident_memory(), available_memory()
        try:
            with self._inference():
                call = self._call(self._pictures(batch))
                call()
                seconds = self._timed(call, calls)
        except (RuntimeError, MemoryError) as error:
            if not memory_is_short(error):
                raise
            return BatchTurn(seconds=[], room=False)
        after, room = resident_memory(), True
        if self.device.type == "cpu" and before is not None and after is not None and free is not None:
            # The next batch would take twice as much; the system ends processes before it refuses them memory.
            room = 2 * 2 * (after - before) < free
        return BatchTurn(seconds=seconds, room=room)

    def train(self, steps: Span) -> TrainTurn:
        """Time training steps, on the study's pictures where there is a study; batches that came short are left out."""
        seconds: list[list[float]] = [[] for _ in self._sizes()]
        waits: list[float] = []
        self.trainer.network.train()
        with _without_garbage_collection():
            started = self.clock()
            while not steps.over(len(seconds[-1]), self.clock() - started):
                for taken, (_, step) in zip(seconds, self._sizes(), strict=True):
                    began = self.clock()
                    inputs, labels = next(self.batches)
                    self._wait()
                    assembled = self.clock()
                    self.trainer.step(inputs, labels, step)
                    self._wait()
                    taken.append(self.clock() - assembled)
                    waits.append(assembled - began)
        return TrainTurn(seconds=seconds, waits=waits if self.work.dataset is not None else [])

    def energy(self, batch: int, seconds: float, users: int) -> EnergyTurn:
        """Read a counter of energy over inference, and before it over nothing.

        Raises:
            NoCounterError: If there is none that can be read.
        """
        gauge = counter(self.work.numerics.device, seconds, users)
        gauge.start()
        time.sleep(IDLE_SECONDS)
        idle, rested = gauge.stop()
        with self._inference():
            call = self._call(self._pictures(batch))
            self._timed(call, Span(3, 0.1, 1.0))
            gauge.start()
            calls = len(self._timed(call, Span(1, seconds, 2 * seconds)))
            joules, taken = gauge.stop()
        return EnergyTurn(
            source=gauge.source, joules=joules, seconds=taken, images=calls * batch, idle_watts=idle / rested
        )

    def _endless(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield whole batches, epoch after epoch; the one batch that is in place where there is no study."""
        epoch = 0
        while True:
            epoch += 1
            if self.work.dataset is None:
                yield self.inputs, self.labels
                continue
            for inputs, labels in self.trainer.batches.shuffled(self.recipe.batch_size, self.work.run.seed, epoch):
                if len(labels) == self.batch:
                    yield inputs, labels

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Let the network infer: no gradients, nothing that is for training only, no garbage collection."""
        self.network.eval()
        with torch.inference_mode(), autocast(self.precision, self.device), _without_garbage_collection():
            yield

    def _call(self, pictures: torch.Tensor) -> Callable[[], Any]:
        return lambda: self.network(pictures)

    def _timed(self, call: Callable[[], Any], calls: Span) -> list[float]:
        """Return the seconds of each call, the device waited for on both sides."""
        seconds: list[float] = []
        started = self.clock()
        self._wait()
        while not calls.over(len(seconds), self.clock() - started):
            began = self.clock()
            call()
            self._wait()
            seconds.append(self.clock() - began)
        return seconds

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _pictures(self, count: int) -> torch.Tensor:
        draws = torch.Generator().manual_seed(0)
        noise = torch.randn(count, 3, self.work.size, self.work.size, generator=draws)
        return noise.to(self.device).contiguous(memory_format=self.layout)


def main() -> None:
    """Serve until standard input ends."""
    answers = claim_standard_output()
    work = work_from_line(sys.stdin.readline())
    torch.set_num_threads(work.numerics.threads)
    meter = Meter(work)
    for line in sys.stdin:
        answers.write(json.dumps(_served(meter, json.loads(line))) + "\n")
        answers.flush()


def _served(meter: Meter, asked: dict[str, Any]) -> dict[str, Any]:
    """Do what a command says."""
    match asked["do"]:
        case "prepare":
            return asdict(meter.prepare(asked["steps"]))
        case "peak":
            return {"macs_per_second": meter.peak()}
        case "latency":
            return asdict(meter.latency(span(asked["warm_up"]), span(asked["calls"])))
        case "forward":
            return asdict(meter.forward(asked["batch"], span(asked["calls"])))
        case "train":
            return asdict(meter.train(span(asked["calls"])))
        case "energy":
            try:
                return asdict(meter.energy(asked["batch"], asked["seconds"], asked["users"]))
            except NoCounterError as error:
                return {"reason": str(error)}
        case other:
            raise ValueError(f"a measuring process must be asked for something that it measures, but got {other!r}")


def _set_up_libraries(device: torch.device) -> None:
    """Train a tiny network once, so that what libraries take on first use is nobody's cost."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    network(torch.zeros(2, 3, 8, 8, device=device)).sum().backward()
    optimizer.step()


def _noise(work: Work) -> Dataset:
    """Return noise in place of a data set: as many pictures as a batch has, so that there is one step an epoch."""

    def pictures(count: int) -> Pictures:
        draws = np.random.default_rng(0)
        pixels = draws.integers(0, 256, (count, work.picture, work.picture, 3), dtype=np.uint8)
        return Pictures(pixels, np.arange(count, dtype=np.int64) % work.classes)

    few = pictures(2)
    return Dataset(
        name="noise",
        folder=Path("unused"),
        fingerprint=work.run.fingerprint,
        classes=tuple(str(number) for number in range(work.classes)),
        train=pictures(work.run.candidate.recipe.batch_size),
        validation=few,
        test=few,
        mean=(0.5, 0.5, 0.5),
        std=(0.29, 0.29, 0.29),
        flippable=True,
        notes=(),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
