"""The small-input rule: enough halvings are taken out and no more, all branches of a block together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bakeoff.models import build
from bakeoff.models.small_input import CannotAdaptError, adapt, find_halvings

# Networks that halve five times, with the part that ends in the last feature map.
ENDS = {
    "resnet18": "layer4",
    "mobilenet_v2": "features",
    "mobilenet_v1": "features",
    "shufflenet_v2_x1_0": "conv5",
    "mnasnet0_5": "layers",
    "timm/resnet10t": "layer4",
    "densenet121": "features",
    "efficientnet_b0": "features",
    "regnet_y_400mf": "trunk_output",
    "convnext_tiny": "features",
}
PAPERS = ["resnet18", "mobilenet_v2", "mobilenet_v1"]


def last_map(name: str, network: nn.Module, size: int) -> int:
    seen = []
    network.get_submodule(ENDS[name]).register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
    network.eval()(torch.zeros(1, 3, size, size))
    assert seen[0][2] == seen[0][3]
    return int(seen[0][2])


@pytest.mark.parametrize("size", [8, 16, 28, 32, 48])
@pytest.mark.parametrize("name", PAPERS)
def test_the_last_map_is_at_least_4x4_with_no_halving_more_than_needed(name: str, size: int) -> None:
    network = build(name, classes=10, stem="small", size=size).module
    assert 4 <= last_map(name, network, size) < 8


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("shufflenet_v2_x1_0", 8),
        ("shufflenet_v2_x1_0", 28),
        ("mnasnet0_5", 16),
        ("mnasnet0_5", 48),
        ("timm/resnet10t", 8),
        ("timm/resnet10t", 28),
        ("densenet121", 8),
        ("densenet121", 28),
        ("efficientnet_b0", 8),
        ("regnet_y_400mf", 28),
        ("convnext_tiny", 8),
    ],
)
def test_the_rule_works_on_networks_of_other_kinds(name: str, size: int) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    network = build(name, classes=10, stem="small", size=size).module
    assert 4 <= last_map(name, network, size) < 8


def test_resnet_at_32_pixels_gets_the_usual_stem_for_cifar() -> None:
    built = build("resnet18", classes=10, stem="small", size=32)
    assert built.changes == ("conv1: 7x7 stride 2 -> 3x3 stride 1", "maxpool: MaxPool2d removed")
    stem = built.module.conv1
    assert (stem.kernel_size, stem.stride, stem.padding, stem.bias) == ((3, 3), (1, 1), (1, 1), None)
    assert stem.weight.shape == (64, 3, 3, 3)
    assert isinstance(built.module.maxpool, nn.Identity)


def test_a_blocks_shortcut_loses_its_stride_with_the_main_path() -> None:
    changes = build("resnet18", classes=10, stem="small", size=8).changes
    assert changes[2:] == tuple(
        f"layer{stage}.0.{layer}: stride 2 -> 1" for stage in (2, 3) for layer in ("conv1", "downsample.0")
    )
    changes = build("shufflenet_v2_x1_0", classes=10, stem="small", size=16).changes
    assert changes[2:] == ("stage2.0.branch1.0: stride 2 -> 1", "stage2.0.branch2.3: stride 2 -> 1")


def test_pools_inside_a_shortcut_are_removed_with_the_stride_of_the_main_path() -> None:
    pytest.importorskip("timm")
    changes = build("timm/resnet10t", classes=10, stem="small", size=16).changes
    assert changes[2:] == ("layer2.0.conv1: stride 2 -> 1", "layer2.0.downsample.0: AvgPool2d removed")


def test_pools_of_other_libraries_are_recognised_by_what_they_do() -> None:
    pytest.importorskip("timm")
    changes = build("timm/resnetblur50", classes=10, stem="small", size=32).changes
    assert changes == ("conv1: 7x7 stride 2 -> 3x3 stride 1", "maxpool.1: BlurPool2d removed")


def test_a_depthwise_convolution_keeps_its_kernel() -> None:
    built = build("mnasnet0_5", classes=10, stem="small", size=8)
    kernels = [layer.kernel_size[0] for layer in built.module.modules() if isinstance(layer, nn.Conv2d)]
    assert 5 in kernels
    assert all(words.endswith("stride 2 -> 1") for words in built.changes)


def test_an_input_that_is_large_enough_changes_nothing() -> None:
    torch.manual_seed(0)
    small = build("mobilenet_v2", classes=10, stem="small", size=112)
    torch.manual_seed(0)
    original = build("mobilenet_v2", classes=10, stem="original", size=112).module.state_dict()
    assert small.changes == ()
    assert all(torch.equal(tensor, original[key]) for key, tensor in small.module.state_dict().items())


def test_new_stem_weights_spread_as_the_networks_own_start_would_spread_them() -> None:
    torch.manual_seed(0)
    weight = build("resnet18", classes=10, stem="small", size=32).module.conv1.weight
    # ResNet starts at He's fan-out: sqrt(2 / (64 filters x 3 x 3)); 1,728 weights give the deviation to some 2 %.
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.07)
    assert abs(weight.mean().item()) < 0.005


def test_an_enlarged_map_is_no_longer_enlarged() -> None:
    built = build("vgg11_bn", classes=10, stem="small", size=32)
    assert built.changes[-2:] == ("avgpool: 7x7 -> 4x4", "classifier.0: 25088 -> 8192 inputs")
    linear = built.module.classifier[0]
    assert linear.weight.std().item() == pytest.approx(0.01 * 7 / 4, rel=0.01)  # torchvision starts VGG's at 0.01


class Even(nn.Module):
    """Patches of 4x4 to begin with, then halving by 2x2: kernels that cannot keep a map's size."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.smaller = nn.Conv2d(8, 16, 2, stride=2)
        self.head = nn.Linear(16, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.smaller(self.patches(inputs)).mean((2, 3)))
        return logits


