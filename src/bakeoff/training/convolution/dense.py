"""A convolution on a small map as one matrix from all input pixels to all output pixels.

On maps of up to 4x4 pixels a 3x3 kernel reaches most of the map, so the matrix is nearly full: multiplying with it
costs little more arithmetic than the convolution, in one large product instead of many small ones.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from bakeoff.training.convolution.geometry import Geometry, Pass

MATRIX_LIMIT = 2**26
"""Bytes that the matrix may take: beyond, building it costs more than it saves."""


class Dense:
    """One matrix for the whole map, for convolutions in one group."""

    name = "dense"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        rows, columns = geometry.rows, geometry.columns
        pixels = rows.size * columns.size * rows.output * columns.output
        size = pixels * geometry.channels * geometry.outputs * geometry.dtype.itemsize
        kernel = rows.kernel * columns.kernel
        return geometry.groups == 1 and kernel > 1 and pixels > 1 and size <= MATRIX_LIMIT

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        return _maps(_pictures(inputs) @ _matrix(weight, geometry).t(), geometry.output_shape)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        return _maps(_pictures(gradient) @ _matrix(weight, geometry), geometry.input_shape)

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        outputs, channels, height, width = geometry.weight_shape
        whole = (_pictures(gradient).t() @ _pictures(inputs)).view(
            geometry.rows.output * geometry.columns.output,
            outputs,
            geometry.rows.size * geometry.columns.size,
            channels,
        )
        gathered = whole.new_zeros(
            outputs, height * width, channels, dtype=torch.promote_types(whole.dtype, torch.float32)
        )
        for tap, pairs in enumerate(_pairs(geometry)):
            for place, pixel in pairs:
                gathered[:, tap] += whole[place, :, pixel]
        return gathered.to(whole.dtype).view(outputs, height, width, channels).permute(0, 3, 1, 2)


def _pictures(maps: torch.Tensor) -> torch.Tensor:
    """Return maps of shape (batch, channels, height, width) as one row a picture, the channels innermost."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1)


def _maps(rows: torch.Tensor, shape: tuple[int, int, int, int]) -> torch.Tensor:
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _matrix(weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the matrix, shape (output pixels x outputs, input pixels x channels)."""
    outputs, channels, height, width = geometry.weight_shape
    taps = weight.permute(2, 3, 0, 1).reshape(height * width, outputs, channels)
    with_nothing = torch.cat([taps, taps.new_zeros(1, outputs, channels)])
    places, pixels = geometry.rows.output * geometry.columns.output, geometry.rows.size * geometry.columns.size
    chosen = with_nothing.index_select(0, _taps(geometry))
    return (
        chosen.view(places, pixels, outputs, channels).permute(0, 2, 1, 3).reshape(places * outputs, pixels * channels)
    )


@lru_cache(maxsize=256)
def _pairs(geometry: Geometry) -> list[list[tuple[int, int]]]:
    """Return, for each tap, the pairs of output pixel and input pixel that it joins."""
    rows, columns = geometry.rows, geometry.columns
    found: list[list[tuple[int, int]]] = [[] for _ in range(rows.kernel * columns.kernel)]
    for tap, pairs in enumerate(found):
        tap_row, tap_column = divmod(tap, columns.kernel)
        for place in range(rows.output * columns.output):
            out_row, out_column = divmod(place, columns.output)
            row = out_row * rows.stride - rows.padding + tap_row * rows.dilation
            column = out_column * columns.stride - columns.padding + tap_column * columns.dilation
            if 0 <= row < rows.size and 0 <= column < columns.size:
                pairs.append((place, row * columns.size + column))
    return found


@lru_cache(maxsize=256)
def _taps(geometry: Geometry) -> torch.Tensor:
    """Return the tap between each output pixel and each input pixel, in that order; the number of taps where none is."""
    pixels = geometry.rows.size * geometry.columns.size
    kernel = geometry.rows.kernel * geometry.columns.kernel
    taps = torch.full((geometry.rows.output * geometry.columns.output, pixels), kernel)
    for tap, pairs in enumerate(_pairs(geometry)):
        for place, pixel in pairs:
            taps[place, pixel] = tap
    return taps.flatten()


DENSE = Dense()
