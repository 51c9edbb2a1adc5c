"""The work of one convolution: all shapes that decide how long it takes, and which taps of its kernel ever meet a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import torch
from torch import nn

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float64: "float64"}


Taps = tuple[slice, slice]
"""Rows and columns of a kernel."""


class Pass(StrEnum):
    """What a training step asks of a convolution."""

    FORWARD = "forward"
    INPUT_GRADIENT = "input_gradient"
    WEIGHT_GRADIENT = "weight_gradient"


@dataclass(frozen=True)
class Axis:
    """One spatial direction of a convolution.

    Attributes:
        size: Of the input, in pixels.
        kernel: Taps.
        stride: Pixels between two outputs.
        padding: Pixels of zeros on either side.
        dilation: Pixels between two taps.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @cached_property
    def output(self) -> int:
        """Size of the output in pixels."""
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @cached_property
    def live(self) -> range:
        """The taps that meet at least one pixel of the input; all others only ever multiply padding."""
        met = [
            tap
            for tap in range(self.kernel)
            if any(
                0 <= place * self.stride - self.padding + tap * self.dilation < self.size
                for place in range(self.output)
            )
        ]
        return range(met[0], met[-1] + 1) if met else range(0)

    @cached_property
    def first(self) -> int:
        """Where the first live tap of the first output lies, in pixels of the input: negative within the padding."""
        return self.live.start * self.dilation - self.padding

    @cached_property
    def before(self) -> int:
        """Pixels of padding that live taps reach before the input."""
        return max(0, -self.first)

    @cached_property
    def after(self) -> int:
        """Pixels of padding that live taps reach behind the input."""
        last = self.first + (self.output - 1) * self.stride + (len(self.live) - 1) * self.dilation
        return max(0, last - self.size + 1)

    @cached_property
    def trimmed(self) -> Axis | None:
        """The same convolution with the live taps alone, or None where its padding would differ on the two sides."""
        if not self.live or self.first > 0:
            return None
        trimmed = Axis(self.size, len(self.live), self.stride, -self.first, self.dilation)
        return trimmed if trimmed.output == self.output else None


@dataclass(frozen=True)
class Geometry:
    """The shapes of one convolution.

    Attributes:
        batch: Pictures at once.
        channels: Of the input.
        outputs: Channels of the output.
        groups: Into which channels and outputs are divided.
        rows: The vertical direction.
        columns: The horizontal one.
        dtype: Of input, weight and output.
    """

    batch: int
    channels: int
    outputs: int
    groups: int
    rows: Axis
    columns: Axis
    dtype: torch.dtype

    @classmethod
    def of(cls, layer: nn.Conv2d, inputs: torch.Size, dtype: torch.dtype) -> Geometry:
        """Return the geometry of a layer for inputs of shape (batch, channels, height, width)."""
        rows, columns = (
            Axis(
                inputs[2 + axis],
                layer.kernel_size[axis],
                layer.stride[axis],
                int(layer.padding[axis]),
                layer.dilation[axis],
            )
            for axis in (0, 1)
        )
        return cls(inputs[0], layer.in_channels, layer.out_channels, layer.groups, rows, columns, dtype)

    @cached_property
    def taps(self) -> Taps:
        """The rows and columns of the kernel that are computed with: the live ones, or all where they cannot stand alone."""
        if self.rows.trimmed is None or self.columns.trimmed is None:
            return slice(0, self.rows.kernel), slice(0, self.columns.kernel)
        rows, columns = self.rows.live, self.columns.live
        return slice(rows.start, rows.stop), slice(columns.start, columns.stop)

    @cached_property
    def trimmed(self) -> Geometry:
        """The geometry that is left with `taps` alone: the same output from fewer operations."""
        rows, columns = self.rows.trimmed, self.columns.trimmed
        return self if rows is None or columns is None else replace(self, rows=rows, columns=columns)

    @property
    def depthwise(self) -> bool:
        """Whether each channel is filtered by itself."""
        return self.groups == self.channels == self.outputs

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape (batch, outputs, height, width)."""
        return self.batch, self.outputs, self.rows.output, self.columns.output

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape (batch, channels, height, width)."""
        return self.batch, self.channels, self.rows.size, self.columns.size

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape (outputs, channels / groups, kernel height, kernel width)."""
        return self.outputs, self.channels // self.groups, self.rows.kernel, self.columns.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass as usually counted, those with padding included."""
        outputs, inputs, height, width = self.weight_shape
        return self.batch * self.rows.output * self.columns.output * outputs * inputs * height * width

    def __str__(self) -> str:
        """Say what is done in a few words; the batch and what is usual are left out."""
        rows, columns = self.rows, self.columns
        said = f"{self.channels}>{self.outputs} {rows.kernel}x{columns.kernel}"
        if (rows.stride, columns.stride) != (1, 1):
            said += f"/{rows.stride}" if rows.stride == columns.stride else f"/{rows.stride}x{columns.stride}"
        if self.groups > 1:
            said += " depthwise" if self.depthwise else f" in {self.groups} groups"
        return f"{said} at {rows.size}" + ("" if rows.size == columns.size else f"x{columns.size}")

    @cached_property
    def key(self) -> str:
        """The geometry as a word: the same word, the same work."""
        rows, columns = self.rows, self.columns
        return (
            f"{self.batch}x{self.channels}x{rows.size}x{columns.size}>{self.outputs} {rows.kernel}x{columns.kernel}"
            f" s{rows.stride}x{columns.stride} p{rows.padding}x{columns.padding} d{rows.dilation}x{columns.dilation}"
            f" g{self.groups} {DTYPES[self.dtype]}"
        )
