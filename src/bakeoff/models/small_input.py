"""The rule that fits a network made for large pictures to small ones.

Networks for ImageNet halve their maps five times. On a 32-pixel picture that leaves one pixel, and most of a 3x3
kernel never meets any. The rule: stride and pooling are taken out from the front, one halving after the other, until
the last feature map is at least 4x4. On ResNet-18 at 32 pixels it gives the stem that is usual for CIFAR
(Krizhevsky's pictures; He et al. 2016, section 4.2, keep 32x32 in their first stage likewise).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

SMALLEST_MAP = 4
"""Side that the last feature map must have."""

LARGE = 256
"""Side of the trial input on which every halving of a network made for 224 pixels shows."""

POOLS = (nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True, slots=True)
class Halving:
    """The layers that halve the map at one point of the network: all of a residual block's branches together."""

    layers: tuple[str, ...]
    """Their names as in `named_modules`."""


class CannotAdaptError(Exception):
    """The rule does not work on this network."""


def adapt(network: nn.Module, size: int) -> list[str]:
    """Take halvings out of a network, in place, until its last feature map is large enough.

    Args:
        network: With its weights.
        size: Side of the input in pixels.

    Returns:
        What was changed, one entry a layer, in words.

    Raises:
        CannotAdaptError: If the network has no such feature map or still fails, or stays too small.
    """
    skeleton = copy.deepcopy(network).to("meta")
    halvings, last = find_halvings(skeleton)
    for taken_out in range(len(halvings) + 1):
        trial = copy.deepcopy(skeleton)
        for halving in halvings[:taken_out]:
            _take_out(trial, halving)
        side = _side_at(trial, last, size)
        if side is not None and side >= SMALLEST_MAP:
            return [said for halving in halvings[:taken_out] for said in _take_out(network, halving)]
    raise CannotAdaptError(f"with every stride and pool removed its last feature map is still below {SMALLEST_MAP}x{SMALLEST_MAP}")


def find_halvings(skeleton: nn.Module) -> tuple[list[Halving], str]:
    """Return a network's halvings in order, and the name of the layer whose output is its last feature map.

    Raises:
        CannotAdaptError: If it has no layer with a map, or cannot take a large trial input.
    """
    seen: list[tuple[str, nn.Module, int, int]] = []
    try:
        _trace(skeleton, LARGE, lambda name, layer, before, after: seen.append((name, layer, before, after)))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise CannotAdaptError(f"it takes inputs of one size only ({error})") from error
    stages: dict[int, list[str]] = {}
    last = None
    for name, layer, before, after in seen:
        if after > 1:
            last = name
        if before > 1 and isinstance(layer, (nn.Conv2d, *POOLS)) and _stride(layer) > 1:
            stages.setdefault(before, []).append(name)
    if last is None or not stages:
        raise CannotAdaptError("it has no convolutional feature map that strides or pools make smaller")
    return [Halving(tuple(dict.fromkeys(layers))) for _, layers in sorted(stages.items(), reverse=True)], last


def _take_out(network: nn.Module, halving: Halving) -> list[str]:
    said = []
    for name in halving.layers:
        layer = network.get_submodule(name)
        if isinstance(layer, nn.Conv2d):
            replaced, words = _unstrided(layer)
        else:
            replaced, words = nn.Identity(), f"{type(layer).__name__} {_kernel(layer)}x{_kernel(layer)} removed"
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, replaced)
        said.append(f"{name}: {words}")
    return said


def _unstrided(layer: nn.Conv2d) -> tuple[nn.Conv2d, str]:
    """Return a convolution without its stride; a stem's large kernel and an even kernel become 3x3."""
    kernel, stride = _kernel(layer), _stride(layer)
    layer = copy.copy(layer)
    layer.stride = (1, 1)
    if kernel % 2 == 1 and (kernel <= 3 or layer.in_channels != 3):
        return layer, f"stride {stride} -> 1"
    smaller = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        3,
        padding=1,
        groups=layer.groups,
        bias=layer.bias is not None,
        device=layer.weight.device,
    )
    with torch.no_grad():
        # The middle of the larger kernel, brought to the spread that the network's own start gives a 3x3: every usual
        # initialisation goes with one over the root of the kernel's area.
        start = max(0, (kernel - 3) // 2)
        middle = layer.weight[:, :, start : start + 3, start : start + 3] * (kernel / 3)
        if kernel >= 3:
            smaller.weight.copy_(middle)
        if layer.bias is not None and smaller.bias is not None:
            smaller.bias.copy_(layer.bias)
    return smaller, f"{kernel}x{kernel} stride {stride} -> 3x3 stride 1"


def _side_at(network: nn.Module, last: str, size: int) -> int | None:
    """Return the side of the last feature map for an input of this size, or None where the network fails on it."""
    sides: dict[str, int] = {}
    try:
        _trace(network, size, lambda name, layer, before, after: sides.update({name: after}))
    except (RuntimeError, ValueError, AssertionError):
        return None
    return sides.get(last)


def _trace(network: nn.Module, size: int, note: Callable[[str, nn.Module, int, int], None]) -> None:
    """Run a network on the meta device and note each innermost layer with the side of its map before and after."""
    network = network.eval()
    handles = []

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def called(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            before = inputs[0] if inputs else None
            if torch.is_tensor(before) and torch.is_tensor(output) and before.dim() == 4 and output.dim() == 4:
                note(name, layer, min(before.shape[2:]), min(output.shape[2:]))

        return called

    for name, layer in network.named_modules():
        if not any(True for _ in layer.children()) and not isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            handles.append(layer.register_forward_hook(hook(name)))
    try:
        with torch.inference_mode():
            network(torch.empty(1, 3, size, size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()


def _stride(layer: nn.Module) -> int:
    stride = layer.stride
    return math.prod(stride[:1]) if isinstance(stride, tuple) else int(stride)  # type: ignore[arg-type]


def _kernel(layer: nn.Module) -> int:
    kernel = layer.kernel_size
    return int(kernel[0]) if isinstance(kernel, tuple) else int(kernel)  # type: ignore[arg-type]
