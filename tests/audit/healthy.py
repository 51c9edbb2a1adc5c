"""Small studies that are really trained and have nothing the matter: what no rule may fire on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from bakeoff.audit import Finding, kept
from bakeoff.audit.evidence import Probes
from bakeoff.data import Dataset, Pictures
from bakeoff.data.batches import derived_seed
from bakeoff.data.splits import split_indices
from bakeoff.spec import ResolvedStudy, RunSpec, StudySpec
from bakeoff.store import Store
from bakeoff.study import Study, facts_of, predictions_path
from bakeoff.study.auditing import PROBES
from bakeoff.study.evidence import baseline, networks
from bakeoff.study.evidence.pictures import data_probe
from bakeoff.study.evidence.views import ViewProber
from bakeoff.study.folder import DATABASE, write_study_file
from bakeoff.training import one_batch, trainer
from tests.audit.made_up import Outcome, plan_runs, write_outcomes
from tests.training.tiny import trained

FIRST = 400
"""Number of the first study that counts: rules were tuned on those below, H9 on 100 to 199, S4 on 200 to 299, H8 on 300 to 399."""

STUDIES = 100

SEEDS = [0, 1, 2, 3, 4]
"""As many as a verdict asks for; with fewer S1 is right to fire."""

MODELS = ("resnet18", "alexnet", "mobilenet_v2", "shufflenet_v2_x1_0")
"""Names under which small networks are compared."""

Chance = np.random.Generator


# Pictures


def stripes(labels: np.ndarray, classes: int, side: int, chance: Chance) -> np.ndarray:
    """Stripes whose direction is the class, at a random place, in noise: nothing that a single pixel tells."""
    count = len(labels)
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    angles = np.pi * labels / classes
    along = np.cos(angles)[:, None, None] * across + np.sin(angles)[:, None, None] * down
    waves = np.sin(2 * np.pi * (along / 3.2 + chance.random(count)[:, None, None]))
    strength = chance.uniform(25, 75, size=(count, 1, 1, 1)) * chance.uniform(0.5, 1.0, size=(count, 1, 1, 3))
    light = 120 + chance.normal(scale=30, size=(count, 1, 1, 3))
    return light + strength * waves[..., None] + chance.normal(scale=25, size=(count, side, side, 3))


def shapes(labels: np.ndarray, classes: int, side: int, chance: Chance) -> np.ndarray:
    """Small signs, one for each class, somewhere on black, in any brightness, as digits are."""
    signs = np.random.default_rng(11).random((8, 4, 4)) < 0.5
    pixels = chance.normal(4, 4, size=(len(labels), side, side, 3))
    for picture, label in zip(pixels, labels, strict=True):
        top, left = chance.integers(0, side - 3, size=2)
        picture[top : top + 4, left : left + 4] += signs[label][..., None] * chance.uniform(60, 220)
    return pixels + chance.normal(scale=18, size=pixels.shape)


def faint(labels: np.ndarray, classes: int, side: int, chance: Chance) -> np.ndarray:
    """Stripes of so little contrast that black around a picture would lie many deviations away."""
    seen = stripes(labels, classes, side, chance)
    return 150 + (seen - 120) / 6


KINDS: tuple[Callable[[np.ndarray, int, int, Chance], np.ndarray], ...] = (stripes, shapes, faint)


def dataset(folder: Path, chance: Chance) -> Dataset:
    """Pictures of some kind, of 8 or 9 pixels and two to four classes that are about as frequent."""
    kind, classes, side = KINDS[chance.integers(len(KINDS))], int(chance.integers(2, 5)), int(chance.integers(8, 10))
    counts = np.round(80 * chance.uniform(1.0, 1.35, size=classes)).astype(int)

    def pictures(of: np.ndarray) -> Pictures:
        labels = chance.permutation(np.repeat(np.arange(classes, dtype=np.int64), of))
        pixels = kind(labels, classes, side, chance)
        return Pictures(pixels.clip(0, 255).astype(np.uint8), labels)

    # A test set as it is found: drawn like the training pictures, not counted out.
    train, test = pictures(counts), pictures(chance.multinomial(50 * classes, counts / counts.sum()))
    scaled = train.pixels.reshape(-1, 3) / 255
    return Dataset(
        name=kind.__name__,
        folder=folder,
        fingerprint=f"{kind.__name__}-{classes}-{side}",
        classes=tuple(f"class {number}" for number in range(classes)),
        train=train,
        validation=None,
        test=test,
        mean=tuple(scaled.mean(axis=0).tolist()),
        std=tuple(scaled.std(axis=0).tolist()),
        flippable=False,
        notes=(),
    )


# Networks


@dataclass(frozen=True, slots=True)
class Small:
    """A network that stands in the place of a model: a few convolutions."""

    channels: int
    norm: str
    """`batch` or `group`."""

    activation: str
    """`relu` or `silu`."""

    def make(self, classes: int) -> nn.Module:
        layers: list[nn.Module] = []
        for inputs in (3, self.channels):
            layers += [nn.Conv2d(inputs, self.channels, 3, padding=1), *self._norm()]
            layers.append(nn.ReLU() if self.activation == "relu" else nn.SiLU())
        pool: list[nn.Module] = [nn.AdaptiveMaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, *pool, nn.Linear(4 * self.channels, classes))

    def _norm(self) -> list[nn.Module]:
        if self.norm == "batch":
            return [nn.BatchNorm2d(self.channels)]
        return [nn.GroupNorm(4, self.channels)]


def small_networks(chance: Chance) -> dict[str, Small]:
    """Two or three networks by the names of the models whose place they take, no two alike: those would be one (P8)."""
    found: dict[str, Small] = {}
    for model in chance.choice(MODELS, size=chance.choice([2, 2, 2, 3]), replace=False):
        while (one := _small(chance)) in found.values():
            pass
        found[str(model)] = one
    return found


def _small(chance: Chance) -> Small:
    return Small(
        channels=int(chance.choice([16, 20])),
        norm=str(chance.choice(["batch", "batch", "group"])),
        activation=str(chance.choice(["relu", "relu", "silu"])),
    )


@contextmanager
def in_place_of_models(small: dict[str, Small]) -> Iterator[None]:
    """Let every run build its small network, with the weights of its seed."""

    def build(run: RunSpec, dataset: Dataset) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, 0, "weights"))
            return small[run.candidate.model].make(len(dataset.classes))

    with ExitStack() as patched:
        for module in (trainer, networks, one_batch):
            patched.enter_context(mock.patch.object(module, "build_network", build))
        yield


# Studies


def healthy_study(folder: Path, number: int) -> Study:
    """Train a study of a few small networks, and keep it with what is measured of it as a driver would.

    Args:
        folder: Of the study, which is made.
        number: Which one: equal numbers give equal studies.
    """
    chance = np.random.default_rng(number)
    pictures, small = dataset(folder / "cache", chance), small_networks(chance)
    study = StudySpec.from_mapping(_content(number, list(small), pictures, chance)).resolve(facts_of(pictures, None))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with in_place_of_models(small):
            _train_and_keep(folder, study, pictures)
    finally:
        torch.set_num_threads(threads)
    return Study(folder)


def _content(number: int, models: list[str], pictures: Dataset, chance: Chance) -> dict[str, Any]:
    """Return a study file that breaks no rule: one recipe for all, or one grid, around rates that suit the optimizer."""
    optimizer, rate = [("adam", 0.003), ("adamw", 0.003), ("sgd", 0.02)][chance.integers(3)]
    schedule = str(chance.choice(["constant", "cosine", "one_cycle", "linear"]))
    rate *= 0.5 if schedule == "constant" else 1.0
    padded = pictures.name != faint.__name__ and chance.random() < 0.7  # black around bright pictures is a fault
    view = {"crop": pictures.size, "padding": 1, "random": True} if padded else {}
    return {
        "name": f"healthy-{number}",
        "seeds": SEEDS,
        "stem": "original",
        "data": {"validation": 0.25},
        "view": {"normalize": "data", "train": view},
        "audit": {"smallest_difference": 0.1},  # what five seeds of such networks can show
        "recipe": {
            "optimizer": optimizer,
            "learning_rate": rate,
            "schedule": schedule,
            "epochs": int(chance.integers(11, 14)),
            "warmup_epochs": 2,
            "batch_size": int(chance.choice([16, 24])),
        },
        "candidates": [{"model": models}],
    }


def _train_and_keep(folder: Path, study: ResolvedStudy, pictures: Dataset) -> None:
    runs = study.runs()
    indices = split_indices(pictures, runs[0])
    views, prober = ViewProber(pictures, indices), networks.NetworkProber(pictures, indices)
    first = {run.candidate.id: run for run in runs if run.seed == study.seeds[0]}
    probes = Probes(
        views={one: views.probe(run.candidate) for one, run in first.items()},
        networks={one: prober.probe(run) for one, run in first.items()},
        data=data_probe(pictures, indices),
        baseline=baseline(pictures, indices),
        one_batch={one: prober.learn_by_heart(run, "cpu") for one, run in first.items()},
    )
    folder.mkdir(parents=True)
    write_study_file(folder, study)
    with Store.create_or_open(folder / DATABASE) as store:
        plan_runs(store, study)
        write_outcomes(store, [_trained(folder, run, pictures) for run in runs])
        store.set_note(PROBES, kept.probes_to_json(probes))


def _trained(folder: Path, run: RunSpec, pictures: Dataset) -> Outcome:
    where = folder / "checkpoints" / run.id
    records, result = trained(run, pictures, where)
    target = predictions_path(folder, run.id)
    target.parent.mkdir(exist_ok=True)
    (where / "predictions.npz").rename(target)
    return Outcome(run.id, records, result)


def findings_of_healthy(number: int) -> list[Finding]:
    """Return what the audit says of one of the healthy studies."""
    with tempfile.TemporaryDirectory() as folder:
        return healthy_study(Path(folder) / "study", number).findings()
