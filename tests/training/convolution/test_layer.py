"""A network with chosen algorithms is the same network: same parameters, same outputs, same gradients."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bakeoff import models
from bakeoff.training.convolution import install, layers_of, library_for_all, load_state, saved_state
from bakeoff.training.convolution.algorithm import missing, serving
from bakeoff.training.convolution.geometry import Pass
from bakeoff.training.convolution.layer import ChosenConv2d, choosable


def network(name: str = "resnet18", size: int = 32) -> nn.Module:
    torch.manual_seed(0)
    module = models.build(name, classes=4, stem="original", size=size).module
    return module.double().to(memory_format=torch.channels_last)


def all_but_the_library(name: str = "resnet18", size: int = 32) -> dict[str, list[str]]:
    """For every layer and pass the last algorithm that serves, which is the library only where nothing else does."""
    module = models.build(name, classes=4, stem="original", size=size).module
    found = layers_of(module, batch=8, size=size, dtype=torch.float64)
    return {layer.name: [serving(layer.geometry.trimmed, task)[-1].name for task in Pass] for layer in found}


def living_taps(name: str = "resnet18", size: int = 32) -> dict[str, tuple[slice, slice]]:
    module = models.build(name, classes=4, stem="original", size=size).module
    return {layer.name: layer.geometry.taps for layer in layers_of(module, batch=8, size=size, dtype=torch.float64)}


def outputs_and_gradients(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    output = module(images)
    output.square().sum().backward()
    found = {"output": output.detach()}
    for name, parameter in module.named_parameters():
        if parameter.grad is None:
            continue
        owner, _, own_name = name.rpartition(".")
        layer = module.get_submodule(owner)
        if isinstance(layer, ChosenConv2d) and own_name == "kernel":
            rest = None if layer.resting is None else torch.zeros_like(layer.resting)
            found[f"{owner}.weight"] = layer.whole(parameter.grad, rest)
        else:
            found[name] = parameter.grad.clone()
    return found


@pytest.mark.parametrize(("name", "size"), [("resnet18", 32), ("mobilenet_v2", 32)])
def test_outputs_and_gradients_stay_the_same(name: str, size: int) -> None:
    plain, chosen = network(name, size).eval(), network(name, size).eval()
    install(chosen, all_but_the_library(name, size))
    assert sum(isinstance(layer, ChosenConv2d) for layer in chosen.modules()) > 4
    images = torch.randn(8, 3, size, size, dtype=torch.float64).to(memory_format=torch.channels_last)
    expected, found = outputs_and_gradients(plain, images), outputs_and_gradients(chosen, images)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-9 * float(value.abs().max()))


@pytest.mark.parametrize("moving", [False, True], ids=["all taps", "living taps"])
def test_the_state_dict_stays_as_it_is_and_goes_both_ways(moving: bool) -> None:
    plain, chosen, other = network(), network(), network()
    expected = {name: value.clone() for name, value in plain.state_dict().items()}
    for module in (chosen, other):
        install(module, all_but_the_library(), living_taps() if moving else None)
    assert {name: value.shape for name, value in chosen.state_dict().items()} == {
        name: value.shape for name, value in expected.items()
    }
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    other.load_state_dict(chosen.state_dict())
    plain.load_state_dict(other.state_dict())
    assert all(torch.equal(value, expected[name]) for name, value in plain.state_dict().items())


def test_taps_that_only_meet_padding_take_no_part_in_training() -> None:
    """Seven of ResNet-18's eleven million weights, at 32 pixels: nothing moves them, and nothing is spent on them."""
    plain, chosen = network(), network()
    before = sum(parameter.numel() for parameter in chosen.parameters())
    install(chosen, all_but_the_library(), living_taps())
    assert sum(parameter.numel() for parameter in chosen.parameters()) < 0.4 * before
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    for _ in range(3):
        for module in (plain, chosen):
            outputs_and_gradients(module, images)
            torch.optim.SGD(module.parameters(), lr=1e-4).step()
    for name, value in chosen.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_an_optimizers_state_is_saved_in_the_weights_shapes(kind: type[torch.optim.Optimizer]) -> None:
    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    plain, chosen, other = network(), network(), network()
    for module in (chosen, other):
        install(module, all_but_the_library(), living_taps())
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    optimizers = []
    for module in (plain, chosen):
        optimizer = kind(module.parameters(), lr=1e-4, **settings)
        outputs_and_gradients(module, images)
        optimizer.step()
        optimizers.append(optimizer)
    expected, saved = optimizers[0].state_dict()["state"], saved_state(chosen, optimizers[1])
    for number, values in saved["state"].items():
        for key, value in values.items():
            torch.testing.assert_close(value, expected[number][key], rtol=1e-6, atol=1e-9)
    again = kind(other.parameters(), lr=1e-4, **settings)
    load_state(other, again, saved)
    for number, values in again.state_dict()["state"].items():
        for key, value in values.items():
            assert torch.equal(value, optimizers[1].state_dict()["state"][number][key])


