"""What a candidate's network does before it is trained."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from bakeoff import models
from bakeoff.audit.evidence import NetworkProbe
from bakeoff.data.batches import Batches
from bakeoff.data.dataset import Dataset
from bakeoff.data.splits import SplitIndices
from bakeoff.records import OneBatch
from bakeoff.spec import CandidateSpec, RunSpec
from bakeoff.training.early_sizes import sized
from bakeoff.training.one_batch import overfit_one_batch
from bakeoff.training.precision import autocast
from bakeoff.training.setup import build_network, view_of

PICTURES = 8
"""Pictures in the batch; enough for a first loss within a few per cent, and quick on large inputs."""

COMPANY = 3
"""Pictures of which the middle one's scores are followed back: what leaks from before it or from after it is seen."""


class NetworkProber:
    """Measures networks, each once however many candidates share it with its views."""

    def __init__(self, dataset: Dataset, indices: SplitIndices) -> None:
        self._dataset = dataset
        self._indices = indices
        self._known: dict[tuple[object, ...], NetworkProbe] = {}
        self._by_heart: dict[tuple[object, ...], OneBatch] = {}

    def probe(self, run: RunSpec) -> NetworkProbe:
        """Measure the network of a run's candidate, with the weights that the run begins with."""
        candidate = run.candidate
        key = (*_network(candidate), candidate.train_view, candidate.recipe.early_sizes)
        if key not in self._known:
            self._known[key] = self._probe(run)
        return self._known[key]

    def learn_by_heart(self, run: RunSpec, device: str) -> OneBatch:
        """Have a fresh copy of the network of a run's candidate learn a few pictures by heart."""
        key = _network(run.candidate)
        if key not in self._by_heart:
            self._by_heart[key] = overfit_one_batch(run, self._dataset, device)
        return self._by_heart[key]

    def _probe(self, run: RunSpec) -> NetworkProbe:
        candidate, dataset, cpu = run.candidate, self._dataset, torch.device("cpu")
        network = build_network(run, dataset)
        some = self._indices.train[:: max(1, len(self._indices.train) // PICTURES)][:PICTURES]
        train = Batches(dataset.train, some, view_of(candidate.train_view, candidate, dataset), cpu)
        evaluate = Batches(dataset.train, some, view_of(candidate.evaluate_view, candidate, dataset), cpu)
        inputs, labels = next(train.shuffled(PICTURES, run.seed, 1))
        scored, _ = next(evaluate.in_order(PICTURES, run.seed, 1))
        with torch.random.fork_rng(devices=[]), torch.no_grad(), autocast(run.precision, cpu):
            torch.manual_seed(0)
            repeated, alone = _in_evaluation(network.eval(), scored)
            foreign = foreign_gradient(network, scored[:COMPANY])
            first = network.train()(sized(inputs, candidate.recipe, 0.0)).float()
        return NetworkProbe(
            map_side=models.last_map_side(network, candidate.input_size(dataset.size)),
            initial_loss=_finite(F.cross_entropy(first, labels)),
            repeat_difference=repeated,
            company_difference=alone,
            foreign_gradient=foreign,
            pictures=len(labels),
        )


def _network(candidate: CandidateSpec) -> tuple[object, ...]:
    """Return what decides a network and what it sees in evaluation."""
    return (candidate.model, candidate.stem, candidate.evaluate_view, str(candidate.normalization))


def _in_evaluation(network: nn.Module, inputs: torch.Tensor) -> tuple[float | None, float | None]:
    """Return how far logits differ between two looks at a batch, and for a picture alone, the latter in deviations."""
    together = network(inputs).float()
    again = network(inputs).float()
    alone = torch.cat([network(inputs[place : place + 1]).float() for place in (0, len(inputs) - 1)])
    # Of logits that are all but equal the deviation is rounding: then their size is the measure.
    unit = torch.maximum(together.std(), 1e-3 * together.abs().max()).clamp_min(torch.finfo(torch.float32).tiny)
    company = (alone - together[[0, len(inputs) - 1]]).abs().max() / unit
    return _finite((again - together).abs().max()), _finite(company)


def foreign_gradient(network: nn.Module, inputs: torch.Tensor) -> float | None:
    """Return the largest gradient of the middle picture's scores by the others' pixels, as a share of the largest by any.

    It is 0 to the last bit where each picture is scored by itself (Karpathy 2019). Scores are summed with unlike weights, since
    those that add up to a constant have no gradient.
    """
    middle, pixels = len(inputs) // 2, inputs.clone().requires_grad_()
    with torch.enable_grad():
        scores = network(pixels)[middle].float()
        if not scores.requires_grad:
            return None
        followed = (scores * torch.arange(1, len(scores) + 1)).sum()
        (gradient,) = torch.autograd.grad(followed, pixels, allow_unused=True)
    if gradient is None:
        return None
    largest = gradient.float().abs().amax(dim=(1, 2, 3))
    others = torch.cat([largest[:middle], largest[middle + 1 :]])
    if not len(others) or not bool(torch.isfinite(largest).all()) or float(largest.max()) == 0:
        return None
    return float(others.max() / largest.max())


def _finite(value: torch.Tensor) -> float | None:
    """Return a scalar as a number, or None where it is none."""
    return float(value) if math.isfinite(float(value)) else None
