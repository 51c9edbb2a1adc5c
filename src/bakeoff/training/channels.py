"""Channels that an activation never lets through."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from bakeoff.training.kernels.normalization import FusedBatchNorm2d

ACTIVATIONS = frozenset({"relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp_min", "clamp_min_", "hardswish"})
"""Names of torch's functions after which a value can be exactly zero. Other activations let something through."""


class DeadChannels(TorchFunctionMode):
    """Sees which channels of each activation are above zero anywhere, while it is entered.

    It watches torch's functions and not the network's layers, since many networks call their activations as functions;
    only of a compiled normalisation that activates by itself it takes the output.
    Outputs of shape (batch, channels, height, width) and (batch, channels) are looked at; nothing is changed.

    Args:
        network: Whose layers give the activations their names.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network
        self._layer = ""
        self._alive: dict[str, torch.Tensor] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, layer in self._network.named_modules():
            if next(layer.parameters(recurse=False), None) is not None:
                self._hooks.append(layer.register_forward_pre_hook(self._entering(name)))
            if isinstance(layer, FusedBatchNorm2d) and layer.activation.clips:
                self._hooks.append(layer.register_forward_hook(self._left))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def note(layer: nn.Module, inputs: Any) -> None:
            self._layer = name

        return note

    def _left(self, layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self._note(output)

    def _note(self, output: torch.Tensor) -> None:
        alive = output.amax(dim=(0, 2, 3) if output.ndim == 4 else 0) > 0
        before = self._alive.get(self._layer)
        self._alive[self._layer] = alive if before is None or before.shape != alive.shape else alive | before

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        activates = getattr(func, "__name__", "") in ACTIVATIONS
        if activates and torch.is_tensor(output) and output.ndim in (2, 4):
            self._note(output)
        return output

    def shares(self) -> dict[str, float]:
        """Return the share of dead channels of each activation, named by the layer with parameters before it."""
        return {name: 1 - float(alive.double().mean()) for name, alive in self._alive.items()}
