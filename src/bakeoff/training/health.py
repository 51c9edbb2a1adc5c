"""What is seen of a run while it trains: facts for the audit, at next to no cost, without touching a bit of it.

Nothing here draws a random number, changes the network or keeps a copy of it. What has been seen so far is part of the
run's progress, so a run that was stopped and went on ends with the same facts as one that was not.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bakeoff.data.batches import Batches
from bakeoff.records import Health
from bakeoff.spec import Recipe
from bakeoff.training import convolution
from bakeoff.training.channels import DeadChannels
from bakeoff.training.optim import learning_rate

SMOOTHING = 0.98
"""Weight of the past in the smoothed loss, which is corrected for its start (as in Lightning's learning-rate finder)."""

LEAST_LOSS = 0.1
"""Share of ln C: below it a loss counts as this much where rises are measured, so that noise around zero is none."""

LOOK_EVERY = 100
"""Steps after which losses are read from a GPU, where each look waits for the device."""

COURSE_POINTS = 50
"""Points of the smoothed loss that are kept."""

GRADIENT_STEPS = 10
"""First steps whose gradients are looked at."""

ROUNDING = 1e-5
"""Share of the network's largest gradient: what stays below is the rounding of a gradient that is zero, such as that of a
bias before batch normalisation."""

UPDATE_STEPS = 20
"""Steps at which updates are measured, at most."""

UPDATE_SAMPLE = 16_384
"""Values of a parameter that are looked at then, about; whole rows, at least eight."""

RIGHT_ANGLE = 0.1
"""The bound below which |cos| * sqrt(n) between a filter of n weights and its gradient says that its size changes nothing. For two
unrelated directions the median is 0.67; for filters before batch normalisation 1e-6 to 1e-2 has been seen."""

CLEAN_SHARE = 0.03
"""Share of the pictures trained on in all epochs that is scored once more at the end: a forward pass costs a third of a
step, so this is a hundredth of the training."""

CLEAN_LEAST, CLEAN_MOST = 500, 2000
"""Bounds of that number."""

NAMED = 5
"""Parameters that are named in an event, at most."""

Evaluate = Callable[[Batches], tuple[float, float, NDArray[np.float32]]]
"""Returns mean loss, accuracy and logits of every picture."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What has been seen so far, as plain JSON values."""

    watched_from: int = 0
    steps: int = 0
    initial_loss: float | None = None
    initial_pictures: int | None = None
    nonfinite: list[str] = field(default_factory=list)
    smoothed: float = 0.0
    """Smoothed loss, not yet corrected for its start."""

    best: float | None = None
    last: float | None = None
    worst_rise: float | None = None
    worst_rise_step: int | None = None
    course: list[list[float]] = field(default_factory=list)
    gradient_steps: int = 0
    gradients: dict[str, float] = field(default_factory=dict)
    """By parameter, the largest absolute value in the first steps."""

    updates: dict[str, list[float]] = field(default_factory=dict)
    angles: dict[str, list[float]] = field(default_factory=dict)
    update_steps: int = 0
    moved: dict[str, bool] = field(default_factory=dict)
    predicted: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    accuracy: float | None = None


class Watch:
    """Sees a run train.

    Args:
        network: Under training.
        optimizer: That moves it.
        recipe: Of the run.
        classes: Of the pictures.
        steps_per_epoch: Optimizer steps in an epoch.
        step: The run's next one, counted from 0 over all epochs.
        state: What had been seen when the run was saved, as `state` gave it; empty if nothing had.
        rebuild: Builds the network as it was before the first step. Called only if parameters seem not to have moved.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        classes: int,
        steps_per_epoch: int,
        step: int,
        state: dict[str, Any],
        rebuild: Callable[[], nn.Module],
    ) -> None:
        self._network, self._optimizer, self._rebuild = network, optimizer, rebuild
        self._classes, self._per_epoch, self._step = classes, steps_per_epoch, step
        self._trainable = {
            name: value for name, value in convolution.named_parameters(network).items() if value.requires_grad
        }
        self._update_steps = update_steps(recipe, steps_per_epoch)
        self._course_every = max(1, math.ceil(recipe.epochs * steps_per_epoch / COURSE_POINTS))
        self._pending: list[torch.Tensor] = []
        self._seen = _Seen(**state) if state else _Seen(watched_from=step)

    def state(self) -> dict[str, Any]:
        """Return what has been seen so far, as plain JSON values."""
        self._settle()
        return asdict(self._seen)

    @contextlib.contextmanager
    def update(self) -> Iterator[None]:
        """See an optimizer step from before, when all gradients are there, to after."""
        if self._seen.gradient_steps < GRADIENT_STEPS:
            self._look_at_gradients()
        if self._step not in self._update_steps:
            yield
            return
        watched = [name for name, value in self._trainable.items() if value.ndim > 1 or name not in self._seen.moved]
        before = {name: rows(self._trainable[name].detach()).clone() for name in watched}
        angles = {name: self._angle(name, before[name]) for name in watched}
        yield
        self._note_update(before, angles)

    def stepped(self, loss: torch.Tensor, pictures: int) -> None:
        """See a step's end.

        Args:
            loss: The batch's mean loss before the step, a scalar on the device, left there until it is needed.
            pictures: In the batch.
        """
        if self._step == 0:
            self._seen.initial_pictures = pictures
        self._pending.append(loss)
        self._step += 1
        if loss.device.type == "cpu" or len(self._pending) == LOOK_EVERY:
            self._settle()

    def validated(self, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """See what the weights of an epoch's end say of the validation pictures."""
        predicted = logits.argmax(axis=1)
        self._seen.predicted = np.bincount(predicted, minlength=self._classes).tolist()
        self._seen.labels = np.bincount(labels, minlength=self._classes).tolist()
        self._seen.accuracy = float((predicted == labels).mean())

    def diverged(self, what: str) -> Health:
        """Return the facts of a run that ended at a loss that was not finite.

        Args:
            what: That happened, in words.
        """
        self._settle()
        self._seen.nonfinite.append(what)
        return self._facts()

    def finished(self, evaluate: Evaluate, clean: Batches) -> Health:
        """Return the facts of a run whose training is over.

        Args:
            evaluate: Scores pictures with the network in evaluation mode.
            clean: Training pictures through the evaluation view, as `clean_sample` chooses them.
        """
        self._settle()
        with DeadChannels(self._network) as channels:
            _, accuracy, logits = evaluate(clean)
        labels = clean.pictures.labels[clean.indices]
        on_validation = bool(self._seen.predicted)
        if not on_validation:
            self.validated(logits, labels)
        facts = self._facts()
        facts["dead_channels"] = channels.shares()
        facts["train_accuracy"], facts["train_pictures"] = accuracy, len(labels)
        facts["predicted_on"] = "validation" if on_validation else "training"
        facts["blank_accuracy"] = self._blank_accuracy(clean)
        facts["unmoved"] = self._unmoved()
        return facts

    def _settle(self) -> None:
        """Read the losses that still wait on the device, all at once."""
        if not self._pending:
            return
        losses = torch.stack(self._pending).tolist()
        first = self._step - len(losses)
        self._pending.clear()
        for place, loss in enumerate(losses):
            self._note_loss(first + place, loss)

    def _note_loss(self, step: int, loss: float) -> None:
        seen = self._seen
        if step == 0:
            seen.initial_loss = _finite(loss)
        seen.steps += 1
        if not math.isfinite(loss):
            return  # the loop ends the run, and tells
        seen.smoothed = SMOOTHING * seen.smoothed + (1 - SMOOTHING) * loss
        seen.last = seen.smoothed / (1 - SMOOTHING**seen.steps)
        seen.best = seen.last if seen.best is None else min(seen.best, seen.last)
        rise = seen.last / self._at_least(seen.best)
        if seen.worst_rise is None or rise > seen.worst_rise:
            seen.worst_rise, seen.worst_rise_step = rise, step
        if step % self._course_every == 0:
            seen.course.append([step, seen.last])

    def _at_least(self, loss: float) -> float:
        return max(loss, LEAST_LOSS * math.log(self._classes))

    def _look_at_gradients(self) -> None:
        self._seen.gradient_steps += 1
        present = {name: value.grad for name, value in self._trainable.items() if value.grad is not None}
        largest = [torch.linalg.vector_norm(grad, math.inf) for grad in present.values()]
        values = torch.stack(largest).tolist() if largest else []
        found = dict(zip(present, values, strict=True))
        for name in self._trainable:
            now = found.get(name, 0.0)
            if math.isfinite(now):
                self._seen.gradients[name] = max(now, self._seen.gradients.get(name, 0.0))
        if wrong := [name for name, value in found.items() if not math.isfinite(value)]:
            self._seen.nonfinite.append(f"gradient of {_some(wrong)} at {self._place()}")

    def _angle(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return the median over filters of |cos| * sqrt(n) between a filter of n weights and its gradient.

        It is zero where a filter's size changes nothing: then the derivative along the filter itself is none (Euler's
        theorem on homogeneous functions).
        """
        gradient = self._trainable[name].grad
        if gradient is None or weight.ndim < 2:
            return torch.full((), math.nan, device=weight.device)
        weight, slope = weight.flatten(1), rows(gradient).flatten(1)
        cosine = (weight * slope).sum(1) / (weight.norm(dim=1) * slope.norm(dim=1))
        middle: torch.Tensor = cosine.abs().nanmedian()
        return middle * math.sqrt(weight.shape[1])

    def _note_update(self, before: dict[str, torch.Tensor], angles: dict[str, torch.Tensor]) -> None:
        seen, table = self._seen, []
        for name, old in before.items():
            change = rows(self._trainable[name].detach()) - old
            spreads = torch.stack([change.std(correction=0), old.std(correction=0), change.abs().max()])
            table.append(torch.cat([spreads, angles[name].view(1)]))
        for name, (moving, size, largest, angle) in zip(before, torch.stack(table).tolist(), strict=True):
            if largest > 0:
                seen.moved[name] = True
            if self._trainable[name].ndim > 1 and size > 0 and math.isfinite(moving / size):
                seen.updates.setdefault(name, []).append(moving / size)
            if math.isfinite(angle):
                seen.angles.setdefault(name, []).append(angle)
        seen.update_steps += 1

    def _place(self) -> str:
        epoch, step = divmod(self._step, self._per_epoch)
        return f"step {step + 1} of epoch {epoch + 1}"

    def _blank_accuracy(self, clean: Batches) -> float:
        """Return the accuracy on blank inputs, all of which get one answer, with the labels last validated on."""
        device = next(self._network.parameters()).device
        blank = torch.zeros(1, 3, clean.view.size, clean.view.size, device=device)
        with torch.inference_mode():
            answer = int(self._network(blank).argmax(dim=1))
        return self._seen.labels[answer] / sum(self._seen.labels)

    def _unmoved(self) -> list[str]:
        """Return the parameters that end as they began; those seen to move need no comparison."""
        suspects = [name for name in self._trainable if name not in self._seen.moved]
        largest = max(self._seen.gradients.values(), default=0.0)
        suspects = [name for name in suspects if not 0 < self._seen.gradients.get(name, 0.0) < ROUNDING * largest]
        if not suspects:
            return []
        start = convolution.cut_alike(self._network, dict(self._rebuild().named_parameters()))
        return [name for name in suspects if torch.equal(start[name].cpu(), self._trainable[name].cpu())]

    def _facts(self) -> Health:
        seen = self._seen
        held = {id(value) for group in self._optimizer.param_groups for value in group["params"]}
        tensors = self._network.state_dict()
        wrong = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
        return Health(
            classes=self._classes,
            watched_from=seen.watched_from,
            steps=seen.steps,
            initial_loss=seen.initial_loss,
            initial_pictures=seen.initial_pictures,
            nonfinite=[*seen.nonfinite, *([f"{_some(wrong)} at the end"] if wrong else [])],
            loss_course=seen.course,
            smoothed_best=seen.best,
            smoothed_last=seen.last,
            worst_rise=seen.worst_rise,
            worst_rise_step=seen.worst_rise_step,
            last_rise=None if seen.last is None or seen.best is None else seen.last / self._at_least(seen.best),
            gradient_steps=seen.gradient_steps,
            without_gradient=[name for name, value in seen.gradients.items() if value == 0],
            not_in_optimizer=[name for name, value in self._trainable.items() if id(value) not in held],
            unmoved=None,
            update_steps=seen.update_steps,
            updates={name: statistics.median(ratios) for name, ratios in seen.updates.items()},
            scale_free=[name for name, angles in seen.angles.items() if statistics.median(angles) < RIGHT_ANGLE],
            dead_channels={},
            train_pictures=0,
            train_accuracy=None,
            predicted_on="validation" if seen.predicted else None,
            predicted=seen.predicted,
            labels=seen.labels,
            accuracy=seen.accuracy,
            blank_accuracy=None,
        )


def update_steps(recipe: Recipe, steps_per_epoch: int) -> frozenset[int]:
    """Return the steps at which updates are measured: evenly among those at half the peak rate or more, after warm-up.

    Args:
        recipe: Of the run.
        steps_per_epoch: Optimizer steps in an epoch.
    """
    steps, warmup = recipe.epochs * steps_per_epoch, round(recipe.warmup_epochs * steps_per_epoch)
    every = max(1, steps // 1000)
    high = [
        step
        for step in range(warmup, steps, every)
        if learning_rate(recipe, step, steps_per_epoch) >= recipe.learning_rate / 2
    ]
    return frozenset(high[place] for place in _spread(len(high), UPDATE_STEPS).tolist())


def clean_sample(indices: NDArray[np.int64], epochs: int) -> NDArray[np.int64]:
    """Return the training pictures that are scored once more at a run's end, spread evenly over all.

    Args:
        indices: The pictures trained on.
        epochs: How often.
    """
    wanted = min(max(round(CLEAN_SHARE * epochs * len(indices)), CLEAN_LEAST), CLEAN_MOST)
    return indices[_spread(len(indices), wanted)]


def rows(values: torch.Tensor) -> torch.Tensor:
    """Return a view of some rows of a parameter, spread evenly; all of it, if it is small."""
    if values.ndim == 0:
        return values.view(1)
    count = len(values)
    wanted = max(8, UPDATE_SAMPLE * count // max(1, values.numel()))
    return values[:: max(1, -(-count // wanted))]


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """Return at most so many places out of `count`, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
