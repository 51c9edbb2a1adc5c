"""Counts equal what torchvision publishes, what papers print, and what is known of the usual small networks."""

from __future__ import annotations

import pytest
import torch
import torchvision.models
from torch import nn

from bakeoff import cost
from bakeoff.models import build


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "mobilenet_v2", "densenet121", "vit_b_16", "swin_t"])
def test_published_networks_count_as_torchvision_publishes(name: str) -> None:
    published = next(iter(torchvision.models.get_model_weights(name))).meta
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    assert cost.parameters(network) == published["num_params"]
    # torchvision calls them GFLOPS, and prints three decimals
    assert cost.macs(network, 224) / 1e9 == pytest.approx(published["_ops"], abs=0.00051)


@pytest.mark.parametrize(
    ("name", "stem", "size", "macs", "parameters"),
    [
        ("resnet18", "original", 32, 37.017e6, 11.182e6),
        ("resnet18", "small", 32, 555.42e6, 11.174e6),  # the usual stem for CIFAR
        ("mobilenet_v2", "original", 32, 6.125e6, 2.237e6),
        ("alexnet", "original", 224, 710.13e6, 57.045e6),
    ],
)
def test_networks_for_ten_classes_have_their_known_counts(
    name: str, stem: str, size: int, macs: float, parameters: float
) -> None:
    network = build(name, classes=10, stem=stem, size=size).module
    assert cost.macs(network, size) == pytest.approx(macs, rel=2e-4)
    assert cost.parameters(network) == pytest.approx(parameters, rel=2e-4)


def test_a_network_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 5 * 5, 7))
    assert cost.parameters(network) == 8 * (3 * 9 + 1) + 7 * (200 + 1)
    assert cost.macs(network, 10) == 5 * 5 * 8 * 3 * 9 + 200 * 7


def test_a_parameter_used_twice_counts_once() -> None:
    shared = nn.Linear(4, 4, bias=False)
    assert cost.parameters(nn.Sequential(shared, shared)) == 16


def test_counting_leaves_the_network_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 2))
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    cost.macs(network, 8)
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network[0].weight.device.type == "cpu"
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), drawn)
