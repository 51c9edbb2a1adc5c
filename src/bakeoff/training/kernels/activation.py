"""What may follow a normalisation, as kernels compute it with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

Curve = Literal["gelu", "silu"]


@dataclass(frozen=True, slots=True)
class Activation:
    """What follows a normalisation: `low` and `high` clip, or a curve weights.

    That is `gelu`, the Gaussian error linear unit (exact, by erf), or `silu`, the sigmoid linear unit.
    """

    low: float = -math.inf
    high: float = math.inf
    curve: Curve | None = None

    @classmethod
    def of(cls, layer: nn.Module | None) -> Activation | None:
        """Return what a layer does, or None if the kernels do not know it."""
        if type(layer) is nn.ReLU:
            return cls(low=0.0)
        if type(layer) is nn.ReLU6:
            return cls(low=0.0, high=6.0)
        if type(layer) is nn.GELU and layer.approximate == "none":
            return cls(curve="gelu")
        if type(layer) is nn.SiLU:
            return cls(curve="silu")
        return None

    @property
    def clips(self) -> bool:
        """Whether there is a bound."""
        return (self.low, self.high) != (-math.inf, math.inf)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Activate by PyTorch's own means."""
        if self.curve is not None:
            return F.gelu(values) if self.curve == "gelu" else F.silu(values)
        return F.hardtanh(values, self.low, self.high)


NONE = Activation()
"""What follows nothing."""

RELU = Activation(low=0.0)


@dataclass(frozen=True, slots=True)
class Call:
    """An activation that was called as one of PyTorch's functions."""

    activation: Activation
    inplace: bool

    @classmethod
    def of(cls, function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Call | None:
        """Return what a call of a function does to its first argument, or None if the kernels do not know it."""
        if function in (F.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_):
            in_place = function in (torch.relu_, torch.Tensor.relu_) or _given(arguments, named, 1, "inplace", False)
            return cls(RELU, bool(in_place))
        if function is F.hardtanh:
            low, high = _given(arguments, named, 1, "min_val", -1.0), _given(arguments, named, 2, "max_val", 1.0)
            if low > high:
                return None  # which PyTorch refuses
            return cls(Activation(float(low), float(high)), bool(_given(arguments, named, 3, "inplace", False)))
        if function is F.relu6:
            return cls(Activation(0.0, 6.0), bool(_given(arguments, named, 1, "inplace", False)))
        if function is F.silu:
            return cls(Activation(curve="silu"), bool(_given(arguments, named, 1, "inplace", False)))
        if function == F.gelu and named.get("approximate", "none") == "none":
            return cls(Activation(curve="gelu"), inplace=False)
        return None


def _given(arguments: tuple[Any, ...], named: Mapping[str, Any], place: int, name: str, otherwise: Any) -> Any:
    """Return an argument of a call, which may have been given by its place or its name."""
    return arguments[place] if len(arguments) > place else named.get(name, otherwise)
