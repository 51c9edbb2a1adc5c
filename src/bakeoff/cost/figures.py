"""From the turns of a measuring process to a candidate's cost."""

from __future__ import annotations

import math
import platform
import statistics
from dataclasses import dataclass, field

from bakeoff.cost.effort import Effort
from bakeoff.cost.messages import EnergyTurn, LatencyTurn, Prepared, TrainTurn, Work
from bakeoff.cost.samples import drift, quantile, quantile_interval, spread
from bakeoff.cost_records import Conditions, Cost, Energy, Noise, Timing
from bakeoff.execution.machine import usable_cores

LATE = 0.95
"""The quantile that stands for the tail of the latency."""


@dataclass(slots=True)
class Measured:
    """What a measuring process has told so far."""

    prepared: Prepared | None = None
    peak: float = 0.0
    """Multiply-accumulates a second of a large matrix product."""

    latency: list[LatencyTurn] = field(default_factory=list)
    train: list[TrainTurn] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Batch sizes tried, and pictures a second."""

    best_batch: int = 1
    batch_seconds: list[float] = field(default_factory=list)
    """Durations of calls with the best batch, over all turns."""

    energy: EnergyTurn | None = None
    no_energy: str | None = None
    """Why energy was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was around a measurement."""

    date: str
    """ISO 8601, UTC, of the start."""

    beside: int
    """Other candidates that took turns."""

    load: float | None
    """Load average at the start."""

    busy: float | None
    """Share of processor time that others took while all rested."""


def cost_of(work: Work, measured: Measured, effort: Effort, around: Surroundings) -> Cost:
    """Return what a candidate costs, from all of its turns."""
    prepared = measured.prepared
    assert prepared is not None
    calls = [seconds for turn in measured.latency for seconds in turn.seconds]
    waits = [seconds for turn in measured.train for seconds in turn.waits]
    step, wait = _step(measured, prepared.shares), statistics.median(waits) if waits else None
    return Cost(
        parameters=prepared.parameters,
        trainable=prepared.trainable,
        buffers=prepared.buffers,
        macs=prepared.macs,
        train_macs_per_image=prepared.train_macs_per_image,
        latency_p50=quantile(calls, 0.5),
        latency_p95=quantile(calls, LATE),
        latency_p50_interval=quantile_interval(calls, 0.5),
        latency_p95_interval=quantile_interval(calls, LATE),
        latency_calls=len(calls),
        throughput=measured.best_batch / statistics.median(measured.batch_seconds),
        throughput_batch=measured.best_batch,
        throughput_curve=tuple(measured.curve),
        train_throughput=prepared.batch / step,
        train_throughput_data=None if wait is None else prepared.batch / (step + wait),
        loader_share=None if wait is None else wait / (step + wait),
        train_steps=len(_full_size_steps(measured)),
        activation_memory=prepared.activation_memory,
        peak_memory_train=prepared.peak_memory_train,
        peak_memory_inference=prepared.peak_memory_inference,
        reserved_memory_train=prepared.reserved_memory_train,
        energy_per_image=None if measured.energy is None else measured.energy.joules / measured.energy.images,
        energy=_energy(measured),
        timing=_timing(measured, calls),
        noise=_noise(measured, calls, around),
        conditions=_conditions(work, prepared, effort, around),
    )


def _step(measured: Measured, shares: list[float]) -> float:
    """Return the seconds of a training step: the median, or the mean of the medians by the shares of the sizes."""
    by_size = zip(*(turn.seconds for turn in measured.train), strict=True)
    medians = [statistics.median(second for seconds in turns for second in seconds) for turns in by_size]
    return math.fsum(share * median for share, median in zip(shares, medians, strict=True))


def _energy(measured: Measured) -> Energy:
    turn = measured.energy
    if turn is None:
        return Energy(source=None, idle_watts=None, seconds=0.0, reason=measured.no_energy)
    return Energy(source=turn.source, idle_watts=turn.idle_watts, seconds=turn.seconds, reason=None)


def _timing(measured: Measured, calls: list[float]) -> Timing:
    turns = measured.latency
    return Timing(
        warm_up_calls=min(turn.warm_up_calls for turn in turns),
        first_call=calls[0],
        retimed=statistics.median(turn.retimed for turn in turns),
        training=any(turn.training for turn in turns),
        gradients=any(turn.gradients for turn in turns),
        peak_macs_per_second=measured.peak,
        fresh_process=True,  # each measuring process serves one candidate
    )


def _noise(measured: Measured, calls: list[float], around: Surroundings) -> Noise:
    steps = _full_size_steps(measured)
    return Noise(
        latency_spread=spread(calls),
        latency_drift=drift(calls),
        train_spread=spread(steps),
        train_drift=drift(steps),
        load_average=around.load,
        busy=around.busy,
    )


def _full_size_steps(measured: Measured) -> list[float]:
    """Return the seconds of the training steps with inputs of the full size, which follow those of smaller ones."""
    return [second for turn in measured.train for second in turn.seconds[-1]]


def _conditions(work: Work, prepared: Prepared, effort: Effort, around: Surroundings) -> Conditions:
    recipe = work.run.candidate.recipe
    return Conditions(
        device=prepared.device,
        processor=prepared.processor,
        cores=usable_cores(),
        threads=work.numerics.threads,
        precision=work.run.precision,
        memory_format="channels_last" if work.numerics.channels_last else "contiguous",
        compiled=False,
        normalization=work.numerics.normalization,
        chosen_layers=len(work.numerics.convolutions),
        optimizer=recipe.optimizer,
        batch_size=prepared.batch,
        micro_batch=min(prepared.micro_batch, prepared.batch),
        input_size=work.size,
        classes=work.classes,
        versions=prepared.versions,
        system=platform.platform(),
        effort=effort.name,
        rounds=effort.rounds,
        beside=around.beside,
        date=around.date,
    )
