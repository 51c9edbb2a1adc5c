"""A study's pictures, to be looked at: what each network saw, what the best gets wrong, where the two best disagree."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from PIL import Image

from bakeoff.analysis.pictures import Disagreement, Mistake, Pictures, ViewsShown
from bakeoff.data import Dataset, prepare
from bakeoff.data.batches import generator
from bakeoff.data.splits import split_indices
from bakeoff.data.view import View
from bakeoff.errors import BakeoffError, StudyError
from bakeoff.predictions import load_predictions
from bakeoff.records import RunStatus
from bakeoff.spec import ViewSpec, labels
from bakeoff.study.auditing import kept_probes
from bakeoff.study.folder import Study, predictions_path
from bakeoff.study.reading import Reading

VIEWED = 8
"""Training pictures that are shown through every view."""

MOST = 24
"""Mistakes, and disagreements, that are shown."""

LARGEST = 96
"""Pixels a side of what is shown: twelve pictures fit side by side on a screen."""

Indices = NDArray[np.int64]


def shown(reading: Reading, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Pictures:
    """Return what there is to be seen of a study's pictures.

    Nothing is downloaded for it; pictures that have left the cache are decoded again.

    Args:
        reading: The study as it stands.
        data_dir: Where downloaded data sets are kept.
        cache_dir: Where decoded pictures are kept.

    Returns:
        With `missing` where pictures are gone, have changed, or nobody has predicted anything of them yet.
    """
    study, spec = reading.study, reading.study.spec
    try:
        dataset = prepare(spec.source, size=spec.size, data_dir=data_dir, cache_dir=cache_dir, may_download=False)
    except BakeoffError as error:
        return Pictures(missing=f"The study's pictures cannot be shown: {error}.")
    if dataset.fingerprint != spec.fingerprint:
        return Pictures(missing=f"The pictures at {spec.source} are no longer those that the study was made with.")
    views = tuple(_views(study, dataset))
    best = _best_two(reading, dataset)
    if not best:
        return Pictures(
            views=views, missing="Mistakes are shown once a run has finished and its predictions are there."
        )
    return Pictures(
        views=views,
        mistakes=tuple(_mistakes(best[0], dataset)),
        disagreements=tuple(_disagreements(best[0], best[1], dataset)) if len(best) > 1 else (),
        best_label=best[0].label,
        other_label=best[1].label if len(best) > 1 else None,
    )


def _views(study: Study, dataset: Dataset) -> list[ViewsShown]:
    """Return what every candidate sees of the same training pictures; each view is drawn once."""
    train = split_indices(dataset, study.spec.runs()[0]).train
    pixels = torch.from_numpy(dataset.train.pixels[_one_of_each_class(dataset.train.labels, train)])
    names, probes = labels(study.spec.candidates), kept_probes(study.folder)
    seen: dict[ViewSpec, tuple[bytes, ...]] = {}
    found = []
    for candidate in study.spec.candidates:
        probe = probes.views.get(candidate.id) if probes is not None else None
        for kind, view in (("training", candidate.train_view), ("evaluation", candidate.evaluate_view)):
            if view not in seen:
                seen[view] = through(view, pixels)
            measured = None if probe is None else (probe.train if kind == "training" else probe.evaluate)
            found.append(
                ViewsShown(
                    candidate_id=candidate.id,
                    label=names[candidate.id],
                    kind="training" if kind == "training" else "evaluation",
                    pngs=seen[view],
                    share_seen=None if measured is None else measured.coverage,
                )
            )
    return found


def through(spec: ViewSpec, pixels: torch.Tensor) -> tuple[bytes, ...]:
    """Return pictures as a network sees them, before normalisation, as PNG files.

    Args:
        spec: The view; where it is random, each picture gets a draw of its own, always the same.
        pixels: uint8 of shape (pictures, size, size, 3).
    """
    view = View(spec, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), pixels.shape[1])
    chance = generator(0, 1, "pictures shown")
    draws = view.draw(len(pixels), chance)
    if draws is not None and spec.flip == "alternate":
        draws = replace(draws, flip=torch.rand(len(pixels), generator=chance) < 0.5)
    inputs = view.apply(pixels, draws).permute(0, 2, 3, 1)
    return tuple(to_png(picture) for picture in (inputs * 255).round().to(torch.uint8).numpy())


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture of shape (height, width, 3) as a PNG file, scaled down to `LARGEST` where it is larger."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _one_of_each_class(all_labels: Indices, train: Indices) -> Indices:
    """Return the first training picture of each class, then the second, until there are enough."""
    mine = all_labels[train]
    turns = np.empty(len(train), np.int64)
    for one in np.unique(mine):
        places = np.flatnonzero(mine == one)
        turns[places] = np.arange(len(places))
    return train[np.lexsort((mine, turns))[:VIEWED]]


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What a candidate's seeds predict together."""

    label: str
    pictures: Indices
    truth: Indices
    predicted: Indices
    confidence: NDArray[np.float64]
    """Probability of the predicted class; NaN where a network's answer was not finite."""


