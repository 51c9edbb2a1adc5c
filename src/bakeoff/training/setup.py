"""What a run is made of: its pictures, its views of them, its network."""

from __future__ import annotations

import torch
from torch import nn

from bakeoff import models
from bakeoff.data.batches import derived_seed
from bakeoff.data.dataset import Dataset
from bakeoff.data.splits import split_indices
from bakeoff.data.view import View
from bakeoff.spec import NORMALIZATIONS, CandidateSpec, RunSpec, ViewSpec

PREPARED_WITH = 2000
"""Training pictures that a network may look at before training, at most."""


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
