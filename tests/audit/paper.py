"""What the paper's author recorded of its eight runs, as a study's database would hold it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bakeoff.records import EpochRecord, RunResult, RunStatus
from bakeoff.spec import ResolvedStudy, labels
from bakeoff.store import PlannedRun, Store

# Of the last epoch: training loss and accuracy from the curves published with the paper, test loss and accuracy from
# the four test results that there are.
RECORDED: dict[tuple[str, str, float, int], tuple[float, float, float | None, float | None]] = {
    ("resnet18", "adam", 0.01, 30): (0.4197, 0.8560, 0.5659, 0.8144),
    ("resnet18", "adam", 0.001, 30): (0.3458, 0.8782, 0.5589, 0.8212),
    ("resnet18", "sgd", 0.01, 30): (0.4190, 0.8512, 0.6186, 0.7908),
    ("resnet18", "sgd", 0.001, 30): (0.5829, 0.7930, 0.7435, 0.7476),
    ("resnet18", "adam", 0.001, 20): (0.4464, 0.8455, None, None),
    ("alexnet", "adam", 0.001, 30): (0.7533, 0.7434, None, None),
    ("mobilenet_v2", "sgd", 0.01, 30): (2.0062, 0.2581, None, None),
    ("mobilenet_v2", "adam", 0.001, 12): (2.0694, 0.2266, None, None),
}

MACS = {"resnet18": 37_017_000, "alexnet": 710_130_000, "mobilenet_v2": 6_125_000}


def recorded(path: Path, study: ResolvedStudy) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs and epochs tables of the paper's records."""
    names = labels(study.candidates)
    with Store.create_or_open(path / "results.sqlite") as store:
        store.add_runs(
            PlannedRun(
                run_id=run.id,
                candidate_id=run.candidate.id,
                label=names[run.candidate.id],
                model=run.candidate.model,
                seed=run.seed,
                spec_json=run.model_dump_json(),
                parameters=1,
                macs=MACS[run.candidate.model],
                changes=(),
            )
            for run in study.runs()
        )
        for run in study.runs():
            recipe = run.candidate.recipe
            key = (run.candidate.model, recipe.optimizer, recipe.learning_rate, recipe.epochs)
            train_loss, train_accuracy, test_loss, test_accuracy = RECORDED[key]
            store.record_epoch(
                run.id,
                EpochRecord(
                    epoch=recipe.epochs,
                    steps=782,
                    images=50_000,
                    learning_rate=recipe.learning_rate,
                    train_loss=train_loss,
                    train_accuracy=train_accuracy,
                    val_loss=None,
                    val_accuracy=None,
                    seconds_train=60.0,
                    seconds_evaluate=0.0,
                    seconds_wait=0.0,
                    micro_batch=64,
                ),
            )
            store.finish(
                run.id,
                RunResult(
                    status=RunStatus.DONE,
                    test_loss=test_loss,
                    test_accuracy=test_accuracy,
                    seconds_test=1.0,
                    message=None,
                ),
            )
        return store.runs_frame(), store.epochs_frame()
