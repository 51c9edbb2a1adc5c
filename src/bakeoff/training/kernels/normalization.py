"""Batch normalisation with the activation after it, in as few passes over memory as can be.

Networks of depthwise convolutions spend half their time on normalising and clipping maps that no longer fit into any
cache. PyTorch does each by itself; here one pass measures, one normalises and clips, and the way back takes two more.
Whether an activation let a value pass is computed again from the normalisation's input, so that nothing is kept for it.

A network's own code may add maps to the output, and activate the sum. In training a layer may wait for that, and compute it
in the same passes: pending.py. Its running statistics follow a batch when the output is first looked at.

The kernels need a C compiler; without one, PyTorch's own layers stay.
"""

from __future__ import annotations

import ctypes
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import torch
from torch import nn

from bakeoff.errors import RunError
from bakeoff.training.kernels import native
from bakeoff.training.kernels.activation import NONE, RELU, Activation, Curve
from bakeoff.training.kernels.lanes import VALUES, source
from bakeoff.training.kernels.pending import Given, Pending, Source, settled

CHUNK = 512
"""Rows that the kernels sum in float32: as in normalization.c."""

SOURCE = ("bakeoff.training.kernels", "normalization.c")
"""Where the kernels' text is, for kernels that build on them."""

KEPT = 5
"""Numbers for each channel that the way back needs: as in `Kept` of normalization.c."""


