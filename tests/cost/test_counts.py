"""Counts equal what torchvision publishes, what papers print, what is known of the usual small networks, and arithmetic."""

from __future__ import annotations

import pytest
import torch
import torchvision.models
from torch import nn

from bakeoff import cost
from bakeoff.cost.counts import Kind
from bakeoff.models import build
from bakeoff.models.trial import trace
from tests.builders import recipe


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "mobilenet_v2", "densenet121", "vit_b_16", "swin_t"])
def test_published_networks_count_as_torchvision_publishes(name: str) -> None:
    published = next(iter(torchvision.models.get_model_weights(name))).meta
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    assert cost.parameters(network) == published["num_params"]
    # torchvision calls them GFLOPS, and prints three decimals
    assert cost.macs(network, 224) / 1e9 == pytest.approx(published["_ops"], abs=0.00051)


ORACLES = [
    # By arithmetic, layer by layer; the 32-pixel ones and AlexNet also as published counts round them.
    ("resnet18", "original", 224, 1000, 1_814_073_344, 11_689_512),
    ("resnet18", "original", 32, 10, 37_016_576, 11_181_642),
    ("resnet18", "small", 32, 10, 555_422_720, 11_173_962),  # the usual stem for CIFAR
    ("mobilenet_v2", "original", 224, 1000, 300_774_272, 3_504_872),
    ("mobilenet_v2", "original", 32, 10, 6_124_928, 2_236_682),
    ("alexnet", "original", 224, 10, 710_133_440, 57_044_810),
    ("mobilenet_v1", "original", 224, 1000, 568_740_352, 4_231_976),  # "569 Million Mult-Adds, 4.2 Million parameters"
]


@pytest.mark.parametrize(("name", "stem", "size", "classes", "macs", "parameters"), ORACLES)
def test_networks_have_their_known_counts_to_the_digit(
    name: str, stem: str, size: int, classes: int, macs: int, parameters: int
) -> None:
    with torch.device("meta"):
        network = build(name, classes=classes, stem=stem, size=size).module
    assert cost.macs(network, size) == macs
    assert cost.parameters(network) == parameters == cost.trainable(network)


def test_the_oracle_of_resnet18_follows_from_its_table_in_the_paper() -> None:
    # He et al. 2016, table 1: side of the map, channels read and written, kernel of each convolution.
    basic = [(56, 64, 64, 3)] * 4
    for side, channels in ((28, 128), (14, 256), (7, 512)):
        basic += [(side, channels // 2, channels, 3), (side, channels // 2, channels, 1)]
        basic += [(side, channels, channels, 3)] * 3
    stages = [(112, 3, 64, 7), *basic]
    assert (
        sum(side**2 * read * written * kernel**2 for side, read, written, kernel in stages) + 512 * 1000
        == 1_814_073_344
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 32), ("mobilenet_v2", 64), ("alexnet", 224), ("squeezenet1_0", 64), ("densenet121", 64)],
)
def test_torchs_counter_agrees_with_arithmetic_on_the_shapes_of_a_trial_run(name: str, size: int) -> None:
    network = build(name, classes=10, stem="original", size=size).module
    counted = 0

    def note(_: str, layer: nn.Module, before: torch.Size, after: torch.Size) -> None:
        nonlocal counted
        if isinstance(layer, nn.Conv2d):
            # each number of the output is a sum over one kernel and the channels of its group
            counted += after.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            counted += after.numel() * layer.in_features

    trace(network, size, note)
    assert cost.macs(network, size) == counted


def test_a_network_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 5 * 5, 7))
    assert cost.parameters(network) == 8 * (3 * 9 + 1) + 7 * (200 + 1)
    assert cost.macs(network, 10) == 5 * 5 * 8 * 3 * 9 + 200 * 7


def test_a_parameter_used_twice_counts_once() -> None:
    shared = nn.Linear(4, 4, bias=False)
    assert cost.parameters(nn.Sequential(shared, shared)) == 16


def test_frozen_parameters_and_running_statistics_are_told_apart() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    network[0].weight.requires_grad = False
    assert (cost.parameters(network), cost.trainable(network)) == (16 + 8, 4 + 8)
    assert cost.buffers(network) == 4 + 4 + 1  # running means, running variances, batches seen


def test_counting_leaves_the_network_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 2))
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    cost.macs(network, 8)
    cost.layers(network, 8)
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network[0].weight.device.type == "cpu"
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 32), ("mobilenet_v2", 32), ("vit_b_16", 224), ("swin_t", 64), ("shufflenet_v2_x0_5", 32)],
)
def test_the_layers_add_up_to_the_whole(name: str, size: int) -> None:
    with torch.device("meta"):
        network = build(name, classes=10, stem="original", size=size).module
    layers = cost.layers(network, size)
    assert sum(layer.macs for layer in layers) == cost.macs(network, size)
    assert len({layer.name for layer in layers}) == len(layers)
    assert all(layer.macs > 0 for layer in layers)


def test_layers_are_told_by_kind() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 12, 1),
        nn.Conv2d(12, 12, 3, padding=1, groups=2),
        nn.Flatten(),
        nn.Linear(12 * 16, 5),
    )
    kinds = [layer.kind for layer in cost.layers(network, 4)]
    assert kinds == [Kind.CONVOLUTION, Kind.DEPTHWISE, Kind.POINTWISE, Kind.CONVOLUTION, Kind.LINEAR]


def test_attention_outside_of_layers_is_counted_as_products() -> None:
    with torch.device("meta"):
        network = build("vit_b_16", classes=10, stem="original", size=224).module
    attention = [layer for layer in cost.layers(network, 224) if layer.kind is Kind.PRODUCT]
    assert len(attention) == 12
    # 197 places of 768 channels: four products with square matrices, then queries by keys and weights by values
    assert {layer.macs for layer in attention} == {4 * 197 * 768 * 768 + 2 * 197 * 197 * 768}


def test_training_takes_three_forward_passes_and_fewer_on_smaller_inputs() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    whole, half = 16 * 16 * 12 + 8, 8 * 8 * 12 + 8

    def macs_at(side: int | None) -> int:
        return cost.macs(network, side or 16)

    assert cost.train_macs(recipe(), macs_at) == 3 * whole
    assert cost.train_macs(recipe(early_sizes=((8, 0.25),)), macs_at) == round(3 * (0.25 * half + 0.75 * whole))


def test_the_counter_is_not_asked_for_backward_passes_because_it_overcounts_grouped_ones() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    layer = nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False)
    inputs = torch.zeros(1, 96, 4, 4, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(inputs).sum().backward()
    true = 3 * 96 * 9 * 16
    if counter.get_total_flops() // 2 == true:
        pytest.skip("this torch counts grouped weight gradients rightly")
    assert counter.get_total_flops() // 2 > 30 * true
