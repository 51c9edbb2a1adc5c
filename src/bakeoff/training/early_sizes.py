"""Smaller inputs for the first epochs: most of what a network learns there it learns as well from fewer pixels.

Howard 2018, in the DAWNBench entries of fast.ai, and Touvron et al. 2019 (arXiv:1906.06423), who explain why the last
epochs must have the size of evaluation.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from bakeoff.spec import Recipe


def sized(inputs: torch.Tensor, recipe: Recipe, done: float) -> torch.Tensor:
    """Return a batch as the recipe wants it after a share of the training.

    Args:
        inputs: Shape (batch, 3, size, size).
        recipe: Of the run.
        done: Share of its steps that are done, in [0, 1).

    Returns:
        The same tensor, or one of shape (batch, 3, side, side), bilinear and antialiased.
    """
    side = recipe.side(done)
    if side is None:
        return inputs
    return F.interpolate(inputs, (side, side), mode="bilinear", antialias=True, align_corners=False)
