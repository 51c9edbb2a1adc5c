"""Finished studies made up by a test, healthy in everything that the audit looks at, kept as a driver keeps them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import bindparam, insert, update

from bakeoff.audit import kept
from bakeoff.audit.evidence import Baseline, Probes
from bakeoff.predictions import save_predictions
from bakeoff.records import EpochRecord, Health, RunResult, RunStatus
from bakeoff.schema import EPOCHS, RUNS
from bakeoff.spec import CandidateSpec, DataFacts, ResolvedStudy, RunSpec, StudySpec, labels
from bakeoff.store import PlannedRun, Store
from bakeoff.study import Study, predictions_path
from bakeoff.study.auditing import PROBES
from bakeoff.study.folder import DATABASE, write_study_file
from tests.audit.health_evidence import health
from tests.audit.probes import DATA, NETWORK, VIEW
from tests.costs import a_cost

CLASSES = 10
TRAIN, VALIDATION, TEST = 45_000, 5_000, 2_000
MACS = 50_000_000

FACTS = DataFacts(
    fingerprint="0123456789abcdef",
    size=32,
    train_pictures=TRAIN + VALIDATION,
    classes=CLASSES,
    has_validation=False,
    flippable=True,
)

Reached = Callable[[CandidateSpec], float]
"""A candidate's true accuracy, a share."""


def fair_study(**content: Any) -> ResolvedStudy:
    """Two networks of one recipe with five seeds."""
    fair = {
        "name": "fair",
        "seeds": [0, 1, 2, 3, 4],
        "data": {"source": "cifar10", "validation": VALIDATION},
        "recipe": {"epochs": 10, "schedule": "constant", "learning_rate": 0.001},
        "candidates": [{"model": ["resnet18", "mobilenet_v2"]}],
    }
    return StudySpec.from_mapping(fair | content).resolve(FACTS)


def finished(folder: Path, study: ResolvedStudy, reached: Reached, *, seed: int = 0) -> Study:
    """Keep a study whose runs have all finished and found what they should.

    Each picture has a difficulty, and a run answers it rightly or not by chance, as the errors of repeated runs are
    almost independent (Jordan 2023, arXiv:2304.01910).
    """
    random = np.random.default_rng(seed)
    hard = {"validation": random.normal(size=VALIDATION), "test": random.normal(size=TEST)}
    folder.mkdir(parents=True)
    write_study_file(folder, study)
    with Store.create_or_open(folder / DATABASE) as store:
        plan_runs(store, study)
        chances = {
            one.id: {split: _chances(reached(one), of) for split, of in hard.items()} for one in study.candidates
        }
        outcomes = []
        for run in study.runs():
            right = {split: random.random(len(of)) < of for split, of in chances[run.candidate.id].items()}
            outcomes.append(_outcome(folder, run, right, random))
        write_outcomes(store, outcomes)
        for candidate in study.candidates:
            store.set_costs(candidate.id, a_cost(macs=MACS, train_macs_per_image=3 * MACS).to_json())
        store.set_note(PROBES, kept.probes_to_json(_probes(study)))
    return Study(folder)


