"""A depthwise convolution joined with the batch normalisations before and after it, and their activations.

Maps of such layers no longer fit into any cache, and there is little to compute on each value. By themselves, the three
layers fetch maps from memory sixteen times in a step and write six; joined, they fetch ten and write four, and what the
convolution reads is not kept.

The kernels need a C compiler.
"""

from __future__ import annotations

import copy
import ctypes
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeGuard

import torch
from torch import nn

from bakeoff.errors import RunError
from bakeoff.training.convolution.depthwise import LEAST_CHANNELS
from bakeoff.training.convolution.layer import ChosenConv2d
from bakeoff.training.kernels import native, normalization
from bakeoff.training.kernels.activation import Curve
from bakeoff.training.kernels.lanes import VALUES, source
from bakeoff.training.kernels.normalization import (
    KEPT,
    SOURCE,
    FusedBatchNorm2d,
    Gradients,
    Layer,
    Parameters,
    needs_compiler,
    partial_sums,
)
from bakeoff.training.kernels.pending import settled

SIZES = (3, 5)
"""Taps in a row of the kernels that are served."""

STRIDES = (1, 2)
CURVES: tuple[Curve | None, ...] = (None, "silu")
"""Activations that are served beside those that clip."""


class _Maps(ctypes.Structure):
    """`Maps` of joined.c."""

    _fields_ = [
        (name, ctypes.c_long)
        for name in ("batch", "channels", "height", "width", "output_height", "output_width", "stride", "padding")
    ]

    def can_be_normalised(self, *, inputs: bool) -> bool:
        """Whether there is more than one output of each channel, and more than one input where that is asked."""
        down, across = self.output_height, self.output_width
        several = down > 0 and across > 0 and self.batch * down * across > 1
        return bool(several and (not inputs or self.batch * self.height * self.width > 1))


@cache
def _kernels(dtype: torch.dtype, curve: Curve | None, taps: int) -> ctypes.CDLL:
    defined = f"#define TAPS {taps}\n" + ("" if curve is None else f"#define {curve.upper()}\n")
    own = ("bakeoff.training.convolution", "joined.c")
    library = native.load(source(dtype, SOURCE, own, defined=defined))
    pointer, number = ctypes.c_void_p, ctypes.c_long
    layers = [_Maps, Layer, Layer]
    library.scratch_length.argtypes, library.scratch_length.restype = [_Maps], number
    library.joined_forward.argtypes = [*[pointer] * 8, number, Parameters, Parameters, *layers]
    library.joined_backward.argtypes = [*[pointer] * 13, number, Gradients, Gradients, *layers]
    library.joined_forward.restype = library.joined_backward.restype = None
    return library


