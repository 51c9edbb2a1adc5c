"""A convolution layer that computes each pass by the algorithm chosen for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bakeoff.errors import RunError
from bakeoff.training.convolution.algorithm import ALGORITHMS, LIBRARY, Algorithm, missing
from bakeoff.training.convolution.geometry import DTYPES, Geometry, Pass, Taps
from bakeoff.training.kernels.pending import settled


class ChosenConv2d(nn.Conv2d):
    """A `Conv2d` with the same `state_dict`, whose passes are computed by chosen algorithms.

    Where an algorithm cannot serve what it is given (pictures of another size, say), the library does.

    The parameter is `kernel`, shape (outputs, rows, columns, channels / groups): the weight as algorithms with the
    channels innermost read it, and contiguous, since PyTorch's fused optimizers copy whatever is not, which more than
    doubles the time of a step. It may hold some of the taps alone, those that ever meet a pixel: the others are part of
    the weight, but nothing of the training touches them.
    """

    algorithms: dict[Pass, Algorithm]
    kernel: nn.Parameter
    _taps: Taps
    resting: torch.Tensor | None
    """The whole weight, if the kernel holds some of it alone."""

    _geometries: dict[tuple[torch.Size, torch.dtype], Geometry]

    @classmethod
    def of(cls, layer: nn.Conv2d, names: Sequence[str], taps: Taps | None = None) -> ChosenConv2d:
        """Return a layer that takes another's place.

        Args:
            layer: One for which `choosable` is true.
            names: Of the algorithms for the forward pass, the input's and the weight's gradient.
            taps: Those that training can move; all by default.

        Raises:
            KeyError: If there is no such algorithm.
        """
        chosen = cls.__new__(cls)
        chosen.__dict__ = layer.__dict__.copy()
        chosen.algorithms = {task: ALGORITHMS[name] for task, name in zip(Pass, names, strict=True)}
        chosen._geometries = {}
        weight = layer.weight
        whole = (slice(0, layer.kernel_size[0]), slice(0, layer.kernel_size[1]))
        chosen._taps = taps or whole
        chosen.resting = None if chosen._taps == whole else weight.detach().clone()
        kernel = nn.Parameter(chosen.cut(weight.detach()), weight.requires_grad)
        chosen._parameters = {"kernel": kernel, "bias": layer._parameters["bias"]}
        return chosen

    def cut(self, weight: torch.Tensor) -> torch.Tensor:
        """Return of a tensor of the weight's shape what belongs to the kernel, in the kernel's shape."""
        return weight.permute(0, 2, 3, 1)[:, self._taps[0], self._taps[1]].contiguous()

    def whole(self, kernel: torch.Tensor, rest: torch.Tensor | None) -> torch.Tensor:
        """Return a tensor of the kernel's shape in the weight's, with `rest` for taps that the kernel does not hold."""
        if rest is None:
            return kernel.permute(0, 3, 1, 2)
        weight = rest.detach().clone()
        weight[:, :, self._taps[0], self._taps[1]] = kernel.permute(0, 3, 1, 2)
        return weight

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        """The weight, shape (outputs, channels / groups, kernel height, kernel width)."""
        return self.whole(self.kernel, self.resting)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Convolve inputs of shape (batch, channels, height, width), or one picture without the batch."""
        inputs = settled(inputs)
        if inputs.ndim == 3:
            return self.forward(inputs[None])[0]
        geometry = self._geometry(inputs.shape, inputs.dtype)
        weight = self._read(geometry.taps)
        if torch.is_autocast_enabled(inputs.device.type):
            dtype = torch.get_autocast_dtype(inputs.device.type)
            inputs, weight = inputs.to(dtype), weight.to(dtype)
            geometry = self._geometry(inputs.shape, dtype)
        output: torch.Tensor = _Convolution.apply(inputs, weight, self, geometry.trimmed)
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]

    def _read(self, taps: Taps) -> torch.Tensor:
        """Return these taps of the weight."""
        return self.kernel.permute(0, 3, 1, 2) if taps == self._taps else self.weight[:, :, taps[0], taps[1]]

    def _geometry(self, shape: torch.Size, dtype: torch.dtype) -> Geometry:
        key = (shape, dtype)
        if key not in self._geometries:
            self._geometries[key] = Geometry.of(self, shape, dtype)
        return self._geometries[key]

    def serving(self, geometry: Geometry, task: Pass) -> Algorithm:
        """Return what computes a pass."""
        algorithm = self.algorithms[task]
        return algorithm if geometry.batch > 0 and algorithm.serves(geometry, task) else LIBRARY

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight if keep_vars else self.weight.detach()
        if self.bias is not None:
            destination[f"{prefix}bias"] = self.bias if keep_vars else self.bias.detach()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        own = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
        weight = own.pop(f"{prefix}weight", None)
        if weight is not None:
            own[f"{prefix}kernel"] = self.cut(weight)
            if self.resting is not None:
                self.resting.copy_(weight)
        super()._load_from_state_dict(own, prefix, *arguments)


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
    """Whether a layer is a plain two-dimensional convolution, padded with zeros by numbers.

    Its parameters are weight and bias: `nn.utils.weight_norm` and its like put others in their place, and compute a
    weight from them before each call.
    """
    return (
        type(layer) is nn.Conv2d
        and layer._parameters.keys() == {"weight", "bias"}
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.weight.dtype in DTYPES
    )