def test_kernels_of_even_side_become_3x3() -> None:
    network = Even()
    assert adapt(network, 4) == ["patches: 4x4 stride 4 -> 3x3 stride 1", "smaller: 2x2 stride 2 -> 3x3 stride 1"]
    maps = network.smaller(network.patches(torch.zeros(1, 3, 4, 4)))
    assert maps.shape == (1, 16, 4, 4)
    assert network.smaller.weight.std().item() == pytest.approx(Even().smaller.weight.std().item() * 2 / 3, rel=0.2)


def test_halvings_are_found_in_order_of_execution_whatever_the_order_of_registration() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.MaxPool2d(2)
            self.first = nn.Conv2d(3, 4, 5, stride=2, padding=2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(inputs))

    halvings, last = find_halvings(Backwards())
    assert [halving.layers for halving in halvings] == [("first",), ("second",)]
    assert last == "second"


def test_squeeze_gates_and_global_pools_are_no_feature_maps() -> None:
    halvings, last = find_halvings(build("efficientnet_b0", classes=2, stem="original", size=32).module)
    assert last.startswith("features.8")
    assert len(halvings) == 5


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), "one size only"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), "no convolutional feature map"),
        (nn.Sequential(nn.Conv2d(3, 4, 7), nn.ReLU()), "even with every stride and pool removed it ends in a 2x2 map"),
        (nn.Sequential(nn.Conv2d(3, 4, 9), nn.ReLU()), "even with every stride and pool removed it fails"),
    ],
)
def test_where_the_rule_cannot_work_it_says_why(network: nn.Module, reason: str) -> None:
    with pytest.raises(CannotAdaptError, match=reason):
        adapt(network, 8)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "mobilenet_v2", "mobilenet_v1"])
def test_gradients_reach_every_layer_of_a_changed_network(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, classes=3, stem="small", size=8).module
    nn.functional.cross_entropy(network(torch.randn(3, 3, 8, 8)), torch.arange(3)).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key
