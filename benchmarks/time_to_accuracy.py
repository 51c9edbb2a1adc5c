"""How many seconds of training until an accuracy: speednet with its recipe, and the classics.

    python benchmarks/time_to_accuracy.py --data my_cifar10/                       # speednet, three seeds
    python benchmarks/time_to_accuracy.py --data my_cifar10/ --models speednet,resnet18 --seeds 0 --save mine

All training pictures are trained on; the test set is scored after every epoch, outside the seconds, and decides nothing.
The seconds are those of the first epoch that ends at or above the accuracy (82.12 %: the best of the paper's networks).
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from throughput import hardware, keep, keep_freed_memory

from bakeoff.data import Dataset, prepare
from bakeoff.data.cache import cache_root
from bakeoff.records import Numerics
from bakeoff.spec import CandidateGrid, RunSpec, StudySpec
from bakeoff.study.machine import resolve_device
from bakeoff.study.planning import Plan, facts_of, plan_resolved
from bakeoff.study.tuning import choose_numerics
from bakeoff.training.loop import train

PAPER = 0.8212
"""Best test accuracy in the paper: ResNet-18 after 30 epochs."""

CONSOLE = Console()


def planned(
    models: list[str], seeds: list[int], epochs: int | None, dataset: Dataset, device: str, precision: str
) -> Plan:
    """Plan the runs: speednet with its own recipe, the others with bakeoff's defaults."""
    study = StudySpec(
        name="time-to-accuracy",
        seeds=seeds,
        precision=precision,
        candidates=[
            CandidateGrid(model=model, recipe="speed" if model == "speednet" else None, epochs=epochs)
            for model in models
        ],
    ).resolve(facts_of(dataset, None))
    return plan_resolved(study, dataset, folder=Path(), cache=cache_root(None), device=device, workers=1)


def measure(run: RunSpec, dataset: Dataset, numerics: Numerics, target: float) -> dict[str, Any]:
    """Train a run and return the seconds until the target, those in all, and the accuracy by epoch."""
    seconds, until, accuracies = 0.0, None, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for record in train(run, dataset, numerics=numerics, folder=path, predictions=path / "predictions"):
            seconds += record.seconds_train + record.seconds_wait
            accuracies.append(record.val_accuracy)
            if until is None and record.val_accuracy is not None and record.val_accuracy >= target:
                until = seconds
            CONSOLE.print(
                f"{run.candidate.model}, seed {run.seed}: epoch {record.epoch} of {run.candidate.recipe.epochs}, "
                f"{seconds:.0f} s, {100 * (record.val_accuracy or 0):.2f} % of the test set",
                highlight=False,
            )
    return {"seconds_until": until, "seconds": seconds, "accuracies": accuracies}


def said(values: list[float], unit: str, digits: int) -> str:
    """Return mean and standard deviation in words."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread} {unit}"


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="a data set, as `bakeoff run` takes it")
    parser.add_argument("--models", default="speednet", help="with commas between")
    parser.add_argument("--seeds", default="0,1,2", help="with commas between")
    parser.add_argument("--epochs", type=int, help="default: 9 for speednet, 10 for the others")
    parser.add_argument("--target", type=float, default=PAPER, help="accuracy in [0, 1]; default %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="default: bfloat16 on a GPU")
    parser.add_argument("--save", metavar="NAME", help="keep the results as benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    keep_freed_memory()
    pictures = prepare(arguments.data)
    # The test set stands in for the validation set, so that it is scored after every epoch.
    dataset = dataclasses.replace(pictures, validation=pictures.test)
    models, seeds = arguments.models.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    device = resolve_device(arguments.device)
    precision = arguments.precision or ("bfloat16" if device.startswith("cuda") else "float32")
    plan = planned(models, seeds, arguments.epochs, dataset, device, precision)
    numerics = choose_numerics(plan, plan.runs())
    results: dict[str, list[dict[str, Any]]] = {}
    for run in plan.runs():
        results.setdefault(run.candidate.model, []).append(measure(run, dataset, numerics[run.id], arguments.target))
    CONSOLE.print(table(results, arguments.target))
    if arguments.save:
        content = {
            "benchmark": "time_to_accuracy",
            "date": datetime.date.today().isoformat(),
            "data": pictures.name,
            "command": " ".join(["python benchmarks/time_to_accuracy.py", *sys.argv[1:]]),
            "precision": precision,
            "target": arguments.target,
            "hardware": hardware(),
            "candidates": [candidate.model_dump(mode="json") for candidate in plan.study.candidates],
            "results": results,
        }
        keep(arguments.save, content)


def table(results: dict[str, list[dict[str, Any]]], target: float) -> Table:
    """Return the results as a table. A run that never got there has no seconds, and is counted."""
    found = Table(box=box.SIMPLE_HEAD)
    for column in ("network", "runs", f"until {100 * target:.2f} %", "in all", "test accuracy at the end"):
        found.add_column(column, justify="left" if column == "network" else "right")
    for model, runs in results.items():
        there = [run["seconds_until"] for run in runs if run["seconds_until"] is not None]
        until = said(there, "s", 0) if there else "never"
        if there and len(there) < len(runs):
            until += f" ({len(there)} of {len(runs)} runs)"
        final = said([100 * run["accuracies"][-1] for run in runs], "%", 2)
        found.add_row(model, str(len(runs)), until, said([run["seconds"] for run in runs], "s", 0), final)
    return found


if __name__ == "__main__":
    main()
