"""The rule that fits a network made for large pictures to small ones.

Networks for ImageNet halve their maps five times. On a 32-pixel picture that leaves one pixel, and most of a 3x3
kernel never meets any. The rule: stride and pooling are taken out from the front, one halving after the other, until
the last feature map is at least 4x4. On ResNet-18 at 32 pixels it gives the stem that is usual for CIFAR
(Krizhevsky's pictures; He et al. 2016, section 4.2, keep 32x32 in their first stage likewise).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bakeoff.models.trial import FAILURES, first_line, trace

SMALLEST_MAP = 4
"""Side that the last feature map must have."""

LARGE = 256
"""Side of the trial input on which every halving of a network made for 224 pixels shows."""

ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True, slots=True)
class Halving:
    """The layers that halve the map at one point of the network: all of a residual block's branches together."""

    layers: tuple[str, ...]
    """Their names as in `named_modules`."""


class CannotAdaptError(Exception):
    """The rule does not work on this network. The message follows the network's name: "it ..."."""


def adapt(network: nn.Module, size: int) -> list[str]:
    """Take halvings out of a network, in place, until its last feature map is large enough.

    Convolutions lose their stride and keep the map's size by padding; pools are removed. The layers that halve the map
    from the same size change together. A convolution that reads the picture itself with a kernel larger than 3x3 gets
    one of 3x3, since a kernel made to be strided covers too much of a small picture; so does any with an even side,
    which cannot keep the map's size. A linear layer that reads a whole map is cut to the map's size.

    Args:
        network: With its weights. Of no use any more if this fails.
        size: Side of the input in pixels.

    Returns:
        What was changed, one entry a layer, in words.

    Raises:
        CannotAdaptError: If the network takes inputs of one size only, or fails or stays too small without a halving.
    """
    halvings, last = find_halvings(network)
    changes: list[str] = []
    while (outcome := _shortfall(network, last, size)) and halvings:
        changes += _take_out(network, halvings.pop(0))
    if outcome:
        raise CannotAdaptError(f"even with every stride and pool removed it {outcome}")
    return changes + (_cut_linear(network, size) if changes else [])


def fits(network: nn.Module, size: int) -> bool:
    """Tell whether a network's last feature map is large enough as it is.

    Raises:
        CannotAdaptError: If it has no feature map, or cannot take a large trial input.
    """
    _, last = find_halvings(network)
    return not _shortfall(network, last, size)


def last_map_side(network: nn.Module, size: int) -> int | None:
    """Return the side of a network's last feature map at inputs of this size, or None where it has no such map.

    Args:
        network: Left as it is.
        size: Side of the input in pixels.
    """
    sides: dict[str, int] = {}

    def note(name: str, layer: nn.Module, before: torch.Size, after: torch.Size) -> None:
        if _shows_feature_map(layer, before, after):
            sides[name] = _side(after)

    trace(network, size, note)
    seen = list(sides.values())
    if seen and seen[-1] >= SMALLEST_MAP:
        return seen[-1]  # a map that came of it by another halving would have been seen, too
    try:
        _, last = find_halvings(network)
    except CannotAdaptError:
        return None
    return sides.get(last, 1)


def find_halvings(network: nn.Module) -> tuple[list[Halving], str]:
    """Return a network's halvings in order, and the name of the layer whose output is its last feature map.

    Raises:
        CannotAdaptError: If it has no feature map, or cannot take a large trial input.
    """
    stages: dict[int, list[str]] = {}
    last = ""

    def note(name: str, layer: nn.Module, before: torch.Size, after: torch.Size) -> None:
        nonlocal last
        if not _shows_feature_map(layer, before, after):
            return
        last = name
        if _is_strided(layer) or _is_pool(layer, before, after):
            stages.setdefault(_side(before), []).append(name)

    try:
        trace(network, LARGE, note)
    except FAILURES as error:
        raise CannotAdaptError(f"it takes inputs of one size only: {first_line(error)}") from error
    if not last:
        raise CannotAdaptError("it has no convolutional feature map")
    return [Halving(tuple(dict.fromkeys(layers))) for _, layers in sorted(stages.items(), reverse=True)], last


