"""Simulated networks on simulated pictures, whose true accuracy is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A kind of picture and a kind of network: each picture is right with a chance of its own, by logit."""

    ease: float = 4.0
    shared: float = 2.5
    """Spread of the pictures' difficulty for all candidates."""

    own: float = 1.5
    """Spread of what is difficult for one candidate and not for another."""

    unstable: float = 0.0
    """Spread of the seeds' quality."""

    @property
    def accuracy(self) -> float:
        """The true one, over all pictures and seeds."""
        spread = np.sqrt(self.shared**2 + self.own**2 + self.unstable**2)
        return float(special.expit(self.ease + spread * NODES) @ WEIGHTS)

    def with_accuracy(self, accuracy: float) -> World:
        """Return the same world where pictures are as easy as that takes."""
        return replace(self, ease=optimize.brentq(lambda ease: replace(self, ease=ease).accuracy - accuracy, -20, 20))

    def pictures(self, generator: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return what new pictures are like for all candidates."""
        return generator.normal(0, self.shared, count).astype(np.float32)

    def networks(self, generator: np.random.Generator, pictures: NDArray[np.float32], seeds: int) -> NDArray[np.bool_]:
        """Return which of these pictures new networks of a new candidate get right, shape (seeds, pictures)."""
        mine = self.ease + pictures + generator.normal(0, self.own, len(pictures)).astype(np.float32)
        quality = generator.normal(0, self.unstable, (seeds, 1)).astype(np.float32)
        return generator.random((seeds, len(pictures)), dtype=np.float32) < special.expit(mine + quality)
