"""A trial measures what a run costs, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bakeoff.data import prepare
from bakeoff.errors import StudyError
from bakeoff.execution.messages import Task
from bakeoff.execution.probe import LEAST_STEPS, Trials, measure, probe
from bakeoff.training import trainer
from bakeoff.training.trainer import Trainer
from tests.builders import numerics, one_run

pytestmark = pytest.mark.slow


def test_a_trial_measures_time_memory_and_size_and_writes_nothing(tmp_path: Path) -> None:
    digits = prepare("digits")
    run = one_run(digits, batch_size=32)
    task = Task(
        run=run,
        dataset=digits.folder,
        numerics=numerics(run),
        checkpoints=tmp_path / "run",
        predictions=tmp_path / "p.npz",
    )
    found = probe(task)
    assert 0 < found.seconds_a_step < 10
    assert 0 < found.seconds_a_scored_picture < 1
    assert found.steps_timed >= 3
    assert found.peak_memory is None or found.peak_memory > 100e6  # torch alone takes more
    # 352 thousand parameters as float32 with Adam's two moments: 4.2 MB, and little more
    assert 4e6 < found.checkpoint < 5e6
    assert not (tmp_path / "run").exists()


def test_short_batches_at_an_epochs_end_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = prepare("digits")
    run = one_run(digits, batch_size=700)  # an epoch has one such batch, and a shorter one
    sizes: list[int] = []

    def step(trainer: Trainer, inputs: torch.Tensor, labels: torch.Tensor, step: int) -> None:
        sizes.append(len(labels))

    monkeypatch.setattr(Trainer, "step", step)
    nowhere = Path("no")
    measure(Task(run=run, dataset=digits.folder, numerics=numerics(run), checkpoints=nowhere, predictions=nowhere))
    assert len(sizes) > LEAST_STEPS
    assert set(sizes) == {700}


@pytest.mark.parametrize("first_short", [1, 4], ids=["at once", "while it is timed"])
def test_a_trial_with_too_little_memory_begins_again_in_smaller_parts_and_waits_once(
    first_short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = prepare("digits")
    run = one_run(digits, batch_size=16)
    task = Task(run=run, dataset=digits.folder, numerics=numerics(run), checkpoints=Path("no"), predictions=Path("no"))
    sizes, waited = [], []
    forward = Trainer._forward

    def limited(trainer: Trainer, inputs: torch.Tensor, labels: torch.Tensor) -> object:
        sizes.append(len(labels))
        if len(labels) > 5 and len(sizes) >= first_short:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(trainer, inputs, labels)

    monkeypatch.setattr(Trainer, "_forward", limited)
    found = measure(task, lambda: waited.append(len(sizes)))
    assert found.steps_timed >= LEAST_STEPS
    assert sizes[first_short - 1 :][:6] == [16, 8, 4, 4, 4, 4]
    assert len(waited) == 1


def test_scoring_with_too_little_memory_begins_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = prepare("digits")
    run = one_run(digits, batch_size=16)
    task = Task(run=run, dataset=digits.folder, numerics=numerics(run), checkpoints=Path("no"), predictions=Path("no"))
    build = trainer.build_network

    def limited(*given: Any) -> nn.Module:
        def refuse(network: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            if len(inputs[0]) > 40:
                raise torch.OutOfMemoryError("CUDA out of memory")

        network = build(*given)
        network.register_forward_pre_hook(refuse)
        return network

    monkeypatch.setattr(trainer, "build_network", limited)
    assert measure(task).seconds_a_scored_picture > 0


def test_processes_try_one_task_after_another_at_the_same_time() -> None:
    digits = prepare("digits")
    tasks = [
        Task(run=run, dataset=digits.folder, numerics=numerics(run), checkpoints=Path("no"), predictions=Path("no"))
        for run in (one_run(digits, batch_size=32), one_run(digits, batch_size=64, early_sizes=[[4, 0.5]]))
    ]
    with Trials(2, 1) as trials:
        found = [trials.measure(task) for task in tasks]
        with pytest.raises(StudyError, match="shufflenet"):
            trials.measure(replace(tasks[0], dataset=Path("nowhere")))
    assert all(0 < one.seconds_a_step < 10 for one in found)
    assert found[1].steps_timed >= 2 * LEAST_STEPS  # at both sizes
    assert all(process.poll() is not None for process in trials._processes)
