"""What does it cost to watch a run's health? Seconds spent on it, as a share of the seconds of training.

    python benchmarks/health.py --data my_cifar10/
    python benchmarks/health.py --data my_cifar10/ --models resnet18,mobilenet_v2 --epochs 5 --save mine

Health is what the audit later judges runs by: losses, gradients, updates, dead channels, clean training accuracy. Many
looks are a fixed number a run, so that the share falls with its length.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from throughput import CONSOLE, hardware, keep, keep_freed_memory

from bakeoff.data import Dataset, prepare
from bakeoff.data.cache import cache_root
from bakeoff.records import Health, Numerics
from bakeoff.spec import CandidateGrid, RunSpec, StudySpec
from bakeoff.study.planning import facts_of, plan_resolved
from bakeoff.study.tuning import choose_numerics
from bakeoff.training import trainer
from bakeoff.training.health import Watch
from bakeoff.training.loop import train


class TimedWatch(Watch):
    """A watch that counts the seconds it takes."""

    seconds = 0.0

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        TimedWatch.seconds += time.perf_counter() - started

    @contextlib.contextmanager
    def update(self) -> Iterator[None]:
        """See `Watch`."""
        looking = super().update()
        with self._timed():
            looking.__enter__()
        yield
        with self._timed():
            looking.__exit__(None, None, None)

    def stepped(self, loss: torch.Tensor, pictures: int) -> None:
        """See `Watch`."""
        with self._timed():
            super().stepped(loss, pictures)

    def validated(self, *arguments: Any) -> None:
        """See `Watch`."""
        with self._timed():
            super().validated(*arguments)

    def state(self) -> dict[str, Any]:
        """See `Watch`."""
        with self._timed():
            return super().state()

    def finished(self, *arguments: Any) -> Health:
        """See `Watch`."""
        with self._timed():
            return super().finished(*arguments)


def measure(run: RunSpec, dataset: Dataset, numerics: Numerics) -> dict[str, float]:
    """Train a run and return the seconds in all, those of training, and those of watching it."""
    TimedWatch.seconds, started = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        records = train(run, dataset, numerics=numerics, folder=path, predictions=path / "predictions")
        training = sum(record.seconds_train + record.seconds_wait for record in records)
    return {"all": time.perf_counter() - started, "training": training, "watching": TimedWatch.seconds}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="a data set, as `bakeoff run` takes it")
    parser.add_argument("--models", default="resnet18", help="with commas between")
    parser.add_argument("--limit", type=int, default=10_000, help="training pictures; default %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="default %(default)s")
    parser.add_argument("--save", metavar="NAME", help="keep the results as benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    keep_freed_memory()
    trainer.Watch = TimedWatch  # type: ignore[misc]
    dataset = prepare(arguments.data)
    study = StudySpec(
        seeds=[0],
        stem="original",
        data={"limit": arguments.limit},
        recipe={"epochs": arguments.epochs},
        candidates=[CandidateGrid(model=model) for model in arguments.models.split(",")],
    ).resolve(facts_of(dataset, arguments.limit))
    plan = plan_resolved(study, dataset, folder=Path(), cache=cache_root(None), device="cpu", workers=1)
    numerics = choose_numerics(plan, plan.runs())
    results = {run.candidate.model: measure(run, dataset, numerics[run.id]) for run in plan.runs()}
    for model, seconds in results.items():
        CONSOLE.print(
            f"{model}: {seconds['watching']:.2f} s of watching beside {seconds['training']:.0f} s of training: "
            f"{100 * seconds['watching'] / seconds['training']:.2f} %",
            highlight=False,
        )
    if arguments.save:
        content = {
            "benchmark": "health",
            "date": datetime.date.today().isoformat(),
            "command": " ".join(["python benchmarks/health.py", *sys.argv[1:]]),
            "hardware": hardware(),
            "results": results,
        }
        keep(arguments.save, content)


if __name__ == "__main__":
    main()
