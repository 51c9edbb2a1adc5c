"""A network with chosen algorithms is the same network: same parameters, same outputs, same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bakeoff import models
from bakeoff.training.convolution import install, layers_of
from bakeoff.training.convolution.algorithm import serving
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
    return {layer.name: [serving(layer.geometry, task)[-1].name for task in Pass] for layer in found}


def outputs_and_gradients(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    output = module(images)
    output.square().sum().backward()
    return {"output": output.detach()} | {
        name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None
    }


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


def test_the_state_dict_stays_as_it_is_and_the_parameters_are_the_same_objects() -> None:
    module = network()
    before, parameters = module.state_dict(), list(module.parameters())
    install(module, all_but_the_library())
    assert list(module.state_dict()) == list(before)
    assert all(one is other for one, other in zip(module.parameters(), parameters, strict=True))
    network().load_state_dict(module.state_dict())


def test_other_batch_and_picture_sizes_are_served_too() -> None:
    plain, chosen = network().eval(), network().eval()
    install(chosen, all_but_the_library())
    for count, size in ((1, 32), (3, 32), (2, 48), (2, 96)):
        images = torch.randn(count, 3, size, size, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(chosen(images), plain(images), rtol=1e-9, atol=1e-9)


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
    assert chosen[0].weight.grad is not None
    assert chosen[0].weight.grad.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(chosen[0].weight.grad, plain[0].weight.grad, rtol=0.02, atol=0.05)


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


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(KeyError, match="magic"):
        install(nn.Sequential(nn.Conv2d(3, 4, 3)), {"0": ["library", "library", "magic"]})
