"""A strided convolution as one at stride 1 over the phases of its input, by Winograd's minimal filtering.

A kernel that moves `stride` pixels at a time meets each pixel at one phase: the pixel's place in blocks of stride x stride. With
a block's pixels as channels of one, the convolution has stride 1 and as many taps a side as the kernel reaches blocks. An 11x11
kernel at stride 4 becomes a 3x3 one of 16 times the channels. The taps that are added, up to a whole block, are zero; where they
cost less than Winograd's way saves is found by measuring.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources

import torch
from torch.nn import functional as F

from bakeoff.training.convolution import winograd
from bakeoff.training.convolution.geometry import Axis, Geometry, Pass
from bakeoff.training.convolution.tilewise import CHANNELS, TILEWISE
from bakeoff.training.convolution.winograd import REALS, WINOGRAD, Winograd
from bakeoff.training.kernels import native


class Phases:
    """Strided convolutions in one group whose kernel reaches as many blocks down as across, 2 to 5."""

    name = "phases"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        rows, columns = geometry.rows, geometry.columns
        return (
            geometry.groups == 1
            and rows.stride == columns.stride > 1
            and rows.dilation == columns.dilation == 1
            and WINOGRAD.serves(_by_blocks(geometry), task)
            and _own_unavailable(geometry.dtype) is None
        )

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        blocks, way = _by_blocks(geometry), _way(geometry, Pass.FORWARD)
        return way.forward(_blocks(inputs, geometry), _kernels_of_blocks(weight, geometry), blocks)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        blocks, way = _by_blocks(geometry), _way(geometry, Pass.INPUT_GRADIENT)
        return _pixels(way.input_gradient(gradient, _kernels_of_blocks(weight, geometry), blocks), geometry)

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        blocks, way = _by_blocks(geometry), _way(geometry, Pass.WEIGHT_GRADIENT)
        return _kernels_of_pixels(way.weight_gradient(gradient, _blocks(inputs, geometry), blocks), geometry)


def _way(geometry: Geometry, task: Pass) -> Winograd:
    blocks = _by_blocks(geometry)
    return TILEWISE if TILEWISE.serves(blocks, task) else WINOGRAD


@lru_cache(maxsize=256)
def _by_blocks(geometry: Geometry) -> Geometry:
    """Return the convolution at stride 1 that a strided one is over blocks of pixels.

    Channels that fill whole registers are added, all zero.
    """
    rows, columns = (
        Axis(axis.output + _reached(axis) - 1, _reached(axis), stride=1, padding=0, dilation=1)
        for axis in (geometry.rows, geometry.columns)
    )
    channels = -(-geometry.channels * geometry.rows.stride**2 // CHANNELS) * CHANNELS
    return replace(geometry, channels=channels, rows=rows, columns=columns)


def _reached(axis: Axis) -> int:
    """Return how many blocks a kernel reaches."""
    return -(-axis.kernel // axis.stride)


class _Blocks(ctypes.Structure):
    """`Blocks` of phases.c."""

    _fields_ = [
        (name, ctypes.c_long)
        for name in ("batch", "height", "width", "channels", "down", "across", "stride", "filled", "above", "before")
    ]

    @classmethod
    def of(cls, geometry: Geometry) -> _Blocks:
        """Return how the inputs of a strided convolution are divided."""
        rows, columns, blocks = geometry.rows, geometry.columns, _by_blocks(geometry)
        sizes = geometry.batch, rows.size, columns.size, geometry.channels
        division = blocks.rows.size, blocks.columns.size, rows.stride, blocks.channels
        return cls(*sizes, *division, rows.padding, columns.padding)


@cache
def _library(dtype: torch.dtype) -> ctypes.CDLL:
    text = resources.files("bakeoff.training.convolution").joinpath("phases.c").read_text(encoding="utf-8")
    library = native.load(f"#define REAL {REALS[dtype]}\n{text}")
    for function in (library.to_blocks, library.to_maps):
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, _Blocks], None
    return library


@cache
def _own_unavailable(dtype: torch.dtype) -> str | None:
    try:
        _library(dtype)
    except native.UnavailableError as error:
        return str(error)
    return None


def unavailable() -> str | None:
    """Return why this machine cannot compute this way, or None if it can; kernels and tiles of other sizes may differ."""
    return winograd.unavailable() or _own_unavailable(torch.float32)


def _blocks(inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return inputs with a channel for each pixel of a block and channel, shape (batch, stride x stride x channels, down, across)."""
    shape, inputs = _by_blocks(geometry).input_shape, inputs.contiguous(memory_format=torch.channels_last)
    blocks = torch.empty(shape, dtype=inputs.dtype, memory_format=torch.channels_last)
    _library(inputs.dtype).to_blocks(inputs.data_ptr(), blocks.data_ptr(), _Blocks.of(geometry))
    return blocks


def _pixels(blocks: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return maps of the inputs' shape from those that `_blocks` would make of them; zero where no block is."""
    pixels = torch.empty(geometry.input_shape, dtype=blocks.dtype, memory_format=torch.channels_last).zero_()
    _library(blocks.dtype).to_maps(blocks.data_ptr(), pixels.data_ptr(), _Blocks.of(geometry))
    return pixels


def _kernels_of_blocks(weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return a weight in the shape that it has over blocks, the taps that fill the last ones being zero."""
    stride, blocks = geometry.rows.stride, _by_blocks(geometry)
    outputs, filled, taps, _ = blocks.weight_shape
    below, right = (taps * stride - axis.kernel for axis in (geometry.rows, geometry.columns))
    whole = F.pad(weight, (0, right, 0, below)).reshape(outputs, geometry.channels, taps, stride, taps, stride)
    kernels = whole.permute(0, 3, 5, 1, 2, 4).reshape(outputs, -1, taps, taps)
    return F.pad(kernels, (0, 0, 0, 0, 0, filled - kernels.shape[1]))


def _kernels_of_pixels(kernels: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return a weight from the shape that `_kernels_of_blocks` gives it."""
    stride, channels = geometry.rows.stride, geometry.channels
    outputs, _, taps, _ = kernels.shape
    blocks = kernels[:, : stride**2 * channels].reshape(outputs, stride, stride, channels, taps, taps)
    whole = blocks.permute(0, 3, 4, 1, 5, 2).reshape(outputs, channels, taps * stride, taps * stride)
    return whole[:, :, : geometry.rows.kernel, : geometry.columns.kernel].contiguous(memory_format=torch.channels_last)


PHASES = Phases()
