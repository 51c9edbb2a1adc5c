"""The input gradient of a strided depthwise convolution as a depthwise convolution at stride 1.

The output's gradient is spread with zeros to the places that the strided kernel visited; convolving that with the
kernel turned by 180 degrees gives the input's gradient. In bfloat16 the library takes 15 times as long.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from bakeoff.training.convolution.geometry import Axis, Geometry, Pass


class Spread:
    """Spreading the gradient, for the input gradient of strided depthwise convolutions."""

    name = "spread"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        axes = (geometry.rows, geometry.columns)
        strided = any(axis.stride > 1 for axis in axes)
        usual = all(axis.padding <= _reach(axis) for axis in axes)
        return task is Pass.INPUT_GRADIENT and geometry.depthwise and strided and usual

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Not served."""
        raise NotImplementedError

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Not served."""
        raise NotImplementedError

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        rows, columns = geometry.rows, geometry.columns
        # Room before the gradient so that a convolution without padding gives just the input's places.
        shape = (geometry.batch, geometry.channels, rows.size + _reach(rows), columns.size + _reach(columns))
        spread = gradient.new_zeros(shape).contiguous(memory_format=torch.channels_last)
        spread[:, :, _places(rows), _places(columns)] = gradient[:, :, : _visible(rows), : _visible(columns)]
        turned = weight.flip(2, 3)
        return F.conv2d(spread, turned, None, dilation=(rows.dilation, columns.dilation), groups=geometry.groups)


def _reach(axis: Axis) -> int:
    """Return the pixels between the first tap and the last."""
    return axis.dilation * (axis.kernel - 1)


def _visible(axis: Axis) -> int:
    """Return how many outputs have a tap in the input or before it; those behind see only padding."""
    return min(axis.output, (axis.size - 1 + axis.padding) // axis.stride + 1)


def _places(axis: Axis) -> slice:
    """Return where the visible outputs lie in the spread gradient."""
    first = _reach(axis) - axis.padding
    return slice(first, first + (_visible(axis) - 1) * axis.stride + 1, axis.stride)


SPREAD = Spread()
