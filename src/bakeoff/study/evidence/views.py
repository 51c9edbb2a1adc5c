"""What a candidate's views do, measured by pushing pictures through the code that training uses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bakeoff.audit.evidence import FieldOfView, InputStatistics, ViewProbe
from bakeoff.data.batches import Batches, generator
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.splits import SplitIndices
from bakeoff.data.view import Draws, View
from bakeoff.spec import CandidateSpec, ViewSpec
from bakeoff.training.setup import view_of

DRAWS = 256
"""Draws of a random view. Fewer where the pictures are so large that it would take long."""

FETCHED = 64
"""Pictures of each split that are seen twice."""

MEASURED = 2048
"""Training pictures whose inputs are measured, fewer where they are large."""

CHUNK = 2**23
"""Values of a view's output held at once."""

MOST = 2**26
"""Values of a view's output looked at, about."""


class ViewProber:
    """Measures views, each once however many candidates share it."""

    def __init__(self, dataset: Dataset, indices: SplitIndices) -> None:
        self._dataset = dataset
        self._indices = indices
        self._geometries: dict[ViewSpec, FieldOfView] = {}
        self._inputs: dict[tuple[ViewSpec, str], InputStatistics] = {}
        self._fetched: dict[tuple[ViewSpec, str], tuple[int, int]] = {}

    def probe(self, candidate: CandidateSpec) -> ViewProbe:
        """Measure a candidate's training and evaluation view."""
        train, evaluate = candidate.train_view, candidate.evaluate_view
        fetched, differing = self._repeated(candidate)
        return ViewProbe(
            train=self._geometry(train),
            evaluate=self._geometry(evaluate),
            train_inputs=self._statistics(train, candidate),
            evaluate_inputs=self._statistics(evaluate, candidate),
            fetched=fetched,
            differing=differing,
        )

    def _geometry(self, spec: ViewSpec) -> FieldOfView:
        if spec not in self._geometries:
            self._geometries[spec] = geometry(spec, self._dataset.size)
        return self._geometries[spec]

    def _statistics(self, spec: ViewSpec, candidate: CandidateSpec) -> InputStatistics:
        key = (spec, str(candidate.normalization))
        if key not in self._inputs:
            view = view_of(spec, candidate, self._dataset)
            self._inputs[key] = input_statistics(view, self._dataset.train, self._indices.train)
        return self._inputs[key]

    def _repeated(self, candidate: CandidateSpec) -> tuple[int, int]:
        key = (candidate.evaluate_view, str(candidate.normalization))
        if key not in self._fetched:
            held_out = self._dataset.train if self._dataset.validation is None else self._dataset.validation
            view = view_of(candidate.evaluate_view, candidate, self._dataset)
            counts = [
                differing(Batches(pictures, _spread(indices, FETCHED), view, torch.device("cpu")))
                for pictures, indices in (
                    (held_out, self._indices.validation),
                    (self._dataset.test, self._indices.test),
                )
            ]
            self._fetched[key] = (sum(fetched for fetched, _ in counts), sum(unlike for _, unlike in counts))
        return self._fetched[key]


