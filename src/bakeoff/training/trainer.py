"""One run under way: its steps, its epochs, its evaluations, and the state that it saves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from bakeoff.data.batches import Batches, derived_seed
from bakeoff.data.dataset import Dataset
from bakeoff.data.splits import split_indices
from bakeoff.errors import RunError
from bakeoff.predictions import save_predictions
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus, StepReport
from bakeoff.spec import RunSpec
from bakeoff.training import checkpoint as checkpoints
from bakeoff.training import convolution
from bakeoff.training.checkpoint import Checkpoint, Progress
from bakeoff.training.early_sizes import sized
from bakeoff.training.health import Watch, clean_sample
from bakeoff.training.kernels import normalization
from bakeoff.training.memory import MemoryShortError, memory_is_short
from bakeoff.training.optim import build_optimizer, learning_rate, only_gradients_move
from bakeoff.training.precision import autocast
from bakeoff.training.setup import build_network, view_of

EVALUATION_BATCH = 256
"""Pictures scored at once, at most: no gradients are kept, so more fit than in training."""

SAVE_EVERY = 300.0
"""Seconds of training after which a checkpoint is saved within an epoch: what a kill costs at most."""

CUDA_CHECK_EVERY = 20
"""Steps between looks at the loss on a GPU, where each look waits for the device."""


def parts_of(batch: int, micro_batch: int) -> int:
    """Return in how many nearly equal parts a batch passes through the network.

    A part is of one picture only where all are, since batch normalisation may refuse one: an odd batch in twos has a
    part of three instead.
    """
    parts = -(-batch // micro_batch)
    return parts if micro_batch == 1 else max(1, min(parts, batch // 2))


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """The run was asked to stop; its checkpoint is saved."""


class _DivergedError(Exception):
    def __init__(self, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"loss became {loss} at step {step} of epoch {epoch}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a run asks and tells its surroundings while it trains."""

    stop: Callable[[], bool] = lambda: False
    """Asked after every step; when true, the run saves itself and raises `Interrupted`."""

    on_step: Callable[[StepReport], None] = lambda report: None
    """Told a few times a second."""

    warn: Callable[[str], None] = lambda message: None
    """Told what the user should know: a damaged checkpoint, too little memory."""


