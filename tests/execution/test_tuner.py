"""Convolutions are measured in a process of their own, once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.errors import StudyError
from bakeoff.execution import tuner
from bakeoff.execution.tuner import Job, tune

JOB = Job(model="alexnet", classes=4, stem="small", size=8, batch=2, precision="float32")


def test_networks_are_measured_once_and_remembered_for_their_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress: list[tuple[int, int]] = []
    (first,) = tune([JOB], threads=1, folder=tmp_path, peak=True, on_layer=lambda *told: progress.append(told))
    assert [layer.name for layer in first.layers] == [f"features.{number}" for number in (0, 3, 6, 8, 10)]
    assert set(first.choices) <= {layer.name for layer in first.layers}
    assert first.peak is not None
    assert first.peak > 1e8
    assert progress[-1] == (5, 5)
    monkeypatch.setattr(tuner, "_asked", lambda *_: pytest.fail("a process was started"))
    assert tune([JOB], threads=1, folder=tmp_path) == [replace(first, peak=None)]


def test_a_failure_is_told_with_its_last_words_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"failed: .*positive.*--no-tune"):
        tune([JOB], threads=0, folder=tmp_path)


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let another program serve in the tuner's place."""
    monkeypatch.setattr(tuner, "command", lambda _: [sys.executable, "-c", text])


@pytest.mark.timeout(60)
def test_many_warnings_hold_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = '{"tuned": [{"layers": [], "choices": {}, "joined": [], "peak": 1.0, "remark": null}]}'
    program(monkeypatch, f"import sys; sys.stdin.read(); sys.stderr.write('a warning\\n' * 50_000); print('{told}')")
    (found,) = tune([JOB], threads=1, folder=tmp_path, peak=True)
    assert found.peak == 1.0


def test_a_process_that_ends_before_it_is_asked_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(monkeypatch, "import sys; sys.exit('no libtorch')")
    many = [replace(JOB, batch=size) for size in range(1, 2000)]  # more than a pipe holds
    with pytest.raises(StudyError, match=r"failed: no libtorch; `bakeoff run --no-tune`"):
        tune(many, threads=1, folder=tmp_path, peak=True)