def _best_two(reading: Reading, dataset: Dataset) -> list[_Predicted]:
    """Return the two candidates that lead the table and have predictions for these pictures."""
    done, folder = reading.runs[reading.runs["status"] == RunStatus.DONE], reading.study.folder
    found: list[_Predicted] = []
    for row in reading.ranking.to_dict("records"):
        mine = done.loc[done["candidate_id"] == row["candidate_id"], "run_id"].tolist()
        together = _together(str(row["candidate"]), [predictions_path(folder, run) for run in mine], dataset)
        if together is not None:
            found.append(together)
        if len(found) == 2:
            break
    return found


def _together(label: str, paths: Sequence[Path], dataset: Dataset) -> _Predicted | None:
    """Return the mean prediction of a candidate's seeds; None where none of them can be used."""
    shares: list[NDArray[np.float64]] = []
    pictures = truth = np.empty(0, np.int64)
    for path in paths:
        try:
            one = load_predictions(path)
        except StudyError:
            continue
        order = np.argsort(one.indices)
        indices, true = one.indices[order], one.labels[order]
        if shares and not np.array_equal(pictures, indices):
            continue
        if not _known(indices, true, dataset) or one.logits.shape != (len(indices), len(dataset.classes)):
            continue
        pictures, truth = indices, true
        shares.append(scipy.special.softmax(one.logits[order].astype(np.float64), axis=1))
    if not shares:
        return None
    mean = np.mean(shares, axis=0)
    predicted = mean.argmax(axis=1)
    return _Predicted(label, pictures, truth, predicted, mean[np.arange(len(mean)), predicted])


def _known(indices: Indices, truth: Indices, dataset: Dataset) -> bool:
    """Whether predictions are of this data set's test pictures."""
    inside = len(indices) > 0 and indices.min() >= 0 and indices.max() < len(dataset.test)
    return bool(inside) and np.array_equal(dataset.test.labels[indices], truth)


def _mistakes(best: _Predicted, dataset: Dataset) -> list[Mistake]:
    """Return the pictures that are wrong with the highest confidence."""
    wrong = best.predicted != best.truth
    return [
        Mistake(
            picture=int(best.pictures[place]),
            png=to_png(dataset.test.pixels[best.pictures[place]]),
            truth=dataset.classes[best.truth[place]],
            predicted=dataset.classes[best.predicted[place]],
            confidence=float(best.confidence[place]),
        )
        for place in _surest(wrong, best.confidence)
    ]


def _disagreements(first: _Predicted, second: _Predicted, dataset: Dataset) -> list[Disagreement]:
    """Return the pictures that two candidates take for different things, both with high confidence."""
    if not np.array_equal(first.pictures, second.pictures):
        return []
    apart = first.predicted != second.predicted
    return [
        Disagreement(
            picture=int(first.pictures[place]),
            png=to_png(dataset.test.pixels[first.pictures[place]]),
            truth=dataset.classes[first.truth[place]],
            first=dataset.classes[first.predicted[place]],
            second=dataset.classes[second.predicted[place]],
        )
        for place in _surest(apart, np.minimum(first.confidence, second.confidence))
    ]


def _surest(chosen: NDArray[np.bool_], confidence: NDArray[np.float64]) -> list[int]:
    """Return where, among those chosen, confidence is highest; of equal ones the first picture comes first."""
    places = np.flatnonzero(chosen & np.isfinite(confidence))
    return [int(place) for place in places[np.argsort(-confidence[places], kind="stable")][:MOST]]
