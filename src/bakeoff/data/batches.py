"""Batches of a data set as a network takes them: in which order, through which view, from which seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bakeoff.data.dataset import Pictures
from bakeoff.data.view import Draws, View


def derived_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a seed in [0, 2**63) for one purpose in one epoch of a run, unrelated to all others."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """Return a CPU generator seeded by `derived_seed`."""
    return torch.Generator().manual_seed(derived_seed(seed, epoch, purpose))


@dataclass(frozen=True, slots=True)
class Batches:
    """Some pictures of a split, seen through one view."""

    pictures: Pictures
    indices: NDArray[np.int64]
    """Which of the pictures take part, shape (count,)."""

    view: View
    device: torch.device

    def __len__(self) -> int:
        return len(self.indices)

    def steps(self, batch_size: int) -> int:
        """Return the number of batches in an epoch.

        The last one is short where the count is no multiple of the batch size; it is left out only if it would hold a
        single picture, which batch normalisation cannot train on.
        """
        full, rest = divmod(len(self.indices), batch_size)
        return full + (1 if rest > 1 or (rest == 1 and (batch_size == 1 or full == 0)) else 0)

    def shuffled(
        self, batch_size: int, seed: int, epoch: int, first_step: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of a training epoch in the order and with the draws that this seed and epoch give.

        Args:
            batch_size: Pictures a batch.
            seed: The run's seed.
            epoch: Counted from 1.
            first_step: Batches to pass over, counted from the epoch's start: where a resumed epoch goes on.

        Yields:
            Inputs, float32 of shape (batch, 3, size, size), and labels, int64 of shape (batch,), on the device.
        """
        order = torch.randperm(len(self.indices), generator=generator(seed, epoch, "order"))
        draws = self.view.draw(len(order), generator(seed, epoch, "view"))
        if draws is not None and self.view.spec.flip == "alternate":
            first = torch.rand(len(order), generator=generator(seed, 1, "flip")) < 0.5
            draws = replace(draws, flip=first[order] ^ (epoch % 2 == 0))
        yield from self._assembled(self.indices[order.numpy()], batch_size, draws, first_step, self.steps(batch_size))

    def in_order(self, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of an evaluation, every picture once; the seed matters only to a random view.

        Yields:
            As `shuffled`.
        """
        steps = -(-len(self.indices) // batch_size)
        draws = self.view.draw(len(self.indices), generator(seed, epoch, "evaluation view"))
        yield from self._assembled(self.indices, batch_size, draws, 0, steps)

    def _assembled(
        self, indices: NDArray[np.int64], batch_size: int, draws: Draws | None, first: int, steps: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for step in range(first, steps):
            chosen = slice(step * batch_size, (step + 1) * batch_size)
            rows = indices[chosen]
            pixels = torch.from_numpy(self.pictures.pixels[rows]).to(self.device)
            labels = torch.from_numpy(self.pictures.labels[rows]).to(self.device)
            yield self.view.apply(pixels, None if draws is None else draws[chosen]), labels
