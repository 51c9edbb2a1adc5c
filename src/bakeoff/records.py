"""What a run leaves behind, as plain data: the words that the doing and the judging wing share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from typing_extensions import TypedDict  # typing's own cannot be checked by pydantic before Python 3.12

OnStage = Callable[[str, int, int | None], None]
"""Told of progress: the name of a stage, how much of it is done, and of how much (None if unknown)."""


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


ENDED = (RunStatus.DONE, RunStatus.DIVERGED, RunStatus.FAILED)
"""How runs end that no time is left for; a failed one waits for the next command."""


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
    """Batch normalisation by PyTorch's `library`, `compiled`: by bakeoff's kernels, with the activation after it, or
    `joined`: also two of them in one go with a depthwise convolution in between."""


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
    """Pictures at once: fewer than the batch size where memory was short; gradients were then accumulated."""


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
    """Loss of the first batch before the first step, in training mode, in nats."""

    initial_pictures: int | None
    """Pictures in that batch."""

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
    """Accuracy on these pictures."""

    blank_accuracy: float | None
    """Accuracy on the same number of blank inputs (zero after normalisation) with their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBatch:
    """How well a fresh network learns a few pictures by heart, as the better of its attempts went."""

    classes: int
    pictures: int
    steps: int
    """Taken in that attempt; it ended when the pictures were learnt."""

    learning_rate: float
    attempts: int
    """All that were made, up to the first that learnt the pictures."""

    loss: float | None
    """Mean over the pictures in training mode, in nats; None if it was not finite."""

    accuracy: float
    """Accuracy on them, in training mode."""

    learnt: bool
    """Whether all were classified rightly with a loss below a tenth of ln C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What came of a run's first steps, taken twice with one seed and once with another."""

    seed: int
    steps: int
    tensors: int
    """Tensors that the network holds: weights, and what normalisation has counted."""

    unlike: int
    """Tensors of these that differed, in any bit, between the two times with one seed."""

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