def geometry(spec: ViewSpec, picture: int) -> FieldOfView:
    """Measure what a view lets through of a picture with so many pixels a side.

    A picture whose red is the column and whose green is the row goes through the view's resize, flip and crop; blue
    tells it from the black around it.
    """
    # A mirrored border shows nothing that the picture does not.
    spec = spec.model_copy(update={"padding_mode": "constant"})
    view = View(spec, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), picture)
    side = max(spec.resize or picture, picture) + 2 * spec.padding
    draws = min(DRAWS, max(16, MOST // side**2)) if spec.random else 1
    step = max(1, CHUNK // (3 * side**2))
    chance = generator(0, 0, "field of view")
    parts = []
    for start in range(0, draws, step):
        count = min(step, draws - start)
        seen = view.apply(_coordinates(picture).expand(count, -1, -1, -1), view.draw(count, chance))
        parts.append(_extents(seen))
    ranges, pixels = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    # In pixels of the picture: from the first coordinate seen to the last, over the steps between their pixels.
    scales = ranges * (picture - 1) / (pixels - 1).clamp_min(1)
    # With half a pixel beyond the outermost coordinates, but where the picture's own border was repeated instead.
    shares = torch.maximum(ranges, (ranges * (picture - 1) + scales) / picture).clamp_max(1) * (pixels > 0)
    coverage, window = shares.prod(dim=1), shares.median(dim=0).values * picture
    return FieldOfView(
        coverage=float(coverage.mean()),
        least=float(coverage.min()),
        window=(float(window[0]), float(window[1])),
        scale=float(scales.mean(dim=1).median()),
        size=view.size,
        draws=draws,
    )


def _coordinates(picture: int) -> torch.Tensor:
    """Return one picture of shape (1, picture, picture, 3): red its columns, green its rows, blue 255."""
    ramp = torch.linspace(0, 255, picture).round().to(torch.uint8)
    blue = torch.full((picture, picture), 255, dtype=torch.uint8)
    return torch.stack([ramp.expand(picture, -1), ramp[:, None].expand(-1, picture), blue], dim=-1)[None]


def _extents(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, each of shape (pictures, 2), the shares of width and height seen and the pixels on which they are seen."""
    inside = seen[:, 2] > 0.5
    ranges, pixels = [], []
    for channel, across in ((0, 1), (1, 2)):
        values = seen[:, channel]
        highest = values.masked_fill(~inside, -1).amax(dim=(1, 2))
        lowest = values.masked_fill(~inside, 2).amin(dim=(1, 2))
        ranges.append((highest - lowest).clamp_min(0) * inside.any(dim=2).any(dim=1))
        pixels.append(inside.any(dim=across).sum(dim=1))
    return torch.stack(ranges, dim=1).double(), torch.stack(pixels, dim=1)


def input_statistics(view: View, pictures: Pictures, indices: NDArray[np.int64]) -> InputStatistics:
    """Measure the numbers that a view gives the network for some of these pictures, spread over all of them.

    The black that a view pads pictures with is measured apart: it says nothing of how they are normalised.
    """
    values = 3 * view.size**2
    chosen = _spread(indices, min(MEASURED, max(64, MOST // (2 * values))))
    chance = generator(0, 0, "input statistics")
    sums, squares, largest = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0.0
    black = torch.zeros(3, dtype=torch.float64)
    measured = 0.0
    step = max(1, CHUNK // values)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        draws = view.draw(len(rows), chance)
        inside = _inside(view, len(rows), draws)
        inputs = view.apply(torch.from_numpy(pictures.pixels[rows]), draws)
        black += (inputs * (1 - inside)).sum(dim=(0, 2, 3), dtype=torch.float64)
        inputs = inputs * inside
        measured += float(inside.sum(dtype=torch.float64))
        sums += inputs.sum(dim=(0, 2, 3), dtype=torch.float64)
        squares += inputs.square().sum(dim=(0, 2, 3), dtype=torch.float64)
        largest = max(largest, float(inputs.abs().max()))
    measured = max(measured, 1.0)  # nothing of a picture may be seen
    means = sums / measured
    deviations = (squares / measured - means**2).clamp_min(0).sqrt()
    moved = (sums + black) / (len(chosen) * view.size**2) - means
    return InputStatistics(
        mean=tuple(means.tolist()),
        std=tuple(deviations.tolist()),
        largest=largest,
        pictures=len(chosen),
        padding=tuple(moved.tolist()),
    )


def _inside(view: View, count: int, draws: Draws | None) -> torch.Tensor:
    """Return where the inputs of so many pictures are of the pictures: 1 there and 0 on padding, (pictures, 1, size, size)."""
    if not view.spec.padding:
        return torch.ones(count, 1, view.size, view.size)
    white = torch.full((1, view.picture, view.picture, 3), 255, dtype=torch.uint8).expand(count, -1, -1, -1)
    seen = View(view.spec, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), view.picture).apply(white, draws)
    return (seen[:, :1] > 0.5).float()


def differing(batches: Batches) -> tuple[int, int]:
    """See pictures twice as an evaluation would, under different draws.

    Returns:
        How many pictures were seen, and how many of them were not the same bit for bit.
    """
    unlike = 0
    for (once, _), (again, _) in zip(
        batches.in_order(FETCHED, seed=0, epoch=1), batches.in_order(FETCHED, seed=1, epoch=2), strict=True
    ):
        unlike += int((once != again).flatten(1).any(dim=1).sum())
    return len(batches), unlike


def _spread(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return at most so many of these indices, evenly spread: pictures often lie class by class."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).astype(np.int64)]
