"""One contender of the throughput benchmark, in a process of its own: trains block after block, as its parent asks.

Started by `throughput.py`. It trains the network in the way its name says, and whenever a block of steps is done it
writes a line of JSON and waits for the next line on standard input, so that the parent can let contenders take turns.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

from bakeoff import models
from bakeoff.data import Dataset, open_cached
from bakeoff.data.cache import cache_root
from bakeoff.records import Numerics
from bakeoff.spec import RunSpec, StudySpec
from bakeoff.study import facts_of
from bakeoff.training.convolution import choose, joined, layers_of, tune
from bakeoff.training.setup import build_network
from bakeoff.training.trainer import Hooks, Trainer

END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is trained, the same for all contenders of a comparison."""

    contender: str
    model: str
    stem: str
    side: int
    """Of the network's input in pixels: the pictures are scaled to it if theirs is another."""

    batch: int
    precision: str
    threads: int
    dataset: str
    """Folder of the decoded pictures."""

    block: int
    """Timed steps between two pauses."""

    tuned: bool = True
    """Whether bakeoff's convolutions choose their algorithm."""

    drained: int
    """Untimed steps at the start of each block, in which caches and queues come to what they are in training."""


class Gate:
    """Counts steps, times blocks, and waits between them."""

    def __init__(self, work: Work, answers: TextIO) -> None:
        self.work, self.answers = work, answers
        self.steps = 0
        self.wait = 0.0
        self.started = self.asked = time.perf_counter()

    def batch_is_there(self) -> None:
        """Take note that the wait for data is over."""
        self.wait += time.perf_counter() - self.asked

    def step_is_done(self) -> None:
        """Count a step; at a block's end, tell and wait to be let on."""
        self.steps += 1
        if self.steps == self.work.drained:
            self.started, self.wait = time.perf_counter(), 0.0
        elif self.steps == self.work.drained + self.work.block:
            seconds = time.perf_counter() - self.started
            self.tell(seconds=seconds, wait=self.wait, images=self.work.block * self.work.batch)
            self.pause()
        self.asked = time.perf_counter()

    def tell(self, **content: float) -> None:
        """Write one line to the parent."""
        self.answers.write(
            json.dumps(content | {"peak_memory": memory("VmHWM"), "private_memory": memory("RssAnon")}) + "\n"
        )
        self.answers.flush()

    def pause(self) -> None:
        """Wait to be let on; end when the parent has had enough."""
        self.steps = 0
        if not sys.stdin.readline():
            os._exit(0)


def memory(kind: str) -> int:
    """Return the bytes of this process and its children together (Linux).

    Args:
        kind: `VmHWM` for the most that was ever resident, memory-mapped pictures included; `RssAnon` for what is
            resident now and belongs to a process alone.
    """
    total = 0
    for process in [os.getpid(), *children(os.getpid())]:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(kind):
                total += int(line.split()[1]) * 1024
    return total


