"""Networks are looked at before training: their first loss, their last map, and what evaluation does."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bakeoff import models
from bakeoff.audit.evidence import NetworkProbe
from bakeoff.data.splits import split_indices
from bakeoff.study.evidence import networks
from bakeoff.study.evidence.networks import NetworkProber
from tests.builders import one_run, small_dataset


def probed(
    monkeypatch: pytest.MonkeyPatch | None = None, network: Callable[[], nn.Module] | None = None
) -> NetworkProbe:
    """Probe shufflenet, or this network in its place."""
    dataset = small_dataset()
    run = one_run(dataset)
    if monkeypatch is not None and network is not None:
        monkeypatch.setattr(networks, "build_network", lambda run, dataset: network())
    return NetworkProber(dataset, split_indices(dataset, run)).probe(run)


def test_a_healthy_network_starts_near_chance_and_scores_each_picture_by_itself() -> None:
    found = probed()
    assert found.initial_loss == pytest.approx(math.log(4), rel=0.5)
    assert found.repeat_difference == 0
    assert found.company_difference is not None
    assert found.company_difference < 1e-4
    assert found.foreign_gradient == 0
    assert found.map_side == 1  # of 8 pixels at the published stem


class Small(nn.Module):
    """A tiny network with a fault of choice."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features = self.conv(pictures).relu()
        if self.fault == "dropout":
            features = nn.functional.dropout(features, training=True)
        if self.fault == "batch statistics":
            features = nn.functional.batch_norm(features, None, None, training=True)
        if self.fault == "view":
            features = features.reshape(8, len(pictures), 8, 8).transpose(0, 1)
        if self.fault == "faint leak":
            features = features + 1e-6 * features.mean(dim=0, keepdim=True)
        if self.fault == "cut off":
            features = features.detach()
        logits = self.head(features.mean(dim=(2, 3)))
        return logits * (float("nan") if self.fault == "nan" else 20 if self.fault == "hot" else 1)


@pytest.mark.parametrize(
    ("fault", "repeated", "leaks"),
    [("", False, False), ("dropout", True, True), ("batch statistics", False, True), ("view", False, True)],
)
def test_draws_and_leaks_in_evaluation_are_seen(
    monkeypatch: pytest.MonkeyPatch, fault: str, repeated: bool, leaks: bool
) -> None:
    found = probed(monkeypatch, lambda: Small(fault))
    assert found.repeat_difference is not None
    assert found.company_difference is not None
    assert (found.repeat_difference > 0) == repeated
    assert (found.company_difference > 1e-3) == leaks
    assert found.map_side == 8


def test_scores_that_are_not_finite_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probed(monkeypatch, lambda: Small("nan"))
    assert found.initial_loss is found.repeat_difference is found.company_difference is found.foreign_gradient is None


@pytest.mark.parametrize("fault", ["batch statistics", "view", "faint leak"])
def test_gradients_show_which_pictures_a_score_hangs_on(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    found = probed(monkeypatch, lambda: Small(fault))
    assert found.foreign_gradient is not None
    assert 0 < found.foreign_gradient <= 1
    assert found.company_difference is not None
    assert (found.company_difference < 1e-3) == (fault == "faint leak")


@pytest.mark.parametrize("before", [True, False])
def test_a_leak_from_one_side_of_the_batch_is_seen(monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    class Sided(Small):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            turned = pictures if before else pictures.flip(0)
            return super().forward(turned.cumsum(dim=0))

    share = networks.foreign_gradient(Sided("").eval(), torch.rand(3, 3, 8, 8))
    assert share is not None
    assert share > 0


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_published_networks_score_each_picture_by_itself(name: str) -> None:
    network = models.build(name, classes=4, stem="original", size=32).module.eval()
    assert networks.foreign_gradient(network, torch.rand(2, 3, 32, 32)) == 0


def test_a_network_without_gradient_to_its_pictures_has_no_foreign_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probed(monkeypatch, lambda: Small("cut off")).foreign_gradient is None


def test_probing_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    probed()
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("name", "stem", "size", "side"),
    [("resnet18", "original", 32, 1), ("resnet18", "small", 32, 4), ("mobilenet_v2", "original", 32, 1)],
)
def test_the_last_map_is_that_of_the_published_networks(name: str, stem: str, size: int, side: int) -> None:
    network = models.build(name, classes=10, stem=stem, size=size).module  # type: ignore[arg-type]
    assert models.last_map_side(network, size) == side


def test_a_network_without_maps_has_no_last_map() -> None:
    assert models.last_map_side(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), 8) is None
