"""Depthwise convolutions in C, where each channel is filtered by itself: compiled on first use.

The library under PyTorch is quick at 3x3 kernels in float32. Its weight gradient of 5x5 and 7x7 kernels takes up to 30 times
as long as its forward pass, in bfloat16 up to 100 times.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch

from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.kernels import native
from bakeoff.training.kernels.lanes import VALUES, source

CHUNKS = 16
"""Parts of the batch whose sums are kept apart: as in depthwise.c."""

LEAST_CHANNELS = 16
"""Channels of the narrowest layer that is served: what the widest registers hold of float32."""


class Depthwise:
    """Convolutions of one filter a channel, of any shape."""

    name = "depthwise"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        return (
            geometry.depthwise
            and geometry.channels >= LEAST_CHANNELS
            and min(geometry.rows.output, geometry.columns.output) >= 1
            and geometry.dtype in VALUES
            and unavailable() is None
        )

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        output = _empty(inputs, geometry.output_shape)
        _run("forward", geometry, inputs, _taps(weight), output)
        return output

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        to_inputs = _empty(gradient, geometry.input_shape)
        _run("input_gradient", geometry, gradient, _taps(weight), to_inputs)
        return to_inputs

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        to_weight = _empty(gradient, geometry.weight_shape)
        partial = torch.empty(CHUNKS, to_weight.numel())
        _run("weight_gradient", geometry, inputs, gradient, to_weight, partial)
        return to_weight


class _Maps(ctypes.Structure):
    """`Maps` of depthwise.c."""

    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            "batch", "channels", "height", "width", "output_height", "output_width", "taps_down", "taps_across",
            "stride_down", "stride_across", "above", "before", "dilation_down", "dilation_across",
        )
    ]  # fmt: skip


def _run(function: str, geometry: Geometry, *tensors: torch.Tensor) -> None:
    rows, columns = geometry.rows, geometry.columns
    shape = _Maps(
        geometry.batch, geometry.channels, rows.size, columns.size, rows.output, columns.output, rows.kernel, columns.kernel,
        rows.stride, columns.stride, rows.padding, columns.padding, rows.dilation, columns.dilation,
    )  # fmt: skip
    laid = [one.contiguous(memory_format=torch.channels_last) if one.ndim == 4 else one for one in tensors]
    getattr(_kernels(geometry.dtype), function)(*(one.data_ptr() for one in laid), shape)


def _empty(like: torch.Tensor, shape: tuple[int, int, int, int]) -> torch.Tensor:
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def _taps(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight's taps as the kernels read them: float32, shape (rows x columns, channels)."""
    return weight.detach().flatten(1).t().float().contiguous()


@cache
def _kernels(dtype: torch.dtype) -> ctypes.CDLL:
    library = native.load(source(dtype, ("bakeoff.training.convolution", "depthwise.c")))
    for name, pointers in (("forward", 3), ("input_gradient", 3), ("weight_gradient", 4)):
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_void_p] * pointers + [_Maps], None
    return library


@cache
def unavailable() -> str | None:
    """Return why this machine cannot compute this way, or None if it can."""
    try:
        for dtype in VALUES:
            _kernels(dtype)
    except native.UnavailableError as error:
        return str(error)
    return None


DEPTHWISE = Depthwise()
