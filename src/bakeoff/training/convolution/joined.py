"""A depthwise convolution joined with the batch normalisations before and after it, and their activations.

Maps of such layers no longer fit into any cache, and there is little to compute on each value. By themselves, the three
layers fetch maps from memory sixteen times in a step and write six; joined, they fetch ten and write four, and what the
convolution reads is not kept.

Layers find each other as the network's own code calls them: a normalisation gives a `Pending`, the convolution that is given
one gives another, and the normalisation after that computes all three. If anybody else looks at a map in between, each layer
computes by itself.

The kernels need a C compiler.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from bakeoff.errors import RunError
from bakeoff.models.trial import FAILURES
from bakeoff.training.convolution.algorithm import LIBRARY
from bakeoff.training.convolution.depthwise import LEAST_CHANNELS
from bakeoff.training.convolution.geometry import Pass
from bakeoff.training.convolution.layer import ChosenConv2d, choosable_layers
from bakeoff.training.kernels import native, normalization
from bakeoff.training.kernels.activation import NONE, Activation, Curve
from bakeoff.training.kernels.lanes import VALUES, source
from bakeoff.training.kernels.normalization import (
    KEPT,
    SOURCE,
    Batch,
    FusedBatchNorm2d,
    Gradients,
    Layer,
    Normalisable,
    Parameters,
    needs_compiler,
    partial_sums,
)
from bakeoff.training.kernels.pending import Given, Pending, Source, settled

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

    @classmethod
    def of(cls, shape: torch.Size, convolution: nn.Conv2d) -> _Maps:
        """Return the shapes of inputs, (batch, channels, height, width), and of what a convolution makes of them."""
        batch, channels, height, width = shape
        taps, stride, padding = (
            int(both[0]) for both in (convolution.kernel_size, convolution.stride, convolution.padding)
        )
        outputs = ((size + 2 * padding - taps) // stride + 1 for size in (height, width))
        return cls(batch, channels, height, width, *outputs, stride, padding)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the outputs."""
        return self.batch, self.channels, self.output_height, self.output_width


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
class _Layers:
    """What is computed in one go."""

    before: FusedBatchNorm2d | None
    """What normalises the convolution's inputs, if anything does."""

    activation_before: Activation
    convolution: nn.Conv2d
    after: FusedBatchNorm2d
    activation_after: Activation

    def kernels(self, dtype: torch.dtype) -> ctypes.CDLL:
        """Return the kernels for maps of a dtype and these layers."""
        return _kernels(dtype, self.activation_after.curve, self.convolution.kernel_size[0])


@dataclass(slots=True)
class _Filtering(Normalisable):
    """What a convolution makes of maps, not computed yet."""

    convolution: JoiningConv2d
    inputs: Given
    """They may not be computed yet either."""

    dtype: torch.dtype
    """In which the convolution computes."""

    maps: _Maps

    def values(self) -> torch.Tensor:
        """Return the inputs.

        Raises:
            RunError: If they have changed since they were given.
        """
        return self.inputs.value("filtered")

    def __call__(self, added: torch.Tensor | None, activation: Activation) -> torch.Tensor:
        """Return the maps by themselves; nothing is added to them, and they are not activated."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            return ChosenConv2d.forward(self.convolution, self.values())

    def before(self) -> tuple[Batch, Activation] | None:
        """Return what normalises the inputs, and how they are activated then, if that may be computed with the convolution."""
        inputs = self.inputs.tensor
        known = inputs.source() if isinstance(inputs, Pending) else None
        if known is None or inputs.dtype is not self.dtype:
            return None
        giving, activation = known
        return (giving, activation) if isinstance(giving, Batch) and activation.curve in CURVES else None

    def normalised_by(self, layer: FusedBatchNorm2d, outputs: Pending) -> Source | None:
        """Return what computes inputs, convolution and a layer in one go, or None if that cannot be done."""
        served = layer.num_features == self.maps.channels and self.maps.can_be_normalised(
            inputs=self.before() is not None
        )
        return _Joining(self, layer, Given(outputs)) if served else None


@dataclass(slots=True)
class _Joining:
    """What a normalisation makes of a convolution's outputs, neither being computed yet."""

    filtering: _Filtering
    after: FusedBatchNorm2d
    outputs: Given
    """Of the convolution."""

    counted: bool = False
    """Whether running statistics have followed the batch."""

    def __call__(self, added: torch.Tensor | None, activation: Activation) -> torch.Tensor:
        """Return the maps normalised, with others added to them, and activated."""
        self.outputs.check("normalised")
        if added is None and activation.curve in CURVES and not self.counted:
            self.counted = True
            return self._together(activation)
        batch = Batch(self.after, self.outputs, counted=self.counted)
        self.counted = True
        return batch(added, activation)

    def _together(self, activation: Activation) -> torch.Tensor:
        self.filtering.inputs.check("filtered")
        known, convolution = self.filtering.before(), self.filtering.convolution
        if known is not None and known[1].curve == activation.curve and not known[0].counted:
            batch, activation_before = known
            inputs, before = batch.values(), batch.layer
            batch.counted = True
        else:
            inputs, before, activation_before = self.filtering.values(), None, NONE
        layers = _Layers(before, activation_before, convolution, self.after, activation)
        first = (None, None) if before is None else (before.weight, before.bias)
        second = (self.after.weight, self.after.bias)
        convolution.joined = True
        output: torch.Tensor = _Joined.apply(
            inputs.to(self.filtering.dtype), *first, convolution.weight, *second, layers
        )
        return output


