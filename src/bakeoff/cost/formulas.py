"""The multiply-accumulates of layers by formula: Howard et al. 2017 (arXiv:1704.04861), section 3.1, as the paper's section 2.2.

D_K is the side of the kernel, D_F that of the output's map, M the channels read, N those written.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from bakeoff.cost.counts import Kind, LayerCount


def by_formula(layer: LayerCount) -> int | None:
    """Return a layer's multiply-accumulates by the formula of its kind; None for a product, which has none.

    | kind | formula |
    |---|---|
    | convolution | D_K · D_K · M · N · D_F · D_F, divided by its groups |
    | depthwise | D_K · D_K · M · D_F · D_F |
    | pointwise | M · N · D_F · D_F |
    | linear | M · N, as often as it is repeated over a sequence |
    """
    factors = _factors(layer)
    return None if factors is None else math.prod(factors) // _divisor(layer)


def in_numbers(layer: LayerCount) -> str:
    """Return the formula of a layer with its numbers, such as `3·3·32·112·112`; nothing for a product."""
    factors = _factors(layer)
    if factors is None:
        return ""
    divided = f"/{_divisor(layer)}" if _divisor(layer) > 1 else ""
    return "·".join(str(factor) for factor in factors) + divided


def _factors(layer: LayerCount) -> list[int] | None:
    if layer.inputs is None or layer.outputs is None:
        return None
    kernel = [] if layer.kind is Kind.POINTWISE or layer.kernel is None else list(layer.kernel)
    channels = [layer.inputs] if layer.kind is Kind.DEPTHWISE else [layer.inputs, layer.outputs]
    return [*kernel, *channels, *layer.map, *([layer.calls] if layer.calls > 1 else [])]


def _divisor(layer: LayerCount) -> int:
    return 1 if layer.kind is Kind.DEPTHWISE else layer.groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Separable:
    """A depthwise layer with the pointwise one behind it, which together stand for one standard convolution."""

    depthwise: LayerCount
    pointwise: LayerCount

    @property
    def standard(self) -> int:
        """Multiply-accumulates of the convolution that they stand for."""
        assert self.pointwise.inputs is not None
        assert self.pointwise.outputs is not None
        area = math.prod(self.depthwise.kernel or (1, 1))
        return area * self.pointwise.inputs * self.pointwise.outputs * self.depthwise.positions

    @property
    def counted(self) -> float:
        """Their share of its multiply-accumulates, as counted."""
        return (self.depthwise.macs + self.pointwise.macs) / self.standard

    @property
    def ratio(self) -> float:
        """The same by formula: 1/N + 1/D_K²."""
        assert self.pointwise.outputs is not None
        return 1 / self.pointwise.outputs + 1 / math.prod(self.depthwise.kernel or (1, 1))


def separable(layers: list[LayerCount]) -> list[Separable]:
    """Return the depthwise separable convolutions among layers that stand in order of execution.

    A pair is a depthwise layer and the next one that multiplies, if that is pointwise on the same map and channels.
    """
    return [
        Separable(depthwise=first, pointwise=second)
        for first, second in itertools.pairwise(layers)
        if first.kind is Kind.DEPTHWISE
        and second.kind is Kind.POINTWISE
        and first.outputs == second.inputs
        and first.map == second.map
    ]
