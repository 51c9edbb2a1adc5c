"""What a network costs, counted: parameters and multiply-accumulates, in all and by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bakeoff.cost_records import PASSES
from bakeoff.models.trial import forward, trace
from bakeoff.spec import Recipe

OPERATIONS = 2
"""Operations that torch's counter counts for one multiply-accumulate."""


class Kind(StrEnum):
    """What a layer with multiply-accumulates is."""

    DEPTHWISE = "depthwise"
    """A convolution of each channel by itself."""

    POINTWISE = "pointwise"
    """A convolution with a kernel of one pixel: it mixes channels."""

    CONVOLUTION = "convolution"
    """Any other."""

    LINEAR = "linear"
    PRODUCT = "product"
    """Matrix products outside of layers, such as attention's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCount:
    """A layer and its multiply-accumulates for one picture."""

    name: str
    """Name as in `named_modules`; empty for the network itself."""

    kind: Kind
    macs: int
    """Multiply-accumulates of all calls in one forward pass, as torch counts them."""

    inputs: int | None = None
    """Channels that it reads (M); None for a product."""

    outputs: int | None = None
    """Channels that it writes (N)."""

    kernel: tuple[int, int] | None = None
    """Rows and columns of a convolution's kernel."""

    groups: int = 1
    map: tuple[int, ...] = ()
    """Rows and columns of a convolution's output, or the shape over which a linear layer is repeated."""

    calls: int = 1
    """Calls in one forward pass."""

    @property
    def positions(self) -> int:
        """Places of the output at which the layer is computed: rows times columns."""
        return math.prod(self.map)


def parameters(network: nn.Module) -> int:
    """Return the number of parameters, trainable or not, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


def trainable(network: nn.Module) -> int:
    """Return the number of parameters that training changes, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def buffers(network: nn.Module) -> int:
    """Return the number of values that a network keeps besides its parameters, such as running means."""
    return sum(buffer.numel() for buffer in network.buffers())


def macs(network: nn.Module, size: int) -> int:
    """Return the multiply-accumulates of one picture's forward pass.

    Convolutions and matrix products are counted, with torch's own counter (which counts two operations for each);
    normalisation, activations and pooling are not. The network itself is left alone.

    Args:
        network: Any network of pictures.
        size: Side of the input in pixels.
    """
    with _counting() as counter:
        forward(network, size)
    return int(counter.get_total_flops()) // OPERATIONS


def train_macs(recipe: Recipe, macs_at: Callable[[int | None], int]) -> int:
    """Return the multiply-accumulates of training on one picture once, as a mean over the recipe's epochs.

    Three times a forward pass (`PASSES`); with `early_sizes`, of the sizes by their shares of the epochs. Torch's counter is not
    asked for the backward passes: it counts the weight gradient of a grouped convolution as many times as there are
    groups (seen in 2.14: 32.7 times too much for a depthwise layer of 96 channels).

    Args:
        recipe: That a network is trained by.
        macs_at: The multiply-accumulates of its forward pass (`macs`) on inputs of a side in pixels; None for that of the
            view.
    """
    return round(PASSES * sum(share * macs_at(side) for side, share in recipe.phases()))


def layers(network: nn.Module, size: int) -> list[LayerCount]:
    """Return the layers that multiply, in order of execution; their counts add up to `macs` exactly.

    Args:
        network: Any network of pictures; it is left alone.
        size: Side of the input in pixels.
    """
    shapes: dict[str, list[torch.Size]] = {}

    def note(name: str, _: nn.Module, __: torch.Size, after: torch.Size) -> None:
        shapes.setdefault(name, []).append(after)

    with _counting() as counter:
        trace(network, size, note)
    own = _own(counter.get_flop_counts(), type(network).__name__)
    order = [*shapes, *(name for name in own if name not in shapes)]
    modules = dict(network.named_modules())
    return [_layer(name, modules[name], own[name], shapes.get(name, [])) for name in order if own.get(name)]


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count by torch's counter, with attention as the matrix products that it is: the counter does not know fused ones."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _own(counts: Mapping[str, Mapping[Any, int]], root: str) -> dict[str, int]:
    """Return the multiply-accumulates of each module without those of the modules inside it."""
    below = {
        name.removeprefix(root).removeprefix("."): sum(by_operation.values()) // OPERATIONS
        for name, by_operation in counts.items()
        if name != "Global"
    }
    own = dict(below)
    for name, number in below.items():
        if name:
            own[_parent(name, below)] -= number
    return own


def _parent(name: str, known: Mapping[str, int]) -> str:
    """Return the nearest module around one that has a count of its own: lists of modules are never called."""
    while name:
        name = name.rpartition(".")[0]
        if name in known:
            return name
    return ""


def _layer(name: str, module: nn.Module, number: int, outputs: list[torch.Size]) -> LayerCount:
    calls = len(outputs)
    if isinstance(module, nn.Conv2d) and outputs:
        rows, columns = module.kernel_size
        return LayerCount(
            name=name,
            kind=_kind(module),
            macs=number,
            inputs=module.in_channels,
            outputs=module.out_channels,
            kernel=(rows, columns),
            groups=module.groups,
            map=tuple(outputs[0][2:]),
            calls=calls,
        )
    if isinstance(module, nn.Linear) and outputs:
        return LayerCount(
            name=name,
            kind=Kind.LINEAR,
            macs=number,
            inputs=module.in_features,
            outputs=module.out_features,
            map=tuple(outputs[0][1:-1]),
            calls=calls,
        )
    return LayerCount(name=name, kind=Kind.PRODUCT, macs=number)


def _kind(layer: nn.Conv2d) -> Kind:
    if layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels:
        return Kind.DEPTHWISE
    return Kind.POINTWISE if layer.kernel_size == (1, 1) and layer.groups == 1 else Kind.CONVOLUTION
