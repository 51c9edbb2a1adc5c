"""Evidence about training that the tests of the health rules share: told by hand, or of tiny networks that were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.audit import Evidence, Finding, Severity, State, audit
from bakeoff.audit.evidence import DataProbe
from bakeoff.audit.health import RULES
from bakeoff.data import Dataset
from bakeoff.records import Health, RunStatus
from bakeoff.spec import ResolvedStudy, StudySpec, labels
from bakeoff.store import PlannedRun, Store
from bakeoff.study import facts_of
from tests.audit.studies import study
from tests.training.tiny import trained

CLASSES = 10


def health(accuracy: float = 0.7, pictures: int = 5000, **changes: Any) -> Health:
    """What is seen of a healthy run that classifies this share of its validation pictures rightly."""
    right = np.full(CLASSES, pictures // CLASSES)
    told = Health(
        classes=CLASSES,
        watched_from=0,
        steps=1000,
        initial_loss=2.4,
        initial_pictures=64,
        nonfinite=[],
        loss_course=[[0, 2.4], [999, 0.8]],
        smoothed_best=0.8,
        smoothed_last=0.82,
        worst_rise=1.2,
        worst_rise_step=3,
        last_rise=1.03,
        gradient_steps=10,
        without_gradient=[],
        not_in_optimizer=[],
        unmoved=[],
        update_steps=20,
        updates={"conv.weight": 3e-3, "fc.weight": 2e-3},
        scale_free=["conv.weight"],
        dead_channels={"bn": 0.02},
        train_pictures=2000,
        train_accuracy=accuracy + 0.05,
        predicted_on="validation",
        predicted=right.tolist(),
        labels=right.tolist(),
        accuracy=accuracy,
        blank_accuracy=0.1,
    )
    return told | changes  # type: ignore[return-value, operator]


def data_probe(classes: int = CLASSES, validation: int = 5000) -> DataProbe:
    """Pictures with nothing the matter."""
    return DataProbe(
        name="pictures",
        size=32,
        classes=tuple(f"kind {number}" for number in range(classes)),
        own_validation=False,
        counts={
            "train": (4500,) * classes,
            "validation": (validation // classes,) * classes,
            "test": (1000,) * classes,
        },
        constant={},
        overlaps=(),
        contradicting=0,
    )


def told(
    of: ResolvedStudy | None = None,
    *,
    seen: Mapping[tuple[int, int], Any] | None = None,
    every: Health | None = None,
    curves: Mapping[int, Sequence[float]] | None = None,
    losses: Mapping[int, Sequence[float]] | None = None,
    train_losses: Sequence[float] = (1.8, 1.2, 0.9),
    diverged: Sequence[tuple[int, int]] = (),
    failed: Sequence[tuple[int, int]] = (),
    pending: Sequence[tuple[int, int]] = (),
    tested: float | None = None,
    **known: Any,
) -> Evidence:
    """Evidence of a study all of whose runs have ended, but for those that are said to be pending.

    Args:
        of: The study, by default of three networks with two seeds.
        seen: The health of single runs, by places of candidate and seed; None where it was not looked at.
        every: The health of the other runs.
        curves: Validation accuracy by epoch, by place of candidate.
        losses: Validation loss by epoch, likewise.
        train_losses: Of every run.
        diverged: Places of candidate and seed of runs that diverged.
        failed: Likewise of runs that failed.
        pending: Likewise of runs that nobody has trained yet.
        tested: Test accuracy of every run.
        known: Further evidence.
    """
    of = of or study(seeds=[0, 1])
    rows, records = [], []
    statuses = dict.fromkeys(diverged, RunStatus.DIVERGED) | dict.fromkeys(failed, RunStatus.FAILED)
    statuses |= dict.fromkeys(pending, RunStatus.PENDING)
    for place, candidate in enumerate(of.candidates):
        for number, seed in enumerate(of.seeds):
            name = f"{candidate.id}/{seed}"
            at = (place, number)
            rows.append(
                {
                    "run_id": name,
                    "candidate_id": candidate.id,
                    "model": candidate.model,
                    "seed": seed,
                    "status": statuses.get(at, RunStatus.DONE),
                    "health": None if at in (*failed, *pending) else (seen or {}).get(at, every or health()),
                    "test_accuracy": tested,
                }
            )
            accuracies = () if at in (*failed, *pending) else (curves or {}).get(place, (0.4, 0.6, 0.7))
            for epoch, accuracy in enumerate(accuracies):
                records.append(
                    {
                        "run_id": name,
                        "epoch": epoch + 1,
                        "train_loss": train_losses[min(epoch, len(train_losses) - 1)],
                        "val_accuracy": accuracy,
                        "val_loss": (losses or {}).get(place, [1.0] * len(accuracies))[epoch],
                    }
                )
    content: dict[str, Any] = {
        "runs": pd.DataFrame(
            rows, columns=["run_id", "candidate_id", "model", "seed", "status", "health", "test_accuracy"]
        ),
        "epochs": pd.DataFrame(records, columns=["run_id", "epoch", "train_loss", "val_accuracy", "val_loss"]),
        "networks": {},
        "data": data_probe(),
    }
    return Evidence(study=of, labels=labels(of.candidates), **(content | known))


def asked(rule: str, evidence: Evidence) -> list[Finding]:
    """Return what one rule says."""
    (one,) = [one for one in RULES if one.id == rule]
    return audit(evidence, of=[one])


def fired(rule: str, evidence: Evidence) -> list[Finding]:
    """Return what one rule fires."""
    return [finding for finding in asked(rule, evidence) if finding.state is State.FIRES]


def only(rule: str, evidence: Evidence, severity: Severity) -> Finding:
    """Return the one thing that a rule fires, which is of this severity."""
    (finding,) = fired(rule, evidence)
    assert finding.severity is severity, finding
    assert finding.threshold
    assert finding.advice
    assert finding.blocks
    return finding


def trained_study(
    dataset: Dataset, folder: Path, *, seeds: Sequence[int] = (0,), recipe: Mapping[str, Any] | None = None
) -> Evidence:
    """Train a study of one candidate with the network that `tests.training.tiny` has put in place, and keep it as a driver does."""
    content = {
        "seeds": list(seeds),
        "stem": "original",
        "data": {"validation": 0.25},
        "recipe": {"optimizer": "sgd", "learning_rate": 0.05, "epochs": 6, "batch_size": 16} | dict(recipe or {}),
        "candidates": [{"model": "shufflenet_v2_x0_5"}],
    }
    of = StudySpec.from_mapping(content).resolve(facts_of(dataset, None))
    names = labels(of.candidates)
    with Store.create_or_open(folder / "results.sqlite") as store:
        store.add_runs(
            PlannedRun(
                run_id=run.id,
                candidate_id=run.candidate.id,
                label=names[run.candidate.id],
                model=run.candidate.model,
                seed=run.seed,
                spec_json=run.model_dump_json(),
                parameters=1,
                macs=1,
                changes=(),
            )
            for run in of.runs()
        )
        for run in of.runs():
            records, result = trained(run, dataset, folder / run.id)
            assert result.health is not None
            for record in records:
                store.record_epoch(run.id, record)
            store.set_health(run.id, dict(result.health))
            store.finish(run.id, result)
        runs, epochs = store.runs_frame(), store.epochs_frame()
    data = data_probe(len(dataset.classes), round(0.25 * len(dataset.train)))
    return Evidence(study=of, labels=names, runs=runs, epochs=epochs, networks={}, data=data)
