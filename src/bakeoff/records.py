"""What a run leaves behind, as plain data: the words that the doing and the judging wing share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from typing_extensions import TypedDict  # typing's own cannot be checked by pydantic before Python 3.12


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    """Planned, not started (or started and stopped: its checkpoint says how far it came)."""

    RUNNING = "running"
    DONE = "done"
    DIVERGED = "diverged"
    """Ended by a loss that was not finite; its records up to then are kept."""

    FAILED = "failed"
    """Ended by an error; the message is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """All that decides a number's last bits besides the run's specification.

    Stored with the run when it first starts and reused when it is resumed, so that the resumed numbers equal the
    uninterrupted ones bit for bit on the CPU.
    """

    device: str
    """`cpu`, `cuda` or `cuda:N`."""

    threads: int
    """Threads inside one operation (`torch.set_num_threads`)."""

    channels_last: bool
    """Whether tensors of pictures are laid out with the channels innermost."""

    micro_batch: int
    """Pictures that pass through the network at once; below the batch size, gradients are accumulated."""

    convolutions: dict[str, list[str]] = field(default_factory=dict)
    """By layer, the algorithms of its forward pass, its input's and its weight's gradient; the library's where none are named."""

    normalization: str = "library"
    """Batch normalisation by PyTorch's `library`, or `compiled`: by bakeoff's kernels, with the activation after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What one epoch of one run produced. Losses are means per picture in nats, accuracies shares in [0, 1]."""

    epoch: int
    """Counted from 1."""

    steps: int
    """Optimizer steps in this epoch."""

    images: int
    """Pictures trained on in this epoch."""

    learning_rate: float
    """The rate of the epoch's last step."""

    train_loss: float
    """Running mean over the epoch, on the training view, while the weights move; with label smoothing if the recipe has it."""

    train_accuracy: float
    val_loss: float | None
    """None when the study keeps no validation split."""

    val_accuracy: float | None
    seconds_train: float
    """Forward, backward and step, without evaluation, checkpoints and waiting for data."""

    seconds_evaluate: float
    seconds_wait: float
    """Assembling and augmenting batches."""

    micro_batch: int
    """Below the batch size when memory was short: gradients were then accumulated."""


