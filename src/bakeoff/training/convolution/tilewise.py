"""Winograd's minimal filtering, a few tiles at a time: each thread takes them from pixels to pixels in its own caches.

It computes what `winograd` does. There, transformed maps of many pictures go through memory, so that the library may multiply
them; here they never leave a core's caches, and the products are C of our own. The kernels are fetched anew for each few
tiles, so this is for layers whose transformed kernels stay in the caches too: those of few channels, whose maps are large.
"""

from __future__ import annotations

import torch

from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.convolution.winograd import Maps, Transforms, Winograd, interpolated, tile_for, transforms_for

TILES_AT_ONCE = 36
"""A multiple of the rows of a product that are computed at once."""

SLICES = (2, 8)
"""Fewest and most parts of the batch whose weight gradients are summed apart, so that sums do not depend on the number of
threads. No more threads than that share them."""

BYTES_OF_SUMS = 2**23
"""Bytes of all sums of weight gradients that more parts must not exceed."""

CHANNELS = 16
"""What numbers of channels must be multiples of: as many as the widest registers hold of float32."""

LARGEST_KERNELS = 2**23
"""Bytes of all transformed kernels up to which a layer is served."""


class Tilewise(Winograd):
    """Convolutions as `Winograd` serves them, with whole registers of channels and not too many of them."""

    name = "tilewise"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        return (
            geometry.channels % CHANNELS == geometry.outputs % CHANNELS == 0
            and super().serves(geometry, task)
            and _bytes_of_kernels(geometry, task) <= LARGEST_KERNELS
        )

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        transforms, slices = transforms_for(geometry, Pass.WEIGHT_GRADIENT), _slices(geometry)
        threads = min(torch.get_num_threads(), slices)
        sums = gradient.new_zeros(slices, transforms.points**2, geometry.outputs, geometry.channels)
        maps = (one.contiguous(memory_format=torch.channels_last) for one in (inputs, gradient))
        tensors = (*maps, sums, _scratch(sums, threads))
        padding = geometry.rows.padding, geometry.columns.padding
        tiles = _tiles(transforms, geometry.input_shape, padding, geometry.output_shape)
        transforms.library.gather(*(one.data_ptr() for one in tensors), threads, slices, TILES_AT_ONCE, *tiles)
        packed, values = sums.sum(0), torch.empty_like(sums[0])
        transforms.library.unpack_kernels(packed.data_ptr(), values.data_ptr(), geometry.channels, geometry.outputs)
        return interpolated(values, transforms)

    def _convolved(
        self,
        maps: torch.Tensor,
        kernels: torch.Tensor,
        padding: tuple[int, int],
        transforms: Transforms,
        shape: tuple[int, int, int, int],
    ) -> torch.Tensor:
        threads = torch.get_num_threads()
        _, channels, outputs = kernels.shape
        packed = kernels.new_empty(kernels.shape)
        transforms.library.pack_kernels(kernels.data_ptr(), packed.data_ptr(), channels, outputs, *kernels.stride()[1:])
        written = torch.empty(shape, dtype=maps.dtype, memory_format=torch.channels_last)
        tensors = (maps.contiguous(memory_format=torch.channels_last), packed, written, _scratch(packed, threads))
        tiles = _tiles(transforms, (*maps.shape,), padding, shape)
        transforms.library.convolve(*(one.data_ptr() for one in tensors), threads, TILES_AT_ONCE, *tiles)
        return written


def _bytes_of_kernels(geometry: Geometry, task: Pass) -> int:
    points = tile_for(geometry, task) + geometry.rows.kernel - 1
    return points**2 * geometry.channels * geometry.outputs * geometry.dtype.itemsize


def _slices(geometry: Geometry) -> int:
    """Return in how many parts the weight's gradient is summed."""
    fewest, slices = SLICES
    while slices > fewest and slices * _bytes_of_kernels(geometry, Pass.WEIGHT_GRADIENT) > BYTES_OF_SUMS:
        slices //= 2
    return slices


def _scratch(kernels: torch.Tensor, threads: int) -> torch.Tensor:
    """Return room for the tiles that each thread has under way, given kernels at all points, (..., points x points, one, other)."""
    *_, values, one, other = kernels.shape
    return kernels.new_empty(threads, TILES_AT_ONCE, values, one + other)


def _tiles(
    transforms: Transforms,
    read: tuple[int, int, int, int],
    padding: tuple[int, int],
    written: tuple[int, int, int, int],
) -> tuple[Maps, Maps]:
    """Return how maps that are read and those that are written, by their shapes, are divided into the same tiles."""
    batch, channels, height, width = written
    tiles = transforms.tiles(written)
    return Maps(batch, read[2], read[3], read[1], *tiles, *padding), Maps(batch, height, width, channels, *tiles, 0, 0)


TILEWISE = Tilewise()
