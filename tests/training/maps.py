"""Maps, normalisations with parameters of their own, and a step through some layers."""

from __future__ import annotations

import torch
from torch import nn

from bakeoff.training.convolution import named_parameters
from bakeoff.training.convolution.layer import ChosenConv2d


def maps(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 2, mean: float = 0.0) -> torch.Tensor:
    """Return maps with a deviation of 2, the channels innermost."""
    draws = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=draws) + mean).to(dtype).to(memory_format=torch.channels_last)


def normalization_of(channels: int, draws: torch.Generator) -> nn.BatchNorm2d:
    """Return a normalisation whose weights and biases are drawn."""
    layer = nn.BatchNorm2d(channels, momentum=0.3)
    with torch.no_grad():
        layer.weight.copy_(torch.rand(channels, generator=draws) + 0.5)
        layer.bias.copy_(torch.randn(channels, generator=draws))
    return layer


def trained(layers: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return all that a step leaves behind, by name; gradients in the weights' shapes."""
    inputs = inputs.clone().requires_grad_()
    output = layers(inputs)
    output.backward(gradient)
    assert inputs.grad is not None
    found = {"output": output.detach(), "inputs": inputs.grad}
    chosen = {id(layer.kernel): layer for layer in layers.modules() if isinstance(layer, ChosenConv2d)}
    for name, parameter in named_parameters(layers).items():
        assert parameter.grad is not None
        layer = chosen.get(id(parameter))
        found[name] = parameter.grad if layer is None else layer.whole(parameter.grad, None)
    return found | dict(layers.named_buffers())