@cache
def unavailable() -> str | None:
    """Return why this machine cannot compute this way, or None if it can."""
    variants = list(itertools.product(VALUES, CURVES, SIZES))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # compilers are processes of their own
        for variant in [pool.submit(_kernels, *one) for one in variants]:
            try:
                variant.result()
            except native.UnavailableError as error:
                return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Joined:
    """Layers that follow each other in a network, computed in one go."""

    before: FusedBatchNorm2d | None
    """What normalises and activates the convolution's inputs, if anything does."""

    convolution: nn.Conv2d
    after: FusedBatchNorm2d

    @property
    def layers(self) -> list[nn.Module]:
        """The layers in order."""
        return [layer for layer in (self.before, self.convolution, self.after) if layer is not None]

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layers make of inputs of shape (batch, channels, height, width)."""
        inputs = settled(inputs)
        if not self._serves(inputs):
            for layer in self.layers:
                inputs = layer(inputs)
            return inputs
        inputs = inputs.to(_dtype_of_convolutions(inputs))
        before = (None, None) if self.before is None else (self.before.weight, self.before.bias)
        after = (self.after.weight, self.after.bias)
        output: torch.Tensor = _Joined.apply(inputs, *before, self.convolution.weight, *after, self)
        return output

    def _serves(self, inputs: torch.Tensor) -> bool:
        """Whether such inputs are computed in one go: in training, on the CPU, where nobody watches a single layer."""
        dtype = _dtype_of_convolutions(inputs)
        return (
            inputs.device.type == "cpu"
            and dtype in VALUES
            and (self.before is None or inputs.dtype is dtype)
            and inputs.shape[1] == self.convolution.in_channels
            and torch.is_grad_enabled()
            and all(layer.training and not _is_watched(layer) for layer in self.layers)
            and self.maps(inputs).can_be_normalised(inputs=self.before is not None)
        )

    def maps(self, inputs: torch.Tensor) -> _Maps:
        """Return the shapes of inputs and outputs as the kernels read them."""
        batch, channels, height, width = inputs.shape
        taps, stride, padding = (
            int(both[0]) for both in (self.convolution.kernel_size, self.convolution.stride, self.convolution.padding)
        )
        outputs = ((size + 2 * padding - taps) // stride + 1 for size in (height, width))
        return _Maps(batch, channels, height, width, *outputs, stride, padding)

    def kernels(self, dtype: torch.dtype) -> ctypes.CDLL:
        """Return the kernels for maps of a dtype and these layers."""
        return _kernels(dtype, self.after.activation.curve, self.convolution.kernel_size[0])


def _dtype_of_convolutions(inputs: torch.Tensor) -> torch.dtype:
    """Return the dtype in which a convolution would compute on some inputs."""
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype


class _Joined(torch.autograd.Function):
    """The layers of a `Joined` as one operation: of maps, both normalisations' weights and biases, and the filters."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        before_weight: torch.Tensor | None,
        before_bias: torch.Tensor | None,
        weight: torch.Tensor,
        after_weight: torch.Tensor,
        after_bias: torch.Tensor,
        joined: Joined,
    ) -> torch.Tensor:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        kernels, maps = joined.kernels(inputs.dtype), joined.maps(inputs)
        threads = min(torch.get_num_threads(), maps.batch)
        shape = (maps.batch, maps.channels, maps.output_height, maps.output_width)
        middle, output = (torch.empty(shape, dtype=inputs.dtype, memory_format=torch.channels_last) for _ in range(2))
        taps = weight.to(inputs.dtype).flatten(1).t().float().contiguous()
        before, after = joined.before, joined.after
        first = Layer(channels=maps.channels) if before is None else before.settings(inputs, before.activation)
        second = after.settings(output, after.activation)
        kept_before, kept_after = torch.empty(2, KEPT, maps.channels)
        tensors = (
            inputs, middle, output, taps, torch.zeros(maps.channels, dtype=inputs.dtype), partial_sums(first),
            _sums(maps), torch.zeros(threads, kernels.scratch_length(maps)),
        )  # fmt: skip
        kernels.joined_forward(
            *(tensor.data_ptr() for tensor in tensors),
            threads,
            Parameters() if before is None else before.parameters_with(kept_before),
            after.parameters_with(kept_after),
            maps,
            first,
            second,
        )
        for layer in (before, after):
            if layer is not None:
                layer.count_batch()
        ctx.save_for_backward(inputs, middle, taps, kept_before, kept_after)
        ctx.joined, ctx.maps, ctx.first, ctx.second = joined, maps, first, second
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, middle, taps, kept_before, kept_after = ctx.saved_tensors
        joined, maps, second = ctx.joined, ctx.maps, ctx.second
        kernels, threads = joined.kernels(inputs.dtype), min(torch.get_num_threads(), maps.batch)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        curved = joined.after.activation.curve is not None
        to_inputs, to_taps = torch.empty_like(inputs), torch.empty_like(taps)
        before, after = Gradients(maps.channels), Gradients(maps.channels)
        tensors = (
            inputs, middle, gradient, torch.empty_like(gradient) if curved else gradient, to_inputs, taps, to_taps,
            torch.zeros(maps.batch, len(taps), -(-maps.channels // LEAST_CHANNELS) * LEAST_CHANNELS),
            None if joined.before is None else kept_before, kept_after, partial_sums(second),
            _sums(maps), torch.zeros(threads, kernels.scratch_length(maps)),
        )  # fmt: skip
        pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
        kernels.joined_backward(*pointers, threads, before, after, maps, ctx.first, second)
        to_weight = to_taps.t().reshape(maps.channels, 1, *joined.convolution.kernel_size)
        found = (to_inputs, *before.tensors[:2], to_weight, *after.tensors[:2])
        return *(value if needed else None for value, needed in zip(found, ctx.needs_input_grad, strict=False)), None


def _sums(maps: _Maps) -> torch.Tensor:
    """Return room for two sums of each channel over each picture."""
    return torch.zeros(maps.batch, 2, maps.channels, dtype=torch.float64)


class JoiningSequential(nn.Sequential):
    """A `Sequential` with the same `state_dict` that computes what can be joined in one go, whichever layers it lies in."""

    @classmethod
    def of(cls, layers: nn.Sequential) -> JoiningSequential:
        """Return one of another's layers."""
        joining = cls.__new__(cls)
        joining.__dict__ = layers.__dict__.copy()
        return joining

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Apply the layers in order."""
        for step in _steps(self):
            inputs = step(inputs)
        return inputs


def _steps(layers: nn.Sequential) -> Iterator[nn.Module | Joined]:
    """Yield what a `Sequential` does, in order: layers, joined where they can be."""
    left = list(_in_order(layers))
    while left:
        joined = _joined_at_start(left)
        yield joined or left[0]
        del left[: 1 if joined is None else len(joined.layers)]


def _in_order(layers: nn.Sequential) -> Iterator[nn.Module]:
    """Yield the layers of a `Sequential` and of those in it, less those that do nothing."""
    for layer in layers:
        if _is_sequential(layer) and not _is_watched(layer):
            yield from _in_order(layer)
        elif type(layer) is not nn.Identity or _is_watched(layer):
            yield layer


def _is_sequential(layer: nn.Module) -> TypeGuard[nn.Sequential]:
    return isinstance(layer, nn.Sequential) and type(layer).forward in (
        nn.Sequential.forward,
        JoiningSequential.forward,
    )


def _is_watched(layer: nn.Module) -> bool:
    """Whether somebody is told of each call of a layer by itself."""
    hooks = (
        layer._forward_pre_hooks, layer._forward_hooks, layer._backward_pre_hooks, layer._backward_hooks,
    )  # fmt: skip
    return any(hooks)


def _joined_at_start(layers: list[nn.Module]) -> Joined | None:
    """Return the first layers joined, if they can be."""
    first = layers[0]
    if isinstance(first, FusedBatchNorm2d) and len(layers) > 1:
        before, (convolution, *rest) = first, layers[1:3]
    else:
        before, (convolution, *rest) = None, layers[:2]
    after = rest[0] if rest else None
    if not isinstance(after, FusedBatchNorm2d) or not _filters(convolution):
        return None
    assert isinstance(convolution, nn.Conv2d)
    curve = after.activation.curve
    if curve not in CURVES or (before is not None and before.activation.curve != curve):
        return None
    if any(layer.num_features != convolution.in_channels for layer in (before, after) if layer is not None):
        return None
    return Joined(before, convolution, after)


def _filters(layer: nn.Module) -> bool:
    """Whether a layer is a depthwise convolution that the kernels know."""
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer) in (nn.Conv2d, ChosenConv2d)
        and layer.groups == layer.in_channels == layer.out_channels >= LEAST_CHANNELS
        and layer.bias is None
        and layer.kernel_size in [(size, size) for size in SIZES]
        and layer.stride in [(stride, stride) for stride in STRIDES]
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.padding[0] == layer.padding[1] < layer.kernel_size[0]
    )


def joinable(network: nn.Module) -> list[str]:
    """Return the names of the convolutions that `join` computes with the normalisations around them, in order.

    The network itself stays as it is.
    """
    if normalization.unavailable() is not None or unavailable() is not None:
        return []
    network = copy.deepcopy(network)
    names = {id(layer): name for name, layer in network.named_modules()}
    normalization.install(network)
    join(network)
    sequences = [layer for layer in network.modules() if isinstance(layer, JoiningSequential)]
    return [names[id(step.convolution)] for layers in sequences for step in _steps(layers) if isinstance(step, Joined)]


def join(network: nn.Module) -> None:
    """Join what can be of a network's layers, wherever they follow each other in a `Sequential` within it.

    Its convolutions and normalisations must have been put in place before. Its `state_dict` stays as it is.

    Raises:
        RunError: If there is something to join, and this machine cannot compute this way.
    """
    for name, layer in list(network._modules.items()):
        if layer is None:
            continue
        if type(layer) is nn.Sequential and any(isinstance(step, Joined) for step in _steps(layer)):
            if (reason := unavailable()) is not None:
                raise RunError(needs_compiler(reason))
            network._modules[name] = layer = JoiningSequential.of(layer)
            for step in _steps(layer):
                if isinstance(step, nn.Module):
                    join(step)
        else:
            join(layer)