def plan_runs(store: Store, study: ResolvedStudy) -> None:
    """Write a study's runs as pending ones."""
    names = labels(study.candidates)
    store.add_runs(
        PlannedRun(
            run_id=run.id,
            candidate_id=run.candidate.id,
            label=names[run.candidate.id],
            model=run.candidate.model,
            seed=run.seed,
            spec_json=run.model_dump_json(),
            parameters=1_000_000,
            macs=MACS,
            changes=(),
        )
        for run in study.runs()
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went."""

    run_id: str
    records: list[EpochRecord]
    result: RunResult
    """With what was seen of its training."""


def write_outcomes(store: Store, outcomes: Iterable[Outcome]) -> None:
    """Store how runs went, all at once: one by one they take longer than all the rest."""
    outcomes = list(outcomes)
    end = update(RUNS).where(RUNS.c.run_id == bindparam("of"))
    with store._engine.begin() as connection:
        connection.execute(
            insert(EPOCHS), [{"run_id": one.run_id} | asdict(record) for one in outcomes for record in one.records]
        )
        connection.execute(
            end,
            [
                {
                    "of": one.run_id,
                    "status": one.result.status.value,
                    "test_loss": one.result.test_loss,
                    "test_accuracy": one.result.test_accuracy,
                    "seconds_test": one.result.seconds_test,
                    "health": dict(one.result.health or {}),
                }
                for one in outcomes
            ],
        )


def _chances(reached: float, hard: np.ndarray) -> np.ndarray:
    """Return each picture's chance of a right answer, of mean `reached`."""
    low, high = -10.0, 10.0
    for _ in range(30):
        middle = (low + high) / 2
        below = (1 / (1 + np.exp(-middle - 2 * hard))).mean() < reached
        low, high = (middle, high) if below else (low, middle)
    return 1 / (1 + np.exp(-low - 2 * hard))


def _outcome(folder: Path, run: RunSpec, right: dict[str, np.ndarray], random: np.random.Generator) -> Outcome:
    """Return how a run went, and keep its predictions."""
    validated, tested = (float(right[split].mean()) for split in ("validation", "test"))
    true = np.arange(TEST) % CLASSES
    answers = np.where(right["test"], true, (true + random.integers(1, CLASSES, TEST)) % CLASSES)
    where = predictions_path(folder, run.id)
    where.parent.mkdir(exist_ok=True)
    save_predictions(where, np.eye(CLASSES, dtype=np.float32)[answers], np.arange(TEST), true)
    result = RunResult(
        status=RunStatus.DONE,
        test_loss=3 * (1 - tested),
        test_accuracy=tested,
        seconds_test=1.0,
        message=None,
        health=_health(validated, random),
    )
    return Outcome(run.id, _course(run, validated, random), result)


def _course(run: RunSpec, validated: float, random: np.random.Generator) -> list[EpochRecord]:
    """Return the records of a run that rises fast, then flattens, and ends at an accuracy."""
    recipe = run.candidate.recipe
    curve = validated - 0.5 * np.exp(-12 * np.arange(recipe.epochs) / max(1, recipe.epochs - 1))
    noise = random.normal(scale=0.004, size=recipe.epochs)
    curve[:-1] += (noise if recipe.schedule == "constant" else noise * np.linspace(1, 0.1, recipe.epochs))[:-1]
    curve[-1] = validated
    return [
        EpochRecord(
            epoch=epoch + 1,
            steps=700,
            images=TRAIN,
            learning_rate=recipe.learning_rate,
            train_loss=3 * (1.02 - accuracy) * float(random.uniform(0.97, 1.03)),
            train_accuracy=accuracy,
            val_loss=3 * (1 - accuracy),
            val_accuracy=accuracy,
            seconds_train=290.0,
            seconds_evaluate=20.0,
            seconds_wait=4.0,
            micro_batch=recipe.batch_size,
        )
        for epoch, accuracy in enumerate(curve.tolist())
    ]


def _health(accuracy: float, random: np.random.Generator) -> Health:
    """Return what is seen of a healthy run."""
    return health(
        accuracy,
        VALIDATION,
        initial_loss=math.log(CLASSES) * float(random.uniform(0.97, 1.2)),
        worst_rise=1 + float(random.exponential(0.25)),
        updates={f"layer{place}.weight": 10 ** float(random.uniform(-3.2, -1.7)) for place in range(8)},
        scale_free=[f"layer{place}.weight" for place in range(7)],
        dead_channels={f"norm{place}": float(random.beta(1, 40)) for place in range(8)},
        train_accuracy=float(random.uniform(0.96, 1.0)),
        predicted=random.multinomial(VALIDATION, random.dirichlet(np.full(CLASSES, 30.0))).tolist(),
    )


def _probes(study: ResolvedStudy) -> Probes:
    ids = [candidate.id for candidate in study.candidates]
    each = {"train": TRAIN // CLASSES, "validation": VALIDATION // CLASSES, "test": TEST // CLASSES}
    data = replace(
        DATA,
        name="cifar10",
        classes=tuple(f"kind {number}" for number in range(CLASSES)),
        counts={split: (count,) * CLASSES for split, count in each.items()},
        constant=dict.fromkeys(each, 0),
        overlaps=tuple(replace(one, pictures=CLASSES * each[one.second]) for one in DATA.overlaps),
    )
    return Probes(
        views=dict.fromkeys(ids, VIEW),
        networks=dict.fromkeys(ids, NETWORK),
        data=data,
        baseline=Baseline(accuracy=0.3969, train_pictures=20_000, test_pictures=TEST, size=32),
    )
