"""Convolution as one matrix product over unfolded windows, of the live taps alone.

With the channels innermost, a window of the input is already a row of (tap, channel) but for its line breaks, so
unfolding copies long runs; and the weight gradient comes out in the layout of the weight itself. A 1x1 convolution at
stride 1 needs no unfolding at all.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from bakeoff.training.convolution.geometry import Geometry, Pass

UNFOLDED_LIMIT = 2**30
"""Bytes that the unfolded input may take: beyond, this is never the fastest, and may not fit."""


class Matmul:
    """Unfolding and a matrix product, for convolutions in one group."""

    name = "matmul"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        rows, columns = geometry.rows, geometry.columns
        taps = len(rows.live) * len(columns.live)
        unfolded = geometry.batch * rows.output * columns.output * taps * geometry.channels * geometry.dtype.itemsize
        return geometry.groups == 1 and taps > 0 and unfolded <= UNFOLDED_LIMIT

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        return _folded(_unfolded(inputs, geometry) @ _matrix(weight, geometry).t(), geometry.output_shape)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        unfolded = _pixels(gradient) @ _matrix(weight, geometry)
        if _is_a_view(geometry):
            return _folded(unfolded, geometry.input_shape)
        return _gathered(unfolded, geometry)

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output; zero for the taps that meet no pixel."""
        rows, columns = geometry.rows.live, geometry.columns.live
        live = (_pixels(gradient).t() @ _unfolded(inputs, geometry)).view(
            geometry.outputs, len(rows), len(columns), geometry.channels
        )
        if (len(rows), len(columns)) == geometry.weight_shape[2:]:
            return live.permute(0, 3, 1, 2)
        whole = live.new_zeros(geometry.outputs, *geometry.weight_shape[2:], geometry.channels)
        whole[:, rows.start : rows.stop, columns.start : columns.stop] = live
        return whole.permute(0, 3, 1, 2)


def _pixels(maps: torch.Tensor) -> torch.Tensor:
    """Return maps of shape (batch, channels, height, width) as one row a pixel, shape (pixels, channels)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _folded(rows: torch.Tensor, shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Return rows of pixels as maps of shape (batch, channels, height, width)."""
    batch, channels, height, width = shape
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def _matrix(weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the live taps of the weight, shape (outputs, taps x channels)."""
    rows, columns = geometry.rows.live, geometry.columns.live
    live = weight[:, :, rows.start : rows.stop, columns.start : columns.stop]
    return live.permute(0, 2, 3, 1).reshape(geometry.outputs, -1)


def _is_a_view(geometry: Geometry) -> bool:
    """Whether each input pixel stands in exactly one window, in order, so that unfolding changes nothing."""
    rows, columns = geometry.rows, geometry.columns
    one_tap = len(rows.live) == len(columns.live) == 1
    same_places = all(axis.stride == 1 and axis.first == 0 and axis.output == axis.size for axis in (rows, columns))
    one_window = rows.output == columns.output == 1 and all(
        axis.first == 0 and axis.dilation == 1 and len(axis.live) == axis.size for axis in (rows, columns)
    )
    return (one_tap and same_places) or one_window


def _unfolded(inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the window of each output pixel as a row, shape (output pixels, live taps x channels)."""
    pixels = inputs.permute(0, 2, 3, 1)
    rows, columns = geometry.rows, geometry.columns
    batch, channels = geometry.batch, geometry.channels
    if _is_a_view(geometry):
        return pixels.reshape(batch * rows.output * columns.output, -1)
    if rows.before or rows.after or columns.before or columns.after:
        pixels = F.pad(pixels, (0, 0, columns.before, columns.after, rows.before, rows.after))
    pixels = pixels.contiguous()
    line = pixels.shape[2] * channels
    windows = pixels.as_strided(
        (batch, rows.output, columns.output, len(rows.live), len(columns.live), channels),
        (
            pixels.shape[1] * line,
            rows.stride * line,
            columns.stride * channels,
            rows.dilation * line,
            columns.dilation * channels,
            1,
        ),
        (rows.first + rows.before) * line + (columns.first + columns.before) * channels,
    )
    return windows.reshape(batch * rows.output * columns.output, -1)


def _gathered(unfolded: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Add up the windows' gradients, shape (output pixels, live taps x channels), where they overlap in the input."""
    rows, columns = geometry.rows, geometry.columns
    windows = unfolded.view(
        geometry.batch, rows.output, columns.output, len(rows.live), len(columns.live), geometry.channels
    )
    whole = unfolded.new_zeros(
        geometry.batch,
        rows.size + rows.before + rows.after,
        columns.size + columns.before + columns.after,
        geometry.channels,
    )
    for row in range(len(rows.live)):
        for column in range(len(columns.live)):
            top = rows.first + rows.before + row * rows.dilation
            left = columns.first + columns.before + column * columns.dilation
            whole[
                :,
                top : top + (rows.output - 1) * rows.stride + 1 : rows.stride,
                left : left + (columns.output - 1) * columns.stride + 1 : columns.stride,
            ] += windows[:, :, :, row, column]
    inner = whole[:, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]
    return inner.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


MATMUL = Matmul()