class JoiningConv2d(ChosenConv2d):
    """A depthwise convolution that is computed with the normalisations around it, wherever there are any in training."""

    joined: bool
    """Whether it ever was."""

    @classmethod
    def taking(cls, layer: nn.Conv2d) -> JoiningConv2d:
        """Return a layer that takes another's place."""
        chosen = layer if isinstance(layer, ChosenConv2d) else ChosenConv2d.of(layer, [LIBRARY.name] * len(Pass))
        joining = cls.__new__(cls)
        joining.__dict__ = chosen.__dict__.copy()
        joining.joined = False
        return joining

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Convolve inputs of shape (batch, channels, height, width)."""
        dtype = _dtype_of_convolutions(inputs)
        waits = (
            self.training
            and torch.is_grad_enabled()
            and not (self._backward_hooks or self._backward_pre_hooks)
            and inputs.device.type == "cpu"
            and dtype in VALUES
            and inputs.ndim == 4
            and inputs.shape[1] == self.in_channels
        )
        maps = _Maps.of(inputs.shape, self) if waits else None
        if maps is None or not maps.can_be_normalised(inputs=False):
            return super().forward(inputs)
        return Pending.of(maps.output_shape, dtype, _Filtering(self, Given(inputs), dtype, maps), waits=False)


def _dtype_of_convolutions(inputs: torch.Tensor) -> torch.dtype:
    """Return the dtype in which a convolution would compute on some inputs."""
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype


class _Joined(torch.autograd.Function):
    """Layers as one operation: of maps, both normalisations' weights and biases, and the filters."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        before_weight: torch.Tensor | None,
        before_bias: torch.Tensor | None,
        weight: torch.Tensor,
        after_weight: torch.Tensor,
        after_bias: torch.Tensor,
        layers: _Layers,
    ) -> torch.Tensor:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        kernels, maps = layers.kernels(inputs.dtype), _Maps.of(inputs.shape, layers.convolution)
        threads = min(torch.get_num_threads(), maps.batch)
        middle, output = (
            torch.empty(maps.output_shape, dtype=inputs.dtype, memory_format=torch.channels_last) for _ in range(2)
        )
        taps = weight.to(inputs.dtype).flatten(1).t().float().contiguous()
        before, after = layers.before, layers.after
        first = Layer(channels=maps.channels) if before is None else before.settings(inputs, layers.activation_before)
        second = after.settings(output, layers.activation_after)
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
        ctx.layers, ctx.maps, ctx.first, ctx.second = layers, maps, first, second
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, middle, taps, kept_before, kept_after = ctx.saved_tensors
        layers, maps, second = ctx.layers, ctx.maps, ctx.second
        kernels, threads = layers.kernels(inputs.dtype), min(torch.get_num_threads(), maps.batch)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        curved = layers.activation_after.curve is not None
        to_inputs, to_taps = torch.empty_like(inputs), torch.empty_like(taps)
        before, after = Gradients(maps.channels), Gradients(maps.channels)
        tensors = (
            inputs, middle, gradient, torch.empty_like(gradient) if curved else gradient, to_inputs, taps, to_taps,
            torch.zeros(maps.batch, len(taps), -(-maps.channels // LEAST_CHANNELS) * LEAST_CHANNELS),
            None if layers.before is None else kept_before, kept_after, partial_sums(second),
            _sums(maps), torch.zeros(threads, kernels.scratch_length(maps)),
        )  # fmt: skip
        pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
        kernels.joined_backward(*pointers, threads, before, after, maps, ctx.first, second)
        to_weight = to_taps.t().reshape(maps.channels, 1, *layers.convolution.kernel_size)
        found = (to_inputs, *before.tensors[:2], to_weight, *after.tensors[:2])
        return *(value if needed else None for value, needed in zip(found, ctx.needs_input_grad, strict=False)), None


def _sums(maps: _Maps) -> torch.Tensor:
    """Return room for two sums of each channel over each picture."""
    return torch.zeros(maps.batch, 2, maps.channels, dtype=torch.float64)


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


def joinable(network: nn.Module, size: int) -> list[str]:
    """Return the names of the convolutions that training computes with the normalisations around them, in order.

    The network itself stays as it is; a copy of it takes two blank pictures.

    Args:
        network: On the processor.
        size: Side of the pictures in pixels.
    """
    if not any(map(_filters, network.modules())):  # then nothing needs to be compiled to know
        return []
    if normalization.unavailable() is not None or unavailable() is not None:
        return []
    network = copy.deepcopy(network).train()
    normalization.install(network, waits=True)
    join(network)
    # A network that two blank pictures are too few for, say, is told of where it trains.
    with torch.random.fork_rng(devices=[]), contextlib.suppress(*FAILURES, RunError):
        settled(network(torch.zeros(2, 3, size, size)))
    return [name for name, layer in network.named_modules() if isinstance(layer, JoiningConv2d) and layer.joined]


def join(network: nn.Module) -> None:
    """Have training compute a network's depthwise convolutions with the normalisations around them.

    Its normalisations must have been told to wait, and its convolutions put in place before. Its `state_dict` stays as it is.

    Raises:
        RunError: If there is a convolution that could be joined, and this machine cannot compute this way.
    """
    own = choosable_layers(network)
    for name, layer in list(network.named_modules()):
        if not _filters(layer) or not (name in own or isinstance(layer, ChosenConv2d)):
            continue
        assert isinstance(layer, nn.Conv2d)
        if (reason := unavailable()) is not None:
            raise RunError(needs_compiler(reason))
        network.set_submodule(name, JoiningConv2d.taking(layer))
