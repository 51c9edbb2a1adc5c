"""What a convolution algorithm is, and which there are."""

from __future__ import annotations

from typing import Protocol

import torch

from bakeoff.training.convolution.dense import DENSE
from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.convolution.library import CHANNELS_LAST, PLANAR
from bakeoff.training.convolution.matmul import MATMUL
from bakeoff.training.convolution.spread import SPREAD
from bakeoff.training.convolution.winograd import WINOGRAD, unavailable


class Algorithm(Protocol):
    """A way to compute some passes of some convolutions.

    All tensors have the channels innermost in memory (`torch.channels_last`) and one dtype; what is returned has too. A pass
    that an algorithm never serves raises `NotImplementedError`.
    """

    name: str

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        ...

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        ...

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output."""
        ...

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        ...


LIBRARY: Algorithm = CHANNELS_LAST
"""What PyTorch would do: it serves everything, and stays where nothing else is clearly faster."""

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm for algorithm in (LIBRARY, PLANAR, MATMUL, DENSE, SPREAD, WINOGRAD)
}


def serving(geometry: Geometry, task: Pass) -> list[Algorithm]:
    """Return the algorithms that can compute a pass, the library first."""
    return [algorithm for algorithm in ALGORITHMS.values() if algorithm.serves(geometry, task)]


def remark() -> str | None:
    """Return why an algorithm is left out on this machine, or None if none is."""
    reason = unavailable()
    return None if reason is None else f"{WINOGRAD.name} is left out: {reason}"
