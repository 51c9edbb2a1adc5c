"""Study folders made up by a test: networks whose true quality is known, stored as real ones are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.files import write_atomically
from bakeoff.predictions import save_predictions
from bakeoff.records import RunStatus
from bakeoff.spec import StudySpec
from bakeoff.spec.data import DataFacts
from bakeoff.store import Store
from bakeoff.study import Study, predictions_path
from tests.synthetic import Run, fill

CLASSES = 10
MODELS = ("resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "alexnet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One candidate of a stored study."""

    name: str
    correct: NDArray[np.bool_]
    """Shape (seeds, pictures)."""

    validation: float | None = 0.5
    """Mean of the seeds, which lie a little apart."""

    parameters: int = 1_000_000
    macs: int = 50_000_000
    minutes: float = 1.0
    """Of training."""

    costs: Mapping[str, Any] = field(default_factory=dict)
    """As measured; nothing if it was not."""


def bits(
    accuracy: float, *, seeds: int = 5, pictures: int = 10_000, blur: float = 0.03, seed: int = 0
) -> NDArray[np.bool_]:
    """Return results of networks that get the same easy pictures right: those of a difficulty below their accuracy.

    Networks of all accuracies see the same pictures. `blur` moves the bound for each seed and picture by itself, so
    the more of it there is the more two networks disagree.
    """
    difficulty = (np.random.default_rng(1).permutation(pictures) + 0.5) / pictures
    noise = np.random.default_rng(seed).normal(0, blur, (seeds, pictures))
    return difficulty[None, :] + noise < accuracy


def stored_study(folder: Path, networks: Sequence[Network]) -> Study:
    """Write a study folder with the predictions of every run."""
    facts = DataFacts(
        fingerprint="f", size=32, train_pictures=1000, classes=CLASSES, has_validation=False, flippable=True
    )
    spec = StudySpec.from_mapping({"name": "known", "seeds": [0, 1]}).resolve(facts)
    write_atomically(folder / "study.toml", spec.to_toml().encode())
    runs = [_run(network, seed) for network in networks for seed in range(len(network.correct))]
    with Store.create_or_open(folder / "results.sqlite") as store:
        fill(store, runs)
        for network in networks:
            if network.costs:
                store.set_costs(network.name, dict(network.costs))
    for network in networks:
        for seed, right in enumerate(network.correct):
            write_predictions(predictions_path(folder, f"{network.name}/{seed}"), right)
    return Study(folder)


def _run(network: Network, seed: int) -> Run:
    apart = 0.002 * (seed - (len(network.correct) - 1) / 2)
    accuracy = None if network.validation is None else network.validation + apart
    return Run(
        candidate=network.name,
        seed=seed,
        train=(0.6,),
        val=None if accuracy is None else (accuracy,),
        test=float(network.correct[seed].mean()),
        parameters=network.parameters,
        macs=network.macs,
        seconds=network.minutes * 60 / 1.25,
    )


def write_predictions(path: Path, right: NDArray[np.bool_]) -> None:
    """Write predictions that are right on these pictures and the next class on the others."""
    labels = np.arange(len(right), dtype=np.int64) % CLASSES
    predicted = np.where(right, labels, (labels + 1) % CLASSES)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_predictions(path, np.eye(CLASSES, dtype=np.float32)[predicted], np.arange(len(right), dtype=np.int64), labels)


def uneven_study(folder: Path, *networks: Network, seeds: int = 3, **keys: Any) -> Study:
    """Write the folder of a study that is running: of each network its seeds have finished, of those that all should have.

    Unlike in `stored_study`, the runs are those of the study file, so the audit knows their candidates.
    """
    facts = DataFacts(
        fingerprint="f", size=32, train_pictures=1000, classes=CLASSES, has_validation=False, flippable=True
    )
    candidates = [{"model": model, "name": one.name} for model, one in zip(MODELS, networks, strict=False)]
    spec = StudySpec.from_mapping(
        {"name": "uneven", "seeds": [*range(seeds)], "candidates": candidates, **keys}
    ).resolve(facts)
    write_atomically(folder / "study.toml", spec.to_toml().encode())
    runs = []
    for network, candidate in zip(networks, spec.candidates, strict=True):
        for seed in range(seeds):
            if seed < len(network.correct):
                run = replace(_run(network, seed), candidate=candidate.id, model=candidate.model)
                write_predictions(predictions_path(folder, run.id), network.correct[seed])
            else:
                run = Run(candidate=candidate.id, model=candidate.model, seed=seed, status=RunStatus.PENDING, test=None)
            runs.append((network.name, run))
    with Store.create_or_open(folder / "results.sqlite") as store:
        fill(store, [replace(run, label=name) for name, run in runs])
    return Study(folder)
