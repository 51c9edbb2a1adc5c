"""What a run leaves behind, as plain data: the words that the doing and the judging wing share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


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
