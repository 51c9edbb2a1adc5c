"""Winograd's minimal filtering, a few tiles at a time: each thread takes them from pixels to pixels in its own caches.

It computes what `winograd` does. There, transformed maps of many pictures go through memory, so that the library may multiply
them; here they never leave a core's caches, and the products are C of our own. The kernels are fetched anew for each few
tiles, so this is for layers whose transformed kernels stay in the caches too: those of few channels, whose maps are large.
"""

from __future__ import annotations

import torch

from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.convolution.winograd import WINOGRAD, Maps, Transforms, evaluated, transforms_of

TILES = 36
"""Tiles at a time: a multiple of the rows of a product that are computed at once."""

SLICES = (2, 8)
"""Fewest and most parts of the batch whose weight gradients are summed apart: sums do not depend on the number of threads."""

BYTES_OF_SUMS = 2**23
"""Bytes of all sums of weight gradients that more parts must not exceed."""

CHANNELS = 16
"""What numbers of channels must be multiples of: as many as the widest registers hold of float32."""

LARGEST_KERNELS = 2**23
"""Bytes of all transformed kernels up to which a layer is served."""


class Tilewise:
    """Convolutions as `Winograd` serves them, with whole registers of channels and not too many of them."""

    name = "tilewise"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        return (
            geometry.channels % CHANNELS == geometry.outputs % CHANNELS == 0
            and WINOGRAD.serves(geometry, task)
            and self._bytes_of_kernels(geometry) <= LARGEST_KERNELS
        )

    def _bytes_of_kernels(self, geometry: Geometry) -> int:
        points = _transforms(geometry).points
        return points**2 * geometry.channels * geometry.outputs * geometry.dtype.itemsize

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        padding = geometry.rows.padding, geometry.columns.padding
        kernels = evaluated(weight, _transforms(geometry).kernel)
        return _convolved(inputs, kernels.transpose(1, 2), padding, geometry, geometry.output_shape)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output: a convolution with the kernel turned round."""
        rows, columns = (axis.kernel - 1 - axis.padding for axis in (geometry.rows, geometry.columns))
        kernels = evaluated(weight, _transforms(geometry).kernel.flip(1))
        return _convolved(gradient, kernels, (rows, columns), geometry, geometry.input_shape)

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        transforms, channels, outputs = _transforms(geometry), geometry.channels, geometry.outputs
        padding = geometry.rows.padding, geometry.columns.padding
        fewest, slices = SLICES
        while slices > fewest and slices * self._bytes_of_kernels(geometry) > BYTES_OF_SUMS:
            slices //= 2
        threads = min(torch.get_num_threads(), slices)
        sums = gradient.new_zeros(slices, transforms.points**2, outputs, channels)
        tensors = (inputs, gradient, sums, _scratch(gradient, transforms, geometry, threads))
        from_maps, to_maps = _tiles(transforms, geometry.input_shape, padding, geometry.output_shape)
        transforms.library.gather(*(one.data_ptr() for one in tensors), threads, slices, TILES, from_maps, to_maps)
        packed, values = sums.sum(0), torch.empty_like(sums[0])
        transforms.library.unpack_kernels(packed.data_ptr(), values.data_ptr(), channels, outputs)
        kernels = transforms.kernel.t() @ values.flatten(1)
        kernels = kernels.view(transforms.taps, transforms.taps, outputs, channels)
        return kernels.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _transforms(geometry: Geometry) -> Transforms:
    return transforms_of(geometry.rows.kernel, geometry.dtype)


def _scratch(like: torch.Tensor, transforms: Transforms, geometry: Geometry, threads: int) -> torch.Tensor:
    """Return room for the tiles that each thread has under way."""
    return like.new_empty(threads, TILES, transforms.points**2, geometry.channels + geometry.outputs)


def _tiles(
    transforms: Transforms,
    read: tuple[int, int, int, int],
    padding: tuple[int, int],
    written: tuple[int, int, int, int],
) -> tuple[Maps, Maps]:
    """Return how maps that are read and those that are written, by their shapes, are divided into the same tiles."""
    batch, channels, height, width = written
    tiles = [-(-side // transforms.tile) for side in (height, width)]
    return Maps(batch, read[2], read[3], read[1], *tiles, *padding), Maps(batch, height, width, channels, *tiles, 0, 0)


def _convolved(
    maps: torch.Tensor,
    kernels: torch.Tensor,
    padding: tuple[int, int],
    geometry: Geometry,
    shape: tuple[int, int, int, int],
) -> torch.Tensor:
    """Return maps of a shape that kernels, of shape (points x points, channels, outputs), make of others."""
    transforms, threads = _transforms(geometry), torch.get_num_threads()
    _, channels, outputs = kernels.shape
    packed = kernels.new_empty(kernels.shape)
    transforms.library.pack_kernels(kernels.data_ptr(), packed.data_ptr(), channels, outputs, *kernels.stride()[1:])
    written = torch.empty(shape, dtype=maps.dtype, memory_format=torch.channels_last)
    tensors = (maps, packed, written, _scratch(maps, transforms, geometry, threads))
    from_maps, to_maps = _tiles(transforms, (*maps.shape,), padding, shape)
    transforms.library.convolve(*(one.data_ptr() for one in tensors), threads, TILES, from_maps, to_maps)
    return written


TILEWISE = Tilewise()