class Health(TypedDict):
    """What was seen of a run's training itself: plain JSON values, the audit's evidence.

    Nothing in it is drawn or timed, so the same run has the same. A number that is not finite, or that could not be
    seen, is None; steps are optimizer steps, counted from 0 over the whole run.
    """

    classes: int
    watched_from: int
    """The first step that was seen: 0, unless the run was begun by a bakeoff that did not look."""

    steps: int
    """Steps that were seen."""

    initial_loss: float | None
    """Of the first batch before the first step, in training mode, in nats."""

    initial_pictures: int | None
    """In that batch."""

    nonfinite: list[str]
    """What was found not to be finite, in words, with its place."""

    loss_course: list[list[float]]
    """The smoothed loss as [step, nats], about fifty points over the run."""

    smoothed_best: float | None
    """The lowest smoothed loss."""

    smoothed_last: float | None
    worst_rise: float | None
    """The highest smoothed loss over the lowest before it (which counts as at least a tenth of ln C)."""

    worst_rise_step: int | None
    last_rise: float | None
    """The last smoothed loss over the lowest, likewise."""

    gradient_steps: int
    """First steps whose gradients were looked at."""

    without_gradient: list[str]
    """Trainable parameters whose gradient was missing or all zero in each of them."""

    not_in_optimizer: list[str]
    """Trainable parameters that the optimizer does not hold."""

    unmoved: list[str] | None
    """Trainable parameters that end bit for bit as they began, but for those whose gradient is but rounding."""

    update_steps: int
    """Steps at which updates were measured: after the warm-up, at half the peak rate or more."""

    updates: dict[str, float]
    """By weight, the median over those steps of std(change) / std(weight)."""

    scale_free: list[str]
    """Weights whose size changes nothing, because batch normalisation follows."""

    dead_channels: dict[str, float]
    """By activation, named by the layer before it, the share of channels that are zero on every clean training picture."""

    train_pictures: int
    """Training pictures scored at the end in evaluation mode, through the evaluation view; 0 if none were."""

    train_accuracy: float | None
    """The clean training accuracy: on those."""

    predicted_on: str | None
    """`validation` or, where there is no such split, `training`: on which pictures the last weights predicted this."""

    predicted: list[int]
    """How often each class was predicted."""

    labels: list[int]
    """How often each class is true of these pictures."""

    accuracy: float | None
    """On these pictures."""

    blank_accuracy: float | None
    """On the same number of blank inputs (zero after normalisation) with their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBatch:
    """How well a fresh network learns a few pictures by heart, as the better of its attempts went."""

    classes: int
    pictures: int
    steps: int
    """Taken in that attempt; it ended when the pictures were learnt."""

    learning_rate: float
    attempts: int
    loss: float | None
    """Mean over the pictures in training mode, in nats; None if it was not finite."""

    accuracy: float
    """On them, in training mode."""

    learnt: bool
    """Whether all were classified rightly with a loss below a tenth of ln C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What came of a run's first steps, taken twice with one seed and once with another."""

    seed: int
    steps: int
    tensors: int
    """That the network holds: weights, and what normalisation has counted."""

    unlike: int
    """Those of them that differed, in any bit, between the two times with one seed."""

    seed_decides: bool
    """Whether another seed gave another network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    status: RunStatus
    """DONE or DIVERGED."""

    test_loss: float | None
    """Mean per test picture, in nats; None when the run diverged."""

    test_accuracy: float | None
    seconds_test: float
    message: str | None
    """Why the run diverged, with the step; None otherwise."""

    health: Health | None = None
    """None if the run was trained by a bakeoff that did not look."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """How far an epoch has come, for those who watch."""

    epoch: int
    step: int
    """Steps done in this epoch."""

    steps: int
    """Steps in an epoch."""

    loss: float
    """Running mean of the epoch."""

    accuracy: float
    images_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a cost was measured under. Costs are compared only where these are equal."""

    device: str
    """`cpu`, or a GPU's name."""

    processor: str
    cores: int
    """That the process may use."""

    threads: int
    """Inside one operation."""

    precision: str
    memory_format: str
    """`channels_last` or `contiguous`."""

    compiled: bool
    """Whether the inference figures are of a compiled network."""

    normalization: str
    """Of the training figures: PyTorch's `library`, or `compiled`."""

    chosen_layers: int
    """Convolutions that train with algorithms chosen by measuring. Inference always uses PyTorch's own."""

    optimizer: str
    batch_size: int
    """Of the training figures; latency is of one picture, throughput of `throughput_batch`."""

    micro_batch: int
    """Pictures that pass through the network at once in training; fewer than the batch where memory was short."""

    input_size: int
    """Side in pixels."""

    classes: int
    versions: dict[str, str]
    """Of Python, torch and bakeoff."""

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
    """Before the first one that counts, which none of these do."""

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
    """Of a large matrix product on the same device, in the same precision and with the same threads."""

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
    """Of the window."""

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
    """Of training on one picture once: three forward passes."""

    latency_p50: float
    """Median seconds of one picture's forward pass, its input in place."""

    latency_p95: float
    latency_p50_interval: tuple[float | None, float | None]
    """95 % confidence, from order statistics; None where there are too few calls for a bound."""

    latency_p95_interval: tuple[float | None, float | None]
    latency_calls: int

    throughput: float
    """Pictures a second in inference, at the batch beyond which doubling gains less than 5 %."""

    throughput_batch: int
    throughput_curve: tuple[tuple[int, float], ...]
    """Batch size and pictures a second, as tried in one go; `throughput` itself is measured over the rounds."""

    train_throughput: float
    """Pictures a second in training, the batch in place: the network, its gradients and the optimizer."""

    train_throughput_data: float | None
    """The same with the assembling of batches; None where there was no study."""

    loader_share: float | None
    """Of a step's time, spent assembling its batch, in [0, 1]."""

    train_steps: int
    """That were timed."""

    activation_memory: int | None
    """Kept from the forward to the backward pass, for the micro-batch."""

    peak_memory_train: int | None
    """Of a training step, with weights, gradients and the optimizer's state; beyond what torch itself takes."""

    peak_memory_inference: int | None
    """Of one picture's forward pass, with the weights; beyond what torch itself takes."""

    reserved_memory_train: int | None
    """What a GPU's allocator held at the peak of training; None on the CPU."""

    energy_per_image: float | None
    """Of inference at `throughput_batch`, idle power included."""

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


def _known(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields, without other keys."""
    names = {known.name for known in fields(kind)}
    return {key: value for key, value in plain.items() if key in names}
