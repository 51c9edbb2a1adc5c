"""What is kept of a measured cost, as plain data: the words that those who measure and those who judge share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a cost was measured under. Costs are compared only where these are equal."""

    device: str
    """`cpu`, or a GPU's name."""

    processor: str
    cores: int
    """Cores that the process may use."""

    threads: int
    """Inside one operation."""

    precision: str
    memory_format: str
    """`channels_last` or `contiguous`."""

    compiled: bool
    """Whether the inference figures are of a compiled network."""

    normalization: str
    """Batch normalisation in the training figures: PyTorch's `library`, or `compiled`."""

    chosen_layers: int
    """Convolutions that train with algorithms chosen by measuring. Inference always uses PyTorch's own."""

    optimizer: str
    batch_size: int
    """Batch size of the training figures; latency is of one picture, throughput of `throughput_batch`."""

    micro_batch: int
    """Pictures that pass through the network at once in training; fewer than the batch where memory was short."""

    input_size: int
    """Side in pixels."""

    classes: int
    versions: dict[str, str]
    """Versions of Python, torch and bakeoff."""

    system: str
    effort: str
    """`full` or `quick`: how long was measured."""

    rounds: int
    beside: int
    """Other candidates that took turns with this one."""

    date: str
    """ISO 8601, UTC, of the start."""

    def differences(self, other: Conditions) -> list[str]:
        """Return what forbids comparing two costs, as `key: this -> that`.

        What is part of a candidate (its input, its batch, its optimizer) may differ; how well it was measured, too.
        """
        return [
            f"{key}: {getattr(self, key)} -> {getattr(other, key)}"
            for key in COMPARED
            if getattr(self, key) != getattr(other, key)
        ]


PASSES = 3
"""Passes of a training step, each as long as a forward pass: forward, the gradient of the inputs, the gradient of the weights."""

COMPARED = (
    "device",
    "processor",
    "cores",
    "threads",
    "precision",
    "memory_format",
    "compiled",
    "normalization",
    "classes",
    "versions",
    "system",
)
"""Conditions that must be equal among costs that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the latency was timed: what shows whether it can be believed."""

    warm_up_calls: int
    """Calls before the first one that counts."""

    first_call: float
    """Seconds of the first that counts."""

    retimed: float
    """Seconds a call over blocks with one wait for the device at their end: a latency that is far below was read before
    the work was done."""

    training: bool
    """Whether the network was in training mode."""

    gradients: bool
    """Whether operations were recorded for gradients."""

    peak_macs_per_second: float
    """Rate of a large matrix product on the same device, in the same precision and with the same threads."""

    fresh_process: bool
    """Whether memory is that of a process in which no other candidate was measured before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How steady the measurement was."""

    latency_spread: float
    """Interquartile range of the calls as a share of their median."""

    latency_drift: float
    """Median of the last third of the calls against that of the first third, less 1."""

    train_spread: float
    """The same of training steps."""

    train_drift: float
    load_average: float | None
    """Processes that ran or waited in the minute before the start, this study's own included; None on Windows."""

    busy: float | None
    """Share of the machine's processor time taken by others while all measuring processes rested, in [0, 1]; None where
    the system does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What was read of an energy counter, or why none was."""

    source: str | None
    """`RAPL package` or `NVML`: all that the processor or GPU takes, not the process's part."""

    idle_watts: float | None
    """Drawn while all measuring processes rested; it is part of the figure per picture."""

    seconds: float
    """Length of the window."""

    reason: str | None
    """Why energy was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a candidate takes: counted exactly, or measured under stored conditions. Seconds, bytes, joules."""

    parameters: int
    trainable: int
    buffers: int
    """Values kept besides the parameters, such as running means."""

    macs: int
    """Multiply-accumulates of one picture's forward pass."""

    train_macs_per_image: int
    """Multiply-accumulates of training on one picture once: three forward passes."""

    latency_p50: float
    """Median seconds of one picture's forward pass, its input in place."""

    latency_p95: float
    latency_p50_interval: tuple[float | None, float | None]
    """95 % confidence, from order statistics; None where there are too few calls for a bound."""

    latency_p95_interval: tuple[float | None, float | None]
    latency_calls: int

    throughput: float
    """Pictures a second in inference at the best batch tried, `throughput_batch`: doubled until that gains less than 5 %,
    a call takes too long for the effort, or memory ends."""

    throughput_batch: int
    throughput_curve: tuple[tuple[int, float], ...]
    """Batch size and pictures a second, as tried in one go; `throughput` itself is measured over the rounds."""

    train_throughput: float
    """Pictures a second in training, the batch in place: the network, its gradients and the optimizer."""

    train_throughput_data: float | None
    """The same with the assembling of batches; None where there was no study."""

    loader_share: float | None
    """Share of a step's time spent assembling its batch, in [0, 1]."""

    train_steps: int
    """Timed, with inputs of the full size."""

    activation_memory: int | None
    """Kept from the forward to the backward pass, for the micro-batch."""

    peak_memory_train: int | None
    """Peak of a training step, with weights, gradients and the optimizer's state; beyond what torch itself takes."""

    peak_memory_inference: int | None
    """Peak of one picture's forward pass, with the weights; beyond what torch itself takes."""

    reserved_memory_train: int | None
    """What a GPU's allocator held at the peak of training; None on the CPU."""

    energy_per_image: float | None
    """Joules of inference at `throughput_batch`, idle power included."""

    energy: Energy
    timing: Timing
    noise: Noise
    conditions: Conditions

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; what a later bakeoff wrote besides is left out.

        Raises:
            ValueError: If something is missing.
        """
        nested = {"energy": Energy, "timing": Timing, "noise": Noise, "conditions": Conditions}
        try:
            values = _known(cls, plain) | {key: kind(**_known(kind, plain[key])) for key, kind in nested.items()}
            for key in ("latency_p50_interval", "latency_p95_interval"):
                values[key] = tuple(values[key])
            values["throughput_curve"] = tuple((int(batch), speed) for batch, speed in values["throughput_curve"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a stored cost must hold every figure, but: {error}; measure it again") from error


def known_costs(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Cost]:
    """Return the costs in a database, by candidate id; one that another version wrote short of a figure is unknown.

    Args:
        measured: As `Store.costs` gives them.
    """
    found = {}
    for candidate_id, plain in measured.items():
        with suppress(ValueError):
            found[candidate_id] = Cost.from_json(plain)
    return found


def _known(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields, without other keys."""
    names = {known.name for known in fields(kind)}
    return {key: value for key, value in plain.items() if key in names}