class Layer(ctypes.Structure):
    """`Layer` of normalization.c."""

    _fields_ = [
        ("rows", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
        ("momentum", ctypes.c_float),
        ("epsilon", ctypes.c_float),
    ]


class Parameters(ctypes.Structure):
    """`Parameters` of normalization.c."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("weight", "bias", "running_mean", "running_variance", "kept")]


class Gradients(ctypes.Structure):
    """`Gradients` of normalization.c, with the tensors that it points into."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("to_weight", "to_bias", "slope", "constant")]

    def __init__(self, channels: int) -> None:
        self.tensors = torch.empty(4, channels)
        super().__init__(*(tensor.data_ptr() for tensor in self.tensors))


@cache
def _kernels(dtype: torch.dtype, curve: Curve | None) -> ctypes.CDLL:
    defined = "" if curve is None else f"#define {curve.upper()}\n"
    library = native.load(source(dtype, SOURCE, defined=defined))
    for name, pointers, structures in (("forward", 4, [Parameters]), ("apply", 6, []), ("backward", 7, [Gradients])):
        getattr(library, name).argtypes = [ctypes.c_void_p] * pointers + [*structures, Layer]
        getattr(library, name).restype = None
    return library


@cache
def unavailable() -> str | None:
    """Return why this machine cannot compute this way, or None if it can."""
    try:
        for dtype, curve in itertools.product(VALUES, (None, *get_args(Curve))):
            _kernels(dtype, curve)
    except native.UnavailableError as error:
        return str(error)
    return None


class Normalisable(ABC):
    """What computes maps that a normalisation follows, and may compute that with them."""

    @abstractmethod
    def normalised_by(self, layer: FusedBatchNorm2d, outputs: Pending) -> Source | None:
        """Return what computes maps and normalises them in one go, or None if that cannot be done.

        Args:
            layer: What takes the maps, in training.
            outputs: The maps as it is given them, for when they are needed by themselves.
        """


class FusedBatchNorm2d(nn.BatchNorm2d):
    """A `BatchNorm2d` with the same `state_dict`, and perhaps the activation after it."""

    activation: Activation
    """What is done to the output."""

    waits: bool
    """Whether training computes the output once it is known what is done with it: a `Pending`."""

    @classmethod
    def of(cls, layer: nn.BatchNorm2d, activation: Activation, *, waits: bool) -> FusedBatchNorm2d:
        """Return a layer that shares another's parameters and running statistics."""
        fused = cls.__new__(cls)
        fused.__dict__ = layer.__dict__.copy()
        fused._modules = {}  # of timm's, the activation that is done here now
        fused.activation, fused.waits = activation, waits
        return fused

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalise inputs of shape (batch, channels, height, width), by the batch in training."""
        watched = bool(self._backward_hooks or self._backward_pre_hooks)
        waits = self.training and self.waits and torch.is_grad_enabled() and not watched
        if waits and (joined := self._with_what_gives(inputs)) is not None:
            return Pending.of(inputs.shape, inputs.dtype, joined, self.activation)
        inputs = settled(inputs)
        served = (
            inputs.device.type == "cpu"
            and inputs.dtype in VALUES
            and inputs.ndim == 4
            and inputs.shape[1] == self.num_features
            and inputs.numel() // self.num_features > 1
        )
        if not served or (not self.training and torch.is_grad_enabled()):
            return self._plain(inputs)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        if not self.training:
            return self._by_running_statistics(inputs)
        batch = Batch(self, Given(inputs))
        return Pending.of(inputs.shape, inputs.dtype, batch, self.activation) if waits else batch(None, self.activation)

    def _with_what_gives(self, inputs: torch.Tensor) -> Source | None:
        """Return what computes this layer together with its inputs, if they are not there yet and that can be done."""
        if not isinstance(inputs, Pending) or (known := inputs.source()) is None:
            return None
        giving, _ = known
        return giving.normalised_by(self, inputs) if isinstance(giving, Normalisable) else None

    def _plain(self, inputs: torch.Tensor) -> torch.Tensor:
        output = super().forward(inputs)
        return output if self.activation == NONE else self.activation(output)

    def _by_running_statistics(self, inputs: torch.Tensor) -> torch.Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        output = torch.empty_like(inputs)
        pointers = _pointers(inputs, None, output, scale, self.running_mean, self.bias)
        _kernels(inputs.dtype, self.activation.curve).apply(*pointers, self.settings(inputs, self.activation))
        return output

    def settings(self, inputs: torch.Tensor, activation: Activation) -> Layer:
        """Return what the kernels must know of this layer for such inputs, and what follows it."""
        channels = inputs.shape[1]
        low, high = (_rounded(bound, inputs.dtype) for bound in (activation.low, activation.high))
        return Layer(inputs.numel() // channels, channels, low, high, self.momentum, self.eps)

    def parameters_with(self, kept: torch.Tensor) -> Parameters:
        """Return where the kernels find this layer's parameters and statistics, and may keep what the way back needs.

        Args:
            kept: Shape (`KEPT`, channels).
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        tensors = (self.weight, self.bias, self.running_mean, self.running_var, kept)
        return Parameters(*(tensor.data_ptr() for tensor in tensors))

    def count_batch(self) -> None:
        """Note that a batch was seen in training."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)


@dataclass(slots=True)
class Batch:
    """A batch that a layer is given in training."""

    layer: FusedBatchNorm2d
    inputs: Given
    counted: bool = False
    """Whether the running statistics have followed it."""

    def values(self) -> torch.Tensor:
        """Return the inputs.

        Raises:
            RunError: If they have changed since they were given.
        """
        return self.inputs.value("normalised")

    def __call__(self, added: torch.Tensor | None, activation: Activation) -> torch.Tensor:
        """Return the batch normalised, with other maps added to it, and activated."""
        layer = self.layer
        output: torch.Tensor = _Normalization.apply(self.values(), layer.weight, layer.bias, added, self, activation)
        self.counted = True
        return output


class _Normalization(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        added: torch.Tensor | None,
        batch: Batch,
        activation: Activation,
    ) -> torch.Tensor:
        layer, output = batch.layer, torch.empty_like(inputs)
        settings, kernels = layer.settings(inputs, activation), _kernels(inputs.dtype, activation.curve)
        kept, partial = torch.empty(KEPT, settings.channels), partial_sums(settings)
        if batch.counted:
            settings.momentum = 0.0
        else:
            layer.count_batch()
        if added is not None:
            added = added.contiguous(memory_format=torch.channels_last)
        kernels.forward(*_pointers(inputs, added, output, partial), layer.parameters_with(kept), settings)
        ctx.save_for_backward(inputs, kept, _told_by(activation, added, output))
        ctx.kernels, ctx.settings, ctx.plain = kernels, settings, activation == NONE
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, kept, known = ctx.saved_tensors
        gradient, settings = gradient.contiguous(memory_format=torch.channels_last), ctx.settings
        to_inputs, found = torch.empty_like(inputs), Gradients(settings.channels)
        to_added = None if known is None else torch.empty_like(inputs)
        passing, partial = to_inputs if to_added is None else to_added, partial_sums(settings)
        pointers = _pointers(inputs, known, gradient, passing, to_inputs, kept, partial)
        ctx.kernels.backward(*pointers, found, settings)
        to_weight, to_bias, *_ = found.tensors
        grads = (to_inputs, to_weight, to_bias, gradient if ctx.plain else to_added)
        return (
            *(value if needed else None for value, needed in zip(grads, ctx.needs_input_grad, strict=False)),
            None,
            None,
        )


def _told_by(activation: Activation, added: torch.Tensor | None, output: torch.Tensor) -> torch.Tensor | None:
    """Return what tells which gradient passes where something was added: what clips has outputs that tell it.

    PyTorch keeps the outputs of a ReLU, too, and so does most often the next layer: a write into them is refused there as here.
    Of other outputs, and of what was added before a curve, a copy is kept.
    """
    if added is None or activation == NONE:
        return None
    if activation.curve is not None:
        return added.clone()
    return output if activation == RELU else output.clone()


def _pointers(*tensors: torch.Tensor | None) -> Iterator[int | None]:
    """Yield where the kernels find each tensor, which must be kept until they are through; nothing for None."""
    return (None if tensor is None else tensor.data_ptr() for tensor in tensors)


@cache
def _rounded(value: float, dtype: torch.dtype) -> float:
    """Return a number as maps of a dtype hold it."""
    return float(torch.tensor(value, dtype=dtype))


def partial_sums(settings: Layer) -> torch.Tensor:
    """Return room for the sums over each chunk of rows."""
    return torch.empty(2 * -(-settings.rows // CHUNK), settings.channels)


def fusable(layer: nn.Module) -> bool:
    """Whether a layer is a plain batch normalisation, or timm's with its activation, with weights and running statistics."""
    return (
        isinstance(layer, nn.BatchNorm2d)
        and (type(layer) is nn.BatchNorm2d or _own_activation(layer) is not None)
        and layer.affine
        and layer.track_running_stats
        and layer.momentum is not None
        and layer.weight.dtype is torch.float32
    )


def _own_activation(layer: nn.Module) -> Activation | None:
    """Return what timm's `BatchNormAct2d` does once it has normalised; None for other layers, and if the kernels cannot."""
    kind = type(layer)
    if kind.__name__ != "BatchNormAct2d" or not kind.__module__.startswith("timm."):
        return None
    drop, activation = layer.get_submodule("drop"), layer.get_submodule("act")
    if type(drop) is not nn.Identity:
        return None
    return NONE if type(activation) is nn.Identity else Activation.of(activation)


def needs_compiler(reason: str) -> str:
    """Return what to say where a run began with kernels that cannot be had now."""
    return (
        f"this run began with compiled batch normalisation, and goes on as it began, but {reason}; provide a C compiler, or "
        "train anew with --no-tune"
    )


def install(network: nn.Module, *, waits: bool = False) -> None:
    """Normalise a network's maps by these kernels, with the activation that follows one directly in a `Sequential`.

    timm's layers that normalise and activate are taken whole.

    Args:
        network: To be changed.
        waits: Whether training also computes with a normalisation what is added to it and an activation, wherever they are
            called.

    Its `state_dict` stays as it is.

    Raises:
        RunError: If this machine cannot compute this way.
    """
    if (reason := unavailable()) is not None:
        raise RunError(needs_compiler(reason))
    for parent in list(network.modules()):
        names = list(parent._modules)
        for name, follower in itertools.zip_longest(names, names[1:]):
            layer = parent._modules[name]
            if layer is None or not fusable(layer):
                continue
            assert isinstance(layer, nn.BatchNorm2d)
            in_order = type(parent).forward is nn.Sequential.forward and type(layer) is nn.BatchNorm2d
            after = parent._modules[follower] if follower is not None and in_order else None
            activation = Activation.of(after)
            parent._modules[name] = FusedBatchNorm2d.of(
                layer, activation or _own_activation(layer) or NONE, waits=waits
            )
            if activation is not None:
                assert follower is not None
                parent._modules[follower] = nn.Identity()