class Trainer:
    """One run under way: its network, optimizer, batches and progress."""

    def __init__(
        self,
        run: RunSpec,
        dataset: Dataset,
        numerics: Numerics,
        micro_batch: int,
        state: Checkpoint | None,
        folder: Path,
        hooks: Hooks,
    ) -> None:
        self.run, self.recipe = run, run.candidate.recipe
        self.numerics, self.folder, self.hooks = numerics, folder, hooks
        self.device = torch.device(numerics.device)
        self.layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
        self.network = build_network(run, dataset).to(self.device).to(memory_format=self.layout)
        choices = self._convolutions()
        convolution.install(self.network, choices, self._moving_taps(dataset) if choices else None)
        if numerics.normalization != "library":
            normalization.install(self.network, waits=numerics.normalization == "joined")
        if numerics.normalization == "joined":
            convolution.join(self.network)
        self.optimizer = build_optimizer(self.network, self.recipe)
        self.progress = Progress(run_id=run.id, micro_batch=micro_batch)
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.rng: dict[str, torch.Tensor] = {}
        if state is not None:
            self._restore(state)
        self._prepare_batches(dataset)
        self.watch = Watch(
            self.network,
            self.optimizer,
            self.recipe,
            classes=len(dataset.classes),
            steps_per_epoch=self.steps,
            step=(self.progress.epoch - 1) * self.steps + self.progress.step,
            state=self.progress.health,
            rebuild=lambda: build_network(run, dataset),
        )

    def _convolutions(self) -> dict[str, list[str]]:
        """Return the algorithms of each layer that is not left to PyTorch."""
        if self.numerics.convolutions or self.device.type != "cpu" or self.run.precision == "float32":
            return self.numerics.convolutions
        # PyTorch's bfloat16 weight gradient leaves memory unwritten at taps that only meet padding (3x3 at stride 2 on a
        # map of 1x1, torch 2.14 on AVX512_BF16), which a layer of ours does not ask it for.
        return convolution.library_for_all(self.network)

    def _moving_taps(self, dataset: Dataset) -> dict[str, tuple[slice, slice]]:
        """Return by layer which taps training can move, where others only ever meet padding and so have no gradient."""
        if not only_gradients_move(self.recipe) or self.recipe.early_sizes:
            return {}
        size = self.run.candidate.input_size(dataset.size)
        layers = convolution.layers_of(self.network, batch=1, size=size, dtype=torch.float32)
        return {layer.name: layer.taps for layer in layers}

    def _restore(self, state: Checkpoint) -> None:
        self.progress = state.progress
        self.network.load_state_dict(state.network)
        if state.optimizer:
            convolution.load_state(self.network, self.optimizer, state.optimizer)
        self.sums = state.sums.to(self.device)
        self.rng = state.rng

    def _prepare_batches(self, dataset: Dataset) -> None:
        candidate, indices = self.run.candidate, split_indices(dataset, self.run)
        train_view = view_of(candidate.train_view, candidate, dataset)
        evaluate_view = view_of(candidate.evaluate_view, candidate, dataset)
        held_out = dataset.train if dataset.validation is None else dataset.validation
        self.batches = Batches(dataset.train, indices.train, train_view, self.device)
        self.validation = Batches(held_out, indices.validation, evaluate_view, self.device)
        self.test = Batches(dataset.test, indices.test, evaluate_view, self.device)
        clean = clean_sample(indices.train, self.recipe.epochs)
        self.clean = Batches(dataset.train, clean, evaluate_view, self.device)
        self.steps = self.batches.steps(self.recipe.batch_size)

    @property
    def micro_batch(self) -> int:
        """Pictures that pass through the network at once."""
        return self.progress.micro_batch

    @property
    def history(self) -> list[EpochRecord]:
        """The records of the epochs that are done."""
        return self.progress.history

    def epochs(self) -> Iterator[EpochRecord]:
        """Train and evaluate the epochs that are left, saving before each record is yielded."""
        try:
            while self.progress.result is None and self.progress.epoch <= self.recipe.epochs:
                yield self._epoch()
        except _DivergedError as error:
            self._end(
                RunResult(
                    status=RunStatus.DIVERGED,
                    test_loss=None,
                    test_accuracy=None,
                    seconds_test=0.0,
                    message=str(error),
                    health=self.watch.diverged(str(error)),
                )
            )

    def finish(self, predictions: Path) -> RunResult:
        """Score the test set once, keep what was predicted for each picture, and save the end."""
        if self.progress.result is None:
            started = time.perf_counter()
            loss, accuracy, logits = self._evaluate(self.test)
            seconds = time.perf_counter() - started
            save_predictions(predictions, logits, self.test.indices, self.test.pictures.labels[self.test.indices])
            self._end(
                RunResult(
                    status=RunStatus.DONE,
                    test_loss=loss,
                    test_accuracy=accuracy,
                    seconds_test=seconds,
                    message=None,
                    health=self.watch.finished(self._evaluate, self.clean),
                )
            )
        assert self.progress.result is not None
        return self.progress.result

    def _end(self, result: RunResult) -> None:
        self.progress.result = result
        self._save(optimizer=False)
        checkpoints.drop_previous(self.folder)

    def _epoch(self) -> EpochRecord:
        self._train_epoch()
        images = min(self.steps * self.recipe.batch_size, len(self.batches))
        loss, correct = (self.sums / images).tolist()
        started = time.perf_counter()
        val_loss, val_accuracy = None, None
        if len(self.validation):
            val_loss, val_accuracy, logits = self._evaluate(self.validation)
            self.watch.validated(logits, self.validation.pictures.labels[self.validation.indices])
        done = self.progress
        record = EpochRecord(
            epoch=done.epoch,
            steps=self.steps,
            images=images,
            learning_rate=self._rate(self.steps - 1),
            train_loss=loss,
            train_accuracy=correct,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds_train=done.seconds_train,
            seconds_evaluate=time.perf_counter() - started,
            seconds_wait=done.seconds_wait,
            micro_batch=done.micro_batch,
        )
        self.progress = Progress(
            run_id=done.run_id, micro_batch=done.micro_batch, epoch=done.epoch + 1, history=[*done.history, record]
        )
        self.sums = torch.zeros_like(self.sums)
        self.rng = {}
        self._save()
        return record

    def _train_epoch(self) -> None:
        """Train the steps of the current epoch that are left."""
        done = self.progress
        self.network.train()
        seconds_train, seconds_wait, saved_at = done.seconds_train, done.seconds_wait, time.perf_counter()
        first_step, reported, since = done.step, time.perf_counter(), time.perf_counter()
        with self._own_random_numbers(done.epoch):
            batches = self.batches.shuffled(self.recipe.batch_size, self.run.seed, done.epoch, first_step)
            while done.step < self.steps:
                started = time.perf_counter()
                inputs, labels = next(batches)
                assembled = time.perf_counter()
                self.step(inputs, labels, done.step)
                done.step += 1
                self._check_finite(done)
                now = time.perf_counter()
                seconds_wait += assembled - started
                seconds_train += now - assembled
                done.seconds_train, done.seconds_wait = seconds_train, seconds_wait
                if now - reported > 0.2 or done.step in (first_step + 1, self.steps):
                    reported = now
                    self._report((done.step - first_step) * self.recipe.batch_size / (now - since))
                stopping = self.hooks.stop()
                if stopping or now - saved_at > SAVE_EVERY:
                    self._save()
                    saved_at = time.perf_counter()
                if stopping:
                    raise Interrupted

    def step(self, inputs: torch.Tensor, labels: torch.Tensor, step: int) -> torch.Tensor:
        """Take one optimizer step, in parts if memory is short.

        Args:
            inputs: Shape (batch, 3, size, size).
            labels: Shape (batch,).
            step: Counted from 0 within the epoch.

        Returns:
            The batch's mean loss as it was minimised, a scalar on the device.
        """
        inputs = sized(inputs, self.recipe, (self.progress.epoch - 1 + step / self.steps) / self.recipe.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        try:
            parts = parts_of(len(labels), self.micro_batch)
            for some, answers in zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True):
                loss, correct = self._forward(some, answers)
                share = len(answers) / len(labels)
                (loss * share).backward()  # type: ignore[no-untyped-call]
                total += loss.detach() * share
                self.sums[0] += loss.detach().double() * len(answers)
                self.sums[1] += correct
            with self.watch.update():
                self.optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not memory_is_short(error) or self.micro_batch == 1:
                raise
            raise MemoryShortError from error
        except ValueError as error:
            if self.micro_batch > 1 or len(labels) == 1 or "more than 1 value per channel" not in str(error):
                raise
            raise RunError(
                "memory is short for two pictures at once, and batch normalisation cannot learn from one; lower "
                "--workers, or take smaller inputs"
            ) from error
        self.watch.stepped(total, len(labels))
        return total

    def _forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = inputs.contiguous(memory_format=self.layout)
        with autocast(self.run.precision, self.device):
            logits = self.network(inputs)
        logits = logits.float()
        smoothing = self.recipe.label_smoothing if self.network.training else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return loss, (logits.argmax(dim=1) == labels).sum()

    def _evaluate(self, batches: Batches) -> tuple[float, float, NDArray[np.float32]]:
        """Return mean loss, accuracy and the logits, shape (pictures, classes), of every picture once."""
        self.network.eval()
        size = min(EVALUATION_BATCH, 4 * self.micro_batch)
        losses, correct = 0.0, 0
        collected: list[torch.Tensor] = []
        with torch.inference_mode():
            for inputs, labels in batches.in_order(size, self.run.seed, self.progress.epoch):
                if collected and self.hooks.stop():
                    self._save()
                    raise Interrupted
                logits = self._scores(inputs)
                losses += float(F.cross_entropy(logits, labels, reduction="sum"))
                correct += int((logits.argmax(dim=1) == labels).sum())
                collected.append(logits.cpu())
        return losses / len(batches), correct / len(batches), torch.cat(collected).numpy()

    def score_once(self) -> float:
        """Score one batch of an evaluation and return the seconds a picture, for forecasts."""
        batches = self.test if len(self.test) else self.batches
        self.network.eval()
        with torch.inference_mode():
            started = time.perf_counter()
            inputs, labels = next(batches.in_order(min(EVALUATION_BATCH, 4 * self.micro_batch), self.run.seed, 1))
            self._scores(inputs).sum().item()
        return (time.perf_counter() - started) / len(labels)

    def _scores(self, inputs: torch.Tensor) -> torch.Tensor:
        try:
            with autocast(self.run.precision, self.device):
                scores: torch.Tensor = self.network(inputs)
        except (RuntimeError, MemoryError) as error:
            if not memory_is_short(error) or self.micro_batch == 1:
                raise
            raise MemoryShortError from error
        return scores.float()

    def _rate(self, step: int) -> float:
        return learning_rate(self.recipe, (self.progress.epoch - 1) * self.steps + step, self.steps)

    def _check_finite(self, done: Progress) -> None:
        if self.device.type == "cuda" and done.step % CUDA_CHECK_EVERY and done.step != self.steps:
            return
        loss = float(self.sums[0])
        if not np.isfinite(loss):
            raise _DivergedError(done.epoch, done.step, loss)

    def _report(self, images_per_second: float) -> None:
        done = self.progress
        seen = min(done.step * self.recipe.batch_size, len(self.batches))
        loss, correct = (self.sums / seen).tolist()
        self.hooks.on_step(StepReport(done.epoch, done.step, self.steps, loss, correct, images_per_second))

    @contextlib.contextmanager
    def _own_random_numbers(self, epoch: int) -> Iterator[None]:
        """Give dropout and the like draws of this run and epoch, and the caller's own draws back afterwards."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(self.run.seed, epoch, "dropout"))
            if "cpu" in self.rng:
                torch.set_rng_state(self.rng["cpu"])
            if "cuda" in self.rng:
                torch.cuda.set_rng_state(self.rng["cuda"], self.device)
            yield

    def _save(self, *, optimizer: bool = True) -> None:
        rng = {}
        if self.progress.step:
            rng = {"cpu": torch.get_rng_state()}
            if self.device.type == "cuda":
                rng["cuda"] = torch.cuda.get_rng_state(self.device)
        self.progress.health = self.watch.state()
        checkpoints.save(
            self.folder,
            Checkpoint(
                progress=self.progress,
                network=self.network.state_dict(),
                optimizer=convolution.saved_state(self.network, self.optimizer) if optimizer else {},
                rng=rng,
                sums=self.sums,
            ),
        )