def children(process: int) -> list[int]:
    """Return the ids of a process's children."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in listed]


class Cifar(torch.utils.data.Dataset[tuple[Any, int]]):
    """Pictures one by one through Pillow and transforms, as torchvision's CIFAR10 class gives them."""

    def __init__(self, dataset: Dataset, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.pixels, self.labels = np.array(dataset.train.pixels), dataset.train.labels.tolist()
        self.transform: Any = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def view(work: Work, picture: int) -> Callable[[Image.Image], torch.Tensor]:
    """Return the training view in torchvision's words."""
    scaled = [] if work.side == picture else [transforms.Resize(work.side)]
    return transforms.Compose(
        [
            *scaled,
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(work.side, padding=4),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def network_of(work: Work, classes: int) -> nn.Module:
    """Return the network, built alike for all."""
    torch.manual_seed(0)
    stem: Any = work.stem
    return models.build(work.model, classes=classes, stem=stem, size=work.side).module


def autocast(work: Work) -> Any:
    """Return the context of the forward pass."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=work.precision == "bfloat16")


def plain(work: Work, dataset: Dataset, gate: Gate, *, workers: int = 0, channels_last: bool = False) -> None:
    """The loop of the paper's notebook: Dataset, Pillow transforms, DataLoader, float32, the loss read at each step."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network_of(work, len(dataset.classes)).to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    loader = torch.utils.data.DataLoader(
        Cifar(dataset, view(work, dataset.size)),
        batch_size=work.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    network.train()
    while True:
        total, correct = 0.0, 0
        for inputs, labels in loader:
            gate.batch_is_there()
            inputs = inputs.to(memory_format=layout)
            optimizer.zero_grad()
            with autocast(work):
                outputs = network(inputs)
                loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
            correct += (outputs.argmax(1) == labels).sum().item()
            gate.step_is_done()


def loader(work: Work, dataset: Dataset, gate: Gate) -> None:
    """The same with processes that load and with channels-last tensors."""
    plain(work, dataset, gate, workers=work.threads, channels_last=True)


def lightning(work: Work, dataset: Dataset, gate: Gate) -> None:
    """PyTorch Lightning, with processes that load and channels-last tensors."""
    import lightning as L

    class Classifier(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network_of(work, len(dataset.classes)).to(memory_format=torch.channels_last)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            gate.batch_is_there()
            inputs, labels = batch
            loss = F.cross_entropy(self.network(inputs.to(memory_format=torch.channels_last)), labels)
            self.log("loss", loss)
            return loss

        def on_train_batch_end(self, *_: Any) -> None:
            gate.step_is_done()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.001, momentum=0.9)

    batches = torch.utils.data.DataLoader(
        Cifar(dataset, view(work, dataset.size)),
        batch_size=work.batch,
        shuffle=True,
        drop_last=True,
        num_workers=work.threads,
        persistent_workers=True,
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        precision="bf16-mixed" if work.precision == "bfloat16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(), batches)


def timm(work: Work, dataset: Dataset, gate: Gate) -> None:
    """Timm's loader, optimizer and loss, in the order of the step in its training script."""
    import timm.data
    import timm.loss
    import timm.optim
    import timm.utils

    network = network_of(work, len(dataset.classes)).to(memory_format=torch.channels_last)
    optimizer = timm.optim.create_optimizer_v2(network, opt="momentum", lr=0.001, momentum=0.9, weight_decay=0.0)
    criterion, losses = nn.CrossEntropyLoss(), timm.utils.AverageMeter()
    batches = timm.data.create_loader(
        Cifar(dataset, view(work, dataset.size)),
        input_size=(3, work.side, work.side),
        batch_size=work.batch,
        is_training=True,
        use_prefetcher=False,
        num_workers=work.threads,
        device=torch.device("cpu"),
    )
    batches.dataset.transform = view(work, dataset.size)  # the view of all the others, instead of timm's own
    network.train()
    while True:
        for inputs, labels in batches:
            gate.batch_is_there()
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            with autocast(work):
                loss = criterion(network(inputs), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.update(loss.item(), inputs.size(0))
            gate.step_is_done()


def bakeoff(work: Work, dataset: Dataset, gate: Gate) -> None:
    """Bakeoff's own engine, as its workers run it, convolutions tuned."""
    run = run_of(work, dataset)
    network = build_network(run, dataset)
    layers = layers_of(network, batch=work.batch, size=work.side, dtype=getattr(torch, work.precision))
    numerics = Numerics(
        device="cpu",
        threads=work.threads,
        channels_last=True,
        micro_batch=work.batch,
        convolutions=choose(tune(layers, cache_root(None) / "convolutions")) if work.tuned else {},
        normalization="joined" if work.tuned and joined.unavailable() is None else "library",
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(run, dataset, numerics, work.batch, None, Path(folder), Hooks())
        trainer.network.train()
        for epoch in itertools.count(1):
            for step, (inputs, labels) in enumerate(trainer.batches.shuffled(work.batch, run.seed, epoch)):
                if len(labels) < work.batch:
                    continue
                gate.batch_is_there()
                trainer.step(inputs, labels, step)
                gate.step_is_done()


def run_of(work: Work, dataset: Dataset) -> RunSpec:
    """Return the work as a study would have it."""
    whole = {} if work.side == dataset.size else {"resize": work.side}
    train = {"flip": True, "crop": work.side, "padding": 4, "random": True}
    content: dict[str, Any] = {
        "seeds": [0],
        "stem": work.stem,
        "precision": work.precision,
        "data": {"validation": 0},
        "recipe": {
            "epochs": 1,
            "batch_size": work.batch,
            "optimizer": "sgd",
            "learning_rate": 0.001,
            "momentum": 0.9,
            "schedule": "constant",
        },
        "candidates": [{"model": work.model, "view": {"train": whole | train, "evaluate": whole}}],
    }
    (run,) = StudySpec.from_mapping(content).resolve(facts_of(dataset, None)).runs()
    return run


CONTENDERS = {"plain": plain, "loader": loader, "lightning": lightning, "timm": timm, "bakeoff": bakeoff}


def main() -> None:
    """Train until the parent closes our input."""
    # A parent that is killed may have stopped us, and then the end of our input is not read.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    work = Work(**json.loads(sys.stdin.readline()))
    torch.set_num_threads(work.threads)
    gate = Gate(work, answers)
    CONTENDERS[work.contender](work, open_cached(Path(work.dataset)), gate)


if __name__ == "__main__":
    main()
