"""What a run is made of: its pictures, its views of them, its network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bakeoff import models
from bakeoff.data.batches import derived_seed
from bakeoff.data.dataset import Dataset
from bakeoff.data.splits import split_validation, stratified_subset
from bakeoff.data.view import View
from bakeoff.spec import NORMALIZATIONS, CandidateSpec, RunSpec, ViewSpec

PREPARED_WITH = 2000
"""Training pictures that a network may look at before training, at most."""


@dataclass(frozen=True, slots=True)
class SplitIndices:
    """Which pictures of a data set's splits take part in a run."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """Into the training split, or into the data set's own validation split if it has one; may be empty."""

    test: NDArray[np.int64]


def split_indices(dataset: Dataset, run: RunSpec) -> SplitIndices:
    """Return the pictures of each split: the limit taken first, then the validation split off the training set."""
    train = np.arange(len(dataset.train), dtype=np.int64)
    test = np.arange(len(dataset.test), dtype=np.int64)
    if run.limit is not None and run.limit < len(train):
        share = run.limit / len(train)
        train = stratified_subset(dataset.train.labels, run.limit, run.split_seed)
        test = stratified_subset(
            dataset.test.labels, max(len(dataset.classes), round(share * len(test))), run.split_seed
        )
    if dataset.validation is not None:
        return SplitIndices(train, np.arange(len(dataset.validation), dtype=np.int64), test)
    if run.validation == 0:
        return SplitIndices(train, np.empty(0, dtype=np.int64), test)
    kept, held_out = split_validation(dataset.train.labels[train], run.validation, run.split_seed)
    return SplitIndices(train[kept], train[held_out], test)


def view_of(spec: ViewSpec, candidate: CandidateSpec, dataset: Dataset) -> View:
    """Return a candidate's view with its normalisation looked up."""
    normalization = candidate.normalization
    if normalization == "data":
        return View(spec, dataset.mean, dataset.std, dataset.size)
    if isinstance(normalization, str):
        normalization = NORMALIZATIONS[normalization]
    return View(spec, normalization.mean, normalization.std, dataset.size)


def build_network(run: RunSpec, dataset: Dataset) -> nn.Module:
    """Return the run's network on the CPU with the weights that its seed gives, leaving the caller's draws alone.

    A network with a method `prepare(inputs)` is shown some training pictures, as evaluation would see them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(run.seed, 0, "weights"))
        candidate = run.candidate
        network = models.build(
            candidate.model, classes=len(dataset.classes), stem=candidate.stem, size=candidate.input_size(dataset.size)
        ).module
    prepare = getattr(network, "prepare", None)
    if callable(prepare):
        chosen = split_indices(dataset, run).train[:PREPARED_WITH]
        pixels = torch.from_numpy(dataset.train.pixels[chosen])
        prepare(view_of(candidate.evaluate_view, candidate, dataset).apply(pixels, None))
    return network