def test_other_batch_and_picture_sizes_are_served_too() -> None:
    plain, chosen = network().eval(), network().eval()
    install(chosen, all_but_the_library())
    for count, size in ((1, 32), (3, 32), (2, 48), (2, 96)):
        images = torch.randn(count, 3, size, size, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(chosen(images), plain(images), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["library", "planar", "matmul", "dense", "winograd", "tilewise", "phases"])
def test_one_picture_without_a_batch_and_a_batch_without_pictures_are_convolved_as_by_pytorch(name: str) -> None:
    layer = nn.Conv2d(16, 16, 3, 2 if name == "phases" else 1, 1)
    chosen = nn.Sequential(copy.deepcopy(layer))
    install(chosen, {} if name in missing() else {"0": [name] * 3})
    picture, nothing = torch.randn(16, 8, 8, requires_grad=True), torch.randn(0, 16, 8, 8, requires_grad=True)
    torch.testing.assert_close(chosen(picture), layer(picture), rtol=0, atol=1e-5)
    output = chosen(nothing)
    assert output.shape == layer(nothing).shape
    output.sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.shape == nothing.shape


def test_a_bias_is_added_and_learns() -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1).double()
    chosen = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1).double())
    chosen[0].load_state_dict(layer.state_dict())
    install(chosen, {"0": ["matmul"] * 3})
    images = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    expected, found = outputs_and_gradients(nn.Sequential(layer), images), outputs_and_gradients(chosen, images)
    assert set(found) == {"output", "0.weight", "0.bias"}
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)


def test_under_autocast_it_computes_in_the_narrow_format_and_weights_keep_theirs() -> None:
    plain, chosen = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1)), nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    chosen.load_state_dict(plain.state_dict())
    install(chosen, {"0": ["matmul", "dense", "matmul"]})
    images = torch.randn(2, 4, 2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, found = plain(images), chosen(images)
    assert found.dtype is expected.dtype is torch.bfloat16
    found.float().sum().backward()
    expected.float().sum().backward()
    assert chosen[0].kernel.grad is not None
    assert chosen[0].kernel.grad.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(chosen[0].kernel.grad.permute(0, 3, 1, 2), plain[0].weight.grad, rtol=0.02, atol=0.05)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(3, 4, 3),
        nn.Linear(3, 4),
        nn.LazyConv2d(4, 3),
    ],
    ids=["padding by name", "padding by reflection", "one dimension", "linear", "not made yet"],
)
def test_layers_of_other_kinds_are_left_alone(layer: nn.Module) -> None:
    assert not choosable(layer)


class Twice(nn.Module):
    """Two layers with one weight, or one layer under two names, called one after the other."""

    def __init__(self, one_layer: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = self.first if one_layer else nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight
        self.third = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(inputs)))


@pytest.mark.parametrize("one_layer", [True, False])
def test_layers_that_share_a_weight_learn_together(one_layer: bool) -> None:
    torch.manual_seed(0)
    plain = Twice(one_layer)
    chosen = copy.deepcopy(plain)
    assert [layer.name for layer in layers_of(chosen, batch=2, size=8, dtype=torch.float32)] == ["third"]
    assert list(library_for_all(chosen)) == ["third"]
    install(chosen, {name: ["matmul"] * 3 for name in ("first", "second", "third")})
    assert chosen.first.weight is chosen.second.weight
    images = torch.randn(2, 3, 8, 8)
    for module in (plain, chosen):
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
        for _ in range(3):
            outputs_and_gradients(module, images)
            optimizer.step()
    torch.testing.assert_close(chosen.state_dict(), plain.state_dict(), rtol=1e-4, atol=1e-5)


def test_a_layer_inside_a_part_with_two_names_is_served_under_both() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))
    whole = nn.Sequential(block, block)
    install(whole, library_for_all(whole))
    assert isinstance(whole[0][0], ChosenConv2d)
    assert whole[0][0] is whole[1][0]


@pytest.mark.parametrize("reparametrize", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_weight_that_is_computed_from_other_parameters_is_left_alone(
    reparametrize: Callable[[nn.Module], nn.Module],
) -> None:
    module = nn.Sequential(reparametrize(nn.Conv2d(3, 4, 3, padding=1))).eval()
    images = torch.randn(2, 3, 8, 8)
    expected = module(images)
    install(module, library_for_all(module))
    assert torch.equal(module(images), expected)


def test_a_network_with_chosen_algorithms_can_be_saved_whole() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    install(module, {"0": ["planar", "library", "matmul"], "1": ["dense", "planar", "library"]})
    images, file = torch.randn(2, 3, 2, 2), io.BytesIO()
    expected = module(images)
    torch.save(module, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(images), expected)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(KeyError, match="magic"):
        install(nn.Sequential(nn.Conv2d(3, 4, 3)), {"0": ["library", "library", "magic"]})
