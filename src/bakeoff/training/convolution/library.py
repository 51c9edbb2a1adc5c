"""The convolution of the library under PyTorch (oneDNN on the CPU), in either memory layout."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from bakeoff.training.convolution.geometry import Geometry, Pass


class Library:
    """The library as PyTorch calls it for tensors with the channels innermost. It serves every geometry.

    Args:
        name: In tables and records.
        channels_last: Whether it is to work with the channels innermost; tensors in another memory layout are copied,
            both ways.
    """

    def __init__(self, name: str, *, channels_last: bool) -> None:
        self.name = name
        self._channels_last = channels_last  # not the layout itself, which `torch.save(network)` cannot write

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        return True

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        output = F.conv2d(self._laid(inputs), self._laid(weight), None, **_settings(geometry), groups=geometry.groups)
        return output.contiguous(memory_format=torch.channels_last)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        # Of the inputs only the shape is read, and nothing is written there. But PyTorch would copy those of another layout,
        # and where a kernel of 1x1 leaves the layout open, it goes by theirs.
        inputs = torch.empty(
            geometry.input_shape, dtype=gradient.dtype, device=gradient.device, memory_format=self._layout
        )
        return self._backward(gradient, inputs, weight, geometry, [True, False, False])

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        weight = gradient.new_empty(geometry.weight_shape)
        return self._backward(gradient, inputs, weight, geometry, [False, True, False])

    def _backward(
        self, gradient: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry, which: list[bool]
    ) -> torch.Tensor:
        """Return the one gradient that is asked for."""
        laid = [self._laid(tensor) for tensor in (gradient, inputs, weight)]
        settings = _settings(geometry)
        found: tuple[torch.Tensor | None, ...] = torch.ops.aten.convolution_backward(
            *laid,
            None,
            settings["stride"],
            settings["padding"],
            settings["dilation"],
            False,
            [0, 0],
            geometry.groups,
            which,
        )
        (wanted,) = (tensor for tensor in found if tensor is not None)
        return wanted.contiguous(memory_format=torch.channels_last)

    def _laid(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.contiguous(memory_format=self._layout)

    @property
    def _layout(self) -> torch.memory_format:
        return torch.channels_last if self._channels_last else torch.contiguous_format


def _settings(geometry: Geometry) -> dict[str, tuple[int, int]]:
    rows, columns = geometry.rows, geometry.columns
    return {
        "stride": (rows.stride, columns.stride),
        "padding": (rows.padding, columns.padding),
        "dilation": (rows.dilation, columns.dilation),
    }


CHANNELS_LAST = Library("library", channels_last=True)
PLANAR = Library("planar", channels_last=False)
