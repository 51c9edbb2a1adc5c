"""What a convolution algorithm is, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import torch

from bakeoff.training.convolution import depthwise, phases, winograd
from bakeoff.training.convolution.dense import DENSE
from bakeoff.training.convolution.depthwise import DEPTHWISE
from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.convolution.library import CHANNELS_LAST, PLANAR
from bakeoff.training.convolution.matmul import MATMUL
from bakeoff.training.convolution.phases import PHASES
from bakeoff.training.convolution.spread import SPREAD
from bakeoff.training.convolution.tilewise import TILEWISE
from bakeoff.training.convolution.winograd import WINOGRAD


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
    algorithm.name: algorithm
    for algorithm in (LIBRARY, PLANAR, MATMUL, DENSE, SPREAD, DEPTHWISE, WINOGRAD, TILEWISE, PHASES)
}


def serving(geometry: Geometry, task: Pass) -> list[Algorithm]:
    """Return the algorithms that can compute a pass, the library first."""
    return [algorithm for algorithm in ALGORITHMS.values() if algorithm.serves(geometry, task)]


COMPILED: dict[str, Callable[[], str | None]] = {
    DEPTHWISE.name: depthwise.unavailable,
    WINOGRAD.name: winograd.unavailable,
    TILEWISE.name: winograd.unavailable,
    PHASES.name: phases.unavailable,
}
"""The algorithms that need a compiler, each with what says why it cannot be had here; asking compiles it."""


def missing(wanted: Collection[str] = tuple(COMPILED)) -> dict[str, str]:
    """Return which of the wanted algorithms this machine cannot compute by, each with the reason."""
    reasons = {name: unavailable() for name, unavailable in COMPILED.items() if name in wanted}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def remark() -> str | None:
    """Return why algorithms are left out on this machine, or None if none is."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing().items():
        by_reason.setdefault(reason, []).append(name)
    said = [
        f"{', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]} {'is' if len(names) == 1 else 'are'} left out: {reason}"
        for reason, names in by_reason.items()
    ]
    return "; ".join(said) or None
