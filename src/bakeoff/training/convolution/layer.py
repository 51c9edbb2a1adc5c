"""A convolution layer that computes each pass by the algorithm chosen for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bakeoff.errors import StudyError
from bakeoff.training.convolution.algorithm import ALGORITHMS, LIBRARY, Algorithm, remark
from bakeoff.training.convolution.geometry import DTYPES, Geometry, Pass
from bakeoff.training.convolution.winograd import WINOGRAD


class ChosenConv2d(nn.Conv2d):
    """A `Conv2d` with the same parameters, whose passes are computed by chosen algorithms.

    Where an algorithm cannot serve what it is given (pictures of another size, say), the library does.
    """

    algorithms: dict[Pass, Algorithm]
    _geometries: dict[tuple[torch.Size, torch.dtype], Geometry]

    @classmethod
    def of(cls, layer: nn.Conv2d, names: Sequence[str]) -> ChosenConv2d:
        """Return a layer that shares another's parameters.

        Args:
            layer: One for which `choosable` is true.
            names: Of the algorithms for the forward pass, the input's and the weight's gradient.

        Raises:
            KeyError: If there is no such algorithm.
        """
        chosen = cls.__new__(cls)
        chosen.__dict__ = layer.__dict__.copy()
        chosen.algorithms = {task: ALGORITHMS[name] for task, name in zip(Pass, names, strict=True)}
        chosen._geometries = {}
        return chosen

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Convolve inputs of shape (batch, channels, height, width)."""
        weight = self.weight
        if torch.is_autocast_enabled(inputs.device.type):
            dtype = torch.get_autocast_dtype(inputs.device.type)
            inputs, weight = inputs.to(dtype), weight.to(dtype)
        output: torch.Tensor = _Convolution.apply(inputs, weight, self, self._geometry(inputs))
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]

    def _geometry(self, inputs: torch.Tensor) -> Geometry:
        key = (inputs.shape, inputs.dtype)
        if key not in self._geometries:
            self._geometries[key] = Geometry.of(self, inputs.shape, inputs.dtype)
        return self._geometries[key]

    def serving(self, geometry: Geometry, task: Pass) -> Algorithm:
        """Return what computes a pass."""
        algorithm = self.algorithms[task]
        return algorithm if algorithm.serves(geometry, task) else LIBRARY


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, layer: ChosenConv2d, geometry: Geometry
    ) -> torch.Tensor:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(inputs, weight)
        ctx.layer, ctx.geometry = layer, geometry
        return layer.serving(geometry, Pass.FORWARD).forward(inputs, weight, geometry)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        inputs, weight = ctx.saved_tensors
        layer, geometry = ctx.layer, ctx.geometry
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        to_inputs = to_weight = None
        if ctx.needs_input_grad[0]:
            to_inputs = layer.serving(geometry, Pass.INPUT_GRADIENT).input_gradient(gradient, weight, geometry)
        if ctx.needs_input_grad[1]:
            to_weight = layer.serving(geometry, Pass.WEIGHT_GRADIENT).weight_gradient(gradient, inputs, geometry)
        return to_inputs, to_weight, None, None


def choosable(layer: nn.Module) -> bool:
    """Whether a layer is a plain two-dimensional convolution, padded with zeros by numbers."""
    return (
        type(layer) is nn.Conv2d
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.weight.dtype in DTYPES
    )


def install(network: nn.Module, choices: Mapping[str, Sequence[str]]) -> None:
    """Put chosen algorithms into a network's layers, by name. Its `state_dict` stays as it is.

    Args:
        network: To be changed.
        choices: Names of layers, each with those of its algorithms: forward, input gradient, weight gradient.

    Raises:
        AttributeError: If there is no layer of a name.
        KeyError: If there is no algorithm of a name.
        StudyError: If an algorithm cannot be had on this machine, though it was chosen, perhaps on another.
    """
    wanted = any(WINOGRAD.name in names for names in choices.values())
    if wanted and (reason := remark()) is not None:
        raise StudyError(
            f"this run's convolutions were chosen with {WINOGRAD.name}, and go on as they began, but {reason}; provide a C "
            "compiler, or train anew with --no-tune"
        )
    for name, names in choices.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d), name
        network.set_submodule(name, ChosenConv2d.of(layer, names))
