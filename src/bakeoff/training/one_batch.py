"""Whether a network can learn a handful of pictures by heart: if not, something in it or in its labels is broken.

Karpathy 2019, "A Recipe for Training Neural Networks" (karpathy.github.io/2019/04/25/recipe), step "overfit one batch".
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from bakeoff.data.batches import Batches, derived_seed
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.splits import split_indices
from bakeoff.records import OneBatch
from bakeoff.spec import RunSpec
from bakeoff.training.precision import autocast
from bakeoff.training.setup import build_network, view_of

PICTURES_AND_STEPS = {"cpu": (8, 100), "cuda": (32, 300)}
"""Numbers of pictures, and of steps at most. On 8 pictures networks with batch normalisation have taken 1 to 9 steps, AlexNet,
which has none, about 70."""

RATES = (1e-3, 3e-4, 1e-4)
"""Adam's learning rates, the next if one fails: AlexNet and VGG learn nothing at the first."""

ENOUGH = 0.1
"""Share of ln C: the loss at which the pictures count as learnt."""

HOPELESS_AFTER, HOPELESS = 30, 0.9
"""An attempt ends after so many steps if the loss is still above this much of ln C."""


def overfit_one_batch(run: RunSpec, dataset: Dataset, device: str = "cpu") -> OneBatch:
    """Train a fresh copy of a run's network on a few pictures until it knows them, or is known not to.

    In training mode, through the evaluation view, so that nothing varies between steps, with Adam, without dropout and
    weight decay. The caller's random numbers are left alone.

    Args:
        run: Whose network it is.
        dataset: The pictures that it was specified on.
        device: `cpu`, `cuda` or `cuda:N`.
    """
    where = torch.device(device)
    count, steps = PICTURES_AND_STEPS[where.type]
    chance = math.log(len(dataset.classes))
    candidate, train = run.candidate, split_indices(dataset, run).train
    chosen = unlike_pictures(dataset.train, train, count)
    batches = Batches(dataset.train, chosen, view_of(candidate.evaluate_view, candidate, dataset), where)
    inputs, labels = next(batches.in_order(len(chosen), run.seed, 1))
    outcomes: list[OneBatch] = []
    for rate in RATES:
        network = without_dropout(build_network(run, dataset)).to(where).train()
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []), autocast(run.precision, where):
            torch.manual_seed(derived_seed(run.seed, 0, "one batch"))
            taken, loss, accuracy = _fit(network, inputs, labels, rate, steps, chance)
        outcomes.append(
            OneBatch(
                classes=len(dataset.classes),
                pictures=len(labels),
                steps=taken,
                learning_rate=rate,
                attempts=len(outcomes) + 1,
                loss=loss if math.isfinite(loss) else None,
                accuracy=accuracy,
                learnt=accuracy == 1 and loss < ENOUGH * chance,
            )
        )
        if outcomes[-1].learnt:
            return outcomes[-1]
    best = max(outcomes, key=lambda one: (one.accuracy, -math.inf if one.loss is None else -one.loss))
    return replace(best, attempts=len(outcomes))


def _fit(
    network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, rate: float, steps: int, chance: float
) -> tuple[int, float, float]:
    """Return the steps taken and the loss and accuracy before the last of them, in training mode."""
    optimizer = torch.optim.Adam([value for value in network.parameters() if value.requires_grad], lr=rate, fused=True)
    loss, accuracy = math.inf, 0.0
    for step in range(steps + 1):
        logits = network(inputs).float()
        mean = F.cross_entropy(logits, labels)
        loss, accuracy = float(mean.detach()), float((logits.argmax(dim=1) == labels).double().mean())
        learnt = accuracy == 1 and loss < ENOUGH * chance
        hopeless = step >= HOPELESS_AFTER and loss > HOPELESS * chance
        if step == steps or not math.isfinite(loss) or learnt or hopeless:
            break
        optimizer.zero_grad()
        if mean.requires_grad:  # a network that is cut off from its loss learns nothing, and shows it so
            mean.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return step, loss, accuracy


def unlike_pictures(pictures: Pictures, indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return some pictures, by turns of every class that is there, no two of them the same.

    Args:
        pictures: Of a split.
        indices: Those that may be taken.
        count: How many are wanted; fewer are returned where there are not so many.
    """
    labels = pictures.labels[indices]
    turns = np.empty(len(indices), dtype=np.int64)
    for label in np.unique(labels):
        turns[labels == label] = np.arange((labels == label).sum())
    chosen: dict[bytes, int] = {}
    for index in indices[np.lexsort((labels, turns))].tolist():
        chosen.setdefault(pictures.pixels[index].tobytes(), index)
        if len(chosen) == count:
            break
    return np.array(list(chosen.values()), dtype=np.int64)


def without_dropout(network: nn.Module) -> nn.Module:
    """Return a network after every layer in it that drops something at random has been told to drop nothing."""
    for layer in network.modules():
        if "drop" in type(layer).__name__.lower() or type(layer).__name__ == "StochasticDepth":
            for attribute in ("p", "drop_prob"):
                if isinstance(getattr(layer, attribute, None), float):
                    setattr(layer, attribute, 0.0)
    return network
