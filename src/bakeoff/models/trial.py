"""Trying a network on one blank picture.

On the network itself, not on a copy of it on torch's meta device: one picture takes milliseconds, where each layer takes
one there, and the first loads SymPy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Note = Callable[[str, nn.Module, torch.Size, torch.Size], None]
"""Called with a layer's name, the layer, and the shapes of its first input and of its output."""

FAILURES = (RuntimeError, ValueError, AssertionError)
"""What networks raise on inputs of a size that they cannot take."""


def forward(network: nn.Module, size: int) -> torch.Tensor:
    """Return what a network gives in evaluation for one blank picture with this many pixels a side."""
    device = next((parameter.device for parameter in network.parameters()), None)
    modes = [(layer, layer.training) for layer in network.modules()]
    try:
        with torch.no_grad():
            output: torch.Tensor = network.eval()(torch.zeros(1, 3, size, size, device=device))
    finally:
        for layer, training in modes:
            layer.training = training
    return output


def trace(network: nn.Module, size: int, note: Note) -> None:
    """Run a network on one picture and note each innermost layer, in order of execution."""
    handles = []

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def called(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
                note(name, layer, inputs[0].shape, output.shape)

        return called

    for name, layer in network.named_modules():
        if next(layer.children(), None) is None:
            handles.append(layer.register_forward_hook(hook(name)))
    try:
        forward(network, size)
    finally:
        for handle in handles:
            handle.remove()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]
