"""Pictures that are nearly the same: compressed again, brighter, moved by a pixel, mirrored.

Three looks, each closer than the one before and at fewer pairs. A hash of 64 bits says which of 8x8 blocks are brighter than
half of them, as CleanVision's does (https://github.com/cleanlab/cleanvision); pictures go on together whose hashes differ in few bits.
Then the blocks' colours must go together, and last the details: what is finer than a blur. Things of one kind look alike from
afar, such as ships on a horizon, but only copies have their details in the same places.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Pairs = NDArray[np.int64]
"""Shape (pairs, 2)."""

GRID = 8

SIDE = 32
"""Side of the small grey pictures whose details are compared."""

LEAST_SIDE = 16
"""Smaller pictures have too few details to tell a copy from another thing of the same shape."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

BLANK = 4.0
"""Mean deviation of the blocks' brightness, of 255, below which a picture shows too little for a hash."""

PARTS = 6
"""Parts that a hash is cut into: pictures that share one are compared. Hashes that differ in fewer bits than there are parts always
do, and most of those that differ in some more (Norouzi et al. 2013, arXiv:1307.2982)."""

FAR = 8
"""Bits in which hashes may differ."""

COMPARED = 1024
"""Others with the same part that a picture is compared with at most, the next ones in brightness: many plain pictures share
one, and comparing all with all would take the square of their number."""

SAME_COLOURS = 0.92
SAME_DETAILS = 0.6
"""Correlations from which two pictures are one. Chosen on CIFAR-10 by eye: docs/audit.md tells what was seen."""

FLAT = 1.5
GROUND = 0.5
"""Pictures are compared of which less than half is flat, with details below 1.5 of 255. Written digits and other things on plain
ground look alike down to the details that they have."""

MOVED = 1
"""Pixels of the small picture by which a copy may be moved."""

BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""What is finer than this, in both directions, is detail."""

AT_ONCE = 2**8
"""Pictures or pairs compared at once: few enough for a cache."""


@dataclass(frozen=True, slots=True)
class Small:
    """Pictures as they are compared."""

    blocks: torch.Tensor
    """Mean colours of 8x8 blocks, shape (pictures, 3, 8, 8), in [0, 255]."""

    grey: torch.Tensor
    """Brightness, of at most 32 pixels a side, shape (pictures, side, side), 8 bits."""


def small(pixels: NDArray[np.uint8], *, flippable: bool) -> Small:
    """Make pictures small.

    Args:
        pixels: Shape (pictures, side, side, 3).
        flippable: Whether a mirrored picture shows the same thing: then all are turned to have their brighter half left.
    """
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    grey = torch.einsum("nchw,c->nhw", planes, torch.tensor(LUMA))
    blocks = F.adaptive_avg_pool2d(planes, GRID)
    if grey.shape[1] > SIDE:
        grey = F.adaptive_avg_pool2d(grey, SIDE)
    grey = grey.round().to(torch.uint8)
    if flippable:
        columns = torch.einsum("nchw,c->nw", blocks, torch.tensor(LUMA))
        turned = columns @ torch.linspace(-1, 1, GRID) > 0
        blocks[turned] = blocks[turned].flip(3)
        grey[turned] = grey[turned].flip(2)
    return Small(blocks, grey)


def joined(parts: list[Small]) -> Small:
    """Return the pictures of all parts, in their order."""
    return Small(torch.cat([one.blocks for one in parts]), torch.cat([one.grey for one in parts]))


def near_copies(pictures: Small) -> Pairs:
    """Return the pairs of pictures that are nearly the same, by their places, in time about proportional to their number."""
    if pictures.grey.shape[1] < LEAST_SIDE:
        return np.empty((0, 2), dtype=np.int64)
    brightness = torch.einsum("nchw,c->nhw", pictures.blocks, torch.tensor(LUMA)).flatten(1)
    deviations = (brightness - brightness.mean(dim=1, keepdim=True)).abs().mean(dim=1)
    shown = np.flatnonzero((deviations >= BLANK).numpy())
    colours = _colours(pictures.blocks)
    rough = [
        _where(shown[pairs], lambda some: _together(colours, some) >= SAME_COLOURS)
        for pairs in _alike(brightness[shown])
    ]
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *rough])
    return _where(pairs, lambda some: _details(pictures.grey, some) >= SAME_DETAILS)


def _alike(brightness: torch.Tensor) -> Iterator[Pairs]:
    """Yield the pairs whose hashes share a part and differ in few bits, each once."""
    bits = brightness.numpy() > np.median(brightness.numpy(), axis=1, keepdims=True)
    hashes = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    light = brightness.mean(dim=1).numpy()
    masks = [np.packbits(np.arange(GRID * GRID) % PARTS == part).view(np.uint64) for part in range(PARTS)]
    for part, mask in enumerate(masks):
        ranked = np.lexsort((light, hashes & mask))
        found = [np.empty((0, 2), dtype=np.int64), *_close(hashes[ranked], mask)]
        pairs = ranked[np.concatenate(found)]
        unlike = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
        fresh = np.ones(len(pairs), dtype=bool)
        for earlier in masks[:part]:
            fresh &= (unlike & earlier) != 0  # where they are alike in it they were brought together before
        yield pairs[fresh]


def _close(hashes: NDArray[np.uint64], mask: NDArray[np.uint64]) -> Iterator[Pairs]:
    """Yield the pairs that share the masked part, by which these hashes are ordered, and differ in few bits."""
    borders = np.flatnonzero(np.diff(hashes & mask)) + 1
    for first, end in itertools.pairwise([0, *borders.tolist(), len(hashes)]):
        for start in range(first, end - 1, AT_ONCE):
            these = hashes[start : min(start + AT_ONCE, end)]
            next_ones = hashes[start + 1 : min(start + AT_ONCE + COMPARED, end)]
            one, other = np.nonzero(np.bitwise_count(these[:, None] ^ next_ones) <= FAR)
            later = other >= one
            yield np.stack([start + one[later], start + 1 + other[later]], axis=1)


def _where(pairs: Pairs, same: Callable[[Pairs], NDArray[np.bool_]]) -> Pairs:
    """Return those of the pairs that are the same, asking of some at once."""
    some = [pairs[start : start + AT_ONCE] for start in range(0, len(pairs), AT_ONCE)]
    kept = [one[same(one)] for one in some]
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *kept])


def _colours(blocks: torch.Tensor) -> NDArray[np.float32]:
    """Return the blocks' colours beyond each channel's mean, a vector of length 1 for each picture."""
    vectors: NDArray[np.float32] = F.normalize((blocks - blocks.mean(dim=(2, 3), keepdim=True)).flatten(1)).numpy()
    return vectors


def _together(vectors: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Return a correlation for each pair."""
    together: NDArray[np.float32] = np.einsum("nv,nv->n", vectors[pairs[:, 0]], vectors[pairs[:, 1]])
    return together


def _details(grey: torch.Tensor, pairs: Pairs) -> NDArray[np.float32]:
    """Return how details go together where they do so best, moved by a pixel or not: a correlation for each pair."""
    (one, full), (other, full_too) = (_finer(grey[pairs[:, place]].float()) for place in (0, 1))
    inner = one.shape[1] - 2 * MOVED
    middle = F.normalize(other[:, MOVED:-MOVED, MOVED:-MOVED].flatten(1)).view(-1, inner, inner)
    best = torch.full((len(pairs),), -1.0)
    for down, across in itertools.product(range(2 * MOVED + 1), repeat=2):
        moved = one[:, down : down + inner, across : across + inner]
        together = torch.einsum("nhw,nhw->n", moved, middle) / moved.square().sum(dim=(1, 2)).sqrt().clamp_min(1e-6)
        best = torch.maximum(best, together)
    return torch.where(full & full_too, best, 0.0).numpy()


def _finer(grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is finer than a blur, and of which pictures that is enough to compare them.

    Args:
        grey: Shape (pictures, side, side).

    Returns:
        Of the same shape: details, bent down to below 1 in size, since one strong edge, such as a horizon or a frame, would
        outweigh all else. Shape (pictures,): whether there are details in most places.
    """
    weights = torch.tensor(BLUR)
    margin = len(BLUR) // 2
    wide = F.pad(grey[:, None], (margin,) * 4, mode="replicate")
    fine = grey - F.conv2d(F.conv2d(wide, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))[:, 0]
    size = fine.abs()
    bent = fine / (size + size.mean(dim=(1, 2), keepdim=True)).clamp_min(1e-6)
    return bent, (size >= FLAT).float().mean(dim=(1, 2)) > 1 - GROUND