def _shortfall(network: nn.Module, last: str, size: int) -> str:
    """Return in words what is wrong with the last feature map at this size, or nothing."""
    sides: dict[str, int] = {}
    try:
        trace(network, size, lambda name, layer, before, after: sides.update({name: _side(after)}))
    except FAILURES as error:
        return f"fails: {first_line(error)}"
    side = sides.get(last, 0)
    return "" if side >= SMALLEST_MAP else f"ends in a {side}x{side} map"


def _shows_feature_map(layer: nn.Module, before: torch.Size, after: torch.Size) -> bool:
    """Tell feature maps from maps of one pixel, which are gates (squeeze and excitation) or come after global pooling."""
    return len(before) == 4 and len(after) == 4 and _side(after) > 1 and not isinstance(layer, ADAPTIVE)


def _is_strided(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.stride[0] > 1


def _is_pool(layer: nn.Module, before: torch.Size, after: torch.Size) -> bool:
    """Recognise pools of any library by what they do: make each channel's map smaller, without weights."""
    return before[1] == after[1] and _side(before) > 1.5 * _side(after) and next(layer.parameters(), None) is None


def _take_out(network: nn.Module, halving: Halving) -> list[str]:
    said = []
    for name in halving.layers:
        layer = network.get_submodule(name)
        if isinstance(layer, nn.Conv2d):
            words = _remove_stride(layer)
        else:
            words = f"{type(layer).__name__} removed"
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, nn.Identity())
        said.append(f"{name}: {words}")
    return said


def _remove_stride(layer: nn.Conv2d) -> str:
    """Let a convolution keep its map's size, and say how."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    reads_picture = layer.in_channels == 3
    layer.stride = (1, 1)
    if kernel % 2 == 0 or (reads_picture and kernel > 3):
        layer.weight = nn.Parameter(_of_3x3(layer.weight.detach()))
        layer.kernel_size = (3, 3)
    if not isinstance(layer.padding, str):
        layer.padding = (layer.dilation[0] * (layer.kernel_size[0] // 2),) * 2
        layer._reversed_padding_repeated_twice = list(layer.padding) * 2  # torch's copy, for padding other than zeros
    if layer.kernel_size[0] == kernel:
        return f"stride {stride} -> 1"
    return f"{kernel}x{kernel} stride {stride} -> 3x3 stride 1"


def _of_3x3(weight: torch.Tensor) -> torch.Tensor:
    """Return random weights of a 3x3 convolution, made from those of one with another kernel.

    They are the middle of a larger kernel, or drawn afresh for a smaller one, brought to the spread that the network's
    own start would give them: the usual ones go with one over the root of the kernel's area (He et al. 2015).
    """
    kernel = weight.shape[-1]
    if kernel < 3:
        start = torch.randn(*weight.shape[:2], 3, 3) * weight.std()
    else:
        first = (kernel - 3) // 2
        start = weight[:, :, first : first + 3, first : first + 3]
    return (start * (kernel / 3)).contiguous()


def _cut_linear(network: nn.Module, size: int) -> list[str]:
    """Cut the linear layer that reads a whole map, where the map would be enlarged for it by repeating its pixels."""
    enlarged: list[tuple[str, torch.Size, torch.Size]] = []
    readers: list[str] = []

    def note(name: str, layer: nn.Module, before: torch.Size, after: torch.Size) -> None:
        if isinstance(layer, nn.AdaptiveAvgPool2d) and _side(before) < _side(after):
            enlarged.append((name, before, after))
        elif enlarged and isinstance(layer, nn.Linear) and layer.in_features == enlarged[0][2].numel():
            readers.append(name)

    trace(network, size, note)
    if not readers:
        return []
    (pool, before, after), reader = enlarged[0], readers[0]
    channels, side, published = before[1], _side(before), _side(after)
    linear = network.get_submodule(reader)
    assert isinstance(linear, nn.Linear)
    # The weights of side x side places, brought to the spread that a layer with fewer inputs starts from.
    places = linear.weight.detach().view(-1, channels, published, published)[:, :, :side, :side]
    linear.weight = nn.Parameter((places * (published / side)).flatten(1))
    said = f"{reader}: {linear.in_features} -> {linear.weight.shape[1]} inputs"
    linear.in_features = linear.weight.shape[1]
    parent, _, child = pool.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.AdaptiveAvgPool2d(side))
    return [f"{pool}: {published}x{published} -> {side}x{side}", said]


def _side(shape: torch.Size) -> int:
    return min(shape[2:]) if len(shape) == 4 else 0
