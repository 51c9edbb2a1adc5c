"""A trial measures what a run costs, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.data import prepare
from bakeoff.errors import StudyError
from bakeoff.execution.messages import Task
from bakeoff.execution.probe import LEAST_STEPS, Trials, probe
from tests.builders import numerics, one_run


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
