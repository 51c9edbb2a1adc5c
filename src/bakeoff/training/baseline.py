"""A linear classifier on raw pixels: what any network that has learnt something should beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from bakeoff.data.batches import generator
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.splits import stratified_subset
from bakeoff.data.view import View
from bakeoff.spec import ViewSpec

PICTURES = 20_000
"""Training pictures at most. On CIFAR-10 (JPEG copy) they give 39.7 % where all 50,000 and ten epochs give 41.0 %."""

SIDE = 32
"""Larger pictures are averaged down to so many pixels a side."""

STEPS = 240
BATCH = 250
LEARNING_RATE = 0.001
"""Learning rate for pictures of `SIDE` pixels; with fewer values a step moves the scores less, and the rate is higher."""


@dataclass(frozen=True, slots=True)
class LinearScore:
    """How well a linear softmax does on the raw pixels of a data set."""

    accuracy: float
    """Accuracy on the test pictures, in [0, 1]."""

    train_pictures: int
    test_pictures: int
    side: int
    """Side of the pictures as it saw them, in pixels."""


def linear_score(dataset: Dataset, train: NDArray[np.int64], test: NDArray[np.int64]) -> LinearScore:
    """Train a linear softmax on raw pixels, seen as they are, and score it on the test pictures.

    It takes about a second on one thread, and draws nothing from the caller's generators.

    Args:
        dataset: The pictures.
        train: Which training pictures it may learn from, shape (pictures,); at most `PICTURES` of them are used.
        test: Which test pictures count, shape (pictures,).
    """
    chosen = train[stratified_subset(dataset.train.labels[train], PICTURES, seed=0)] if len(train) > PICTURES else train
    view = View(ViewSpec(), dataset.mean, dataset.std, dataset.size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # steps this small are slower on several
    try:
        weight, bias = _fitted(dataset.train, chosen, view, len(dataset.classes))
        right = 0
        for start in range(0, len(test), BATCH):
            inputs, labels = _raw(dataset.test, test[start : start + BATCH], view)
            right += int(((inputs @ weight.T + bias).argmax(dim=1) == labels).sum())
    finally:
        torch.set_num_threads(threads)
    return LinearScore(right / len(test), len(chosen), len(test), min(SIDE, dataset.size))


def _raw(pictures: Pictures, rows: NDArray[np.int64], view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels brought to mean 0 and deviation 1, shape (pictures, values), and labels."""
    images = view.apply(torch.from_numpy(pictures.pixels[rows]), None)
    if images.shape[-1] > SIDE:
        images = F.adaptive_avg_pool2d(images, SIDE)
    return images.flatten(1), torch.from_numpy(pictures.labels[rows])


def _fitted(
    pictures: Pictures, chosen: NDArray[np.int64], view: View, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight, shape (classes, values), and the bias after `STEPS` steps of Adam with a falling rate."""
    side = min(SIDE, view.size)
    weight, peak = torch.zeros(classes, 3 * side**2, requires_grad=True), LEARNING_RATE * SIDE / side
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=peak)
    draws = generator(0, 0, "linear baseline")
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = peak * (1 - step / STEPS)
        drawn = torch.randint(len(chosen), (min(BATCH, len(chosen)),), generator=draws)
        inputs, labels = _raw(pictures, chosen[drawn.numpy()], view)
        loss = F.cross_entropy(inputs @ weight.T + bias, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return weight.detach(), bias.detach()