def choosable_layers(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Return by name the layers of a network for which algorithms can be chosen.

    A layer with two names, or with a weight that another has too, is left alone: in place of one name, and with a
    kernel of its own, it would part from the other.
    """
    modules = list(network.modules())
    places = Counter(id(child) for module in modules for child in module._modules.values())
    owners = Counter(id(parameter) for module in modules for parameter in module._parameters.values())
    return {
        name: layer
        for name, layer in network.named_modules()
        if choosable(layer)
        and isinstance(layer, nn.Conv2d)
        and places[id(layer)] == 1
        and owners[id(layer.weight)] == 1
    }


def library_for_all(network: nn.Module) -> dict[str, list[str]]:
    """Return the choice of the library for every layer that has one."""
    return {name: [LIBRARY.name] * len(Pass) for name in choosable_layers(network)}


def install(network: nn.Module, choices: Mapping[str, Sequence[str]], moving: Mapping[str, Taps] | None = None) -> None:
    """Put chosen algorithms into a network's layers, by name. Its `state_dict` stays as it is.

    Weights become other parameters, so an optimizer is built afterwards.

    Args:
        network: To be changed.
        choices: Names of layers, each with those of its algorithms: forward, input gradient, weight gradient. Layers
            for which none can be chosen are left alone.
        moving: Names of layers, each with the taps that training can move, where those are not all.

    Raises:
        AttributeError: If there is no layer of a name.
        KeyError: If there is no algorithm of a name.
        RunError: If an algorithm cannot be had on this machine, though it was chosen, perhaps on another.
    """
    for name, reason in missing({name for names in choices.values() for name in names}).items():
        raise RunError(
            f"this run's convolutions were chosen with {name}, and go on as they began, but it is left out here: {reason}; "
            "provide a C compiler, or train anew with --no-tune"
        )
    layers = choosable_layers(network)
    for name, names in choices.items():
        if network.get_submodule(name) is layers.get(name):
            network.set_submodule(name, ChosenConv2d.of(layers[name], names, (moving or {}).get(name)))


def named_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return a network's parameters by their names in its `state_dict`: a kernel goes by the name of its weight."""
    kernels = {id(layer.kernel) for layer in network.modules() if isinstance(layer, ChosenConv2d)}
    return {
        f"{name.removesuffix('kernel')}weight" if id(value) in kernels else name: value
        for name, value in network.named_parameters()
    }


def cut_alike(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors by name, as another network of the same kind has them, in the shapes of this one's parameters."""
    layers = {f"{name}.weight": layer for name, layer in network.named_modules() if isinstance(layer, ChosenConv2d)}
    return {name: layers[name].cut(value) if name in layers else value for name, value in weights.items()}


def saved_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimizer's `state_dict` in the weights' shapes, which does not depend on the choice of algorithms.

    Args:
        network: Whose parameters it moves.
        optimizer: Over its parameters. Momenta of taps that nothing moves are zero.
    """
    return _reshaped(network, optimizer, optimizer.state_dict(), _as_weight)


def load_state(network: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimizer the state that `saved_state` returned."""
    optimizer.load_state_dict(_reshaped(network, optimizer, state, ChosenConv2d.cut))


def _as_weight(layer: ChosenConv2d, value: torch.Tensor) -> torch.Tensor:
    rest = layer.resting
    return layer.whole(value, None if rest is None else torch.zeros_like(rest, dtype=value.dtype))


def _reshaped(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    shape: Callable[[ChosenConv2d, torch.Tensor], torch.Tensor],
) -> dict[str, Any]:
    """Return a state with the tensors that belong to kernels brought into another shape."""
    layers = {id(layer.kernel): layer for layer in network.modules() if isinstance(layer, ChosenConv2d)}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    reshaped = dict(state["state"])
    for number, parameter in enumerate(parameters):
        layer = layers.get(id(parameter))
        if layer is not None and number in reshaped:
            reshaped[number] = {
                key: shape(layer, value) if isinstance(value, torch.Tensor) and value.ndim == 4 else value
                for key, value in reshaped[number].items()
            }
    return state | {"state": reshaped}
