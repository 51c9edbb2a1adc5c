"""Real processes are killed for real, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from bakeoff.spec import StudySpec
from bakeoff.study import Study, predictions_path
from bakeoff.training.checkpoint import load
from tests.study.tiny import TINY

pytestmark = pytest.mark.slow

KILLED = {"epochs": 18, "batch_size": 35, "schedule": "cosine"}


def start(folder: Path) -> subprocess.Popen[bytes]:
    study = folder.parent / "killed.toml"
    if not study.exists():
        study.write_text(StudySpec.from_mapping(TINY | {"recipe": KILLED, "seeds": [0]}).to_toml())
    command = [
        sys.executable,
        "-c",
        "from bakeoff.cli import main; main()",
        "run",
        str(study),
        "--out",
        str(folder),
        "--workers",
        "2",
        "--no-costs",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finished_numbers(
    folder: Path,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, torch.Tensor]], dict[str, bytes]]:
    """All that must not depend on how often a study was killed."""
    study = Study(folder)
    runs, epochs = study.runs(), study.epochs()
    weights = {}
    for run_id in runs["run_id"]:
        checkpoint = load(folder / "checkpoints" / run_id, run_id, pytest.fail)
        assert checkpoint is not None
        weights[run_id] = checkpoint.network
    predictions = {run_id: predictions_path(folder, run_id).read_bytes() for run_id in runs["run_id"]}
    timeless = [column for column in epochs.columns if not column.startswith("seconds")]
    return runs[["run_id", "status", "test_loss", "test_accuracy", "numerics"]], epochs[timeless], weights, predictions


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "study"
    assert start(folder).wait() == 0
    return folder


def assert_the_same_bits(folder: Path, uninterrupted: Path) -> None:
    runs, epochs, weights, predictions = finished_numbers(folder)
    expected_runs, expected_epochs, expected_weights, expected_predictions = finished_numbers(uninterrupted)
    pd.testing.assert_frame_equal(runs, expected_runs, check_exact=True)
    pd.testing.assert_frame_equal(epochs, expected_epochs, check_exact=True)
    for run_id, tensors in expected_weights.items():
        assert all(torch.equal(weights[run_id][name], tensor) for name, tensor in tensors.items())
    assert predictions == expected_predictions


@pytest.mark.timeout(120)  # the first one starts with the uninterrupted study
@pytest.mark.parametrize("part", [0, 1])
def test_a_study_killed_at_ten_random_moments_ends_with_the_same_bits(
    part: int, uninterrupted: Path, tmp_path: Path
) -> None:
    """Twenty kills in both parts, each of a process of its own, half of them while it trains (see killing.py)."""
    harness = Path(__file__).with_name("killing.py")
    study = uninterrupted.parent / "killed.toml"
    finished = subprocess.run(
        [sys.executable, str(harness), str(study), str(tmp_path / "study"), str(part), "10"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    kills = json.loads(finished.stdout)
    assert kills["killed"] == 10
    assert kills["while_training"] >= 5
    assert_the_same_bits(tmp_path / "study", uninterrupted)


def test_a_killed_command_goes_on_when_it_is_given_again(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    process = start(folder)
    while newest_checkpoint(folder) == 0 and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert start(folder).wait() == 0
    assert_the_same_bits(folder, uninterrupted)


def newest_checkpoint(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.glob("checkpoints/*/last.ckpt")), default=0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_second_ctrl_c_stops_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    study = tmp_path / "long.toml"
    study.write_text(StudySpec.from_mapping(TINY | {"recipe": KILLED | {"epochs": 5000}, "seeds": [0]}).to_toml())
    folder = tmp_path / "study"
    command = [sys.executable, "-c", "from bakeoff.cli import main; main()", "run", str(study), "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while newest_checkpoint(folder) == 0 and process.poll() is None:
        time.sleep(0.05)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for worker in workers:
        os.kill(int(worker), signal.SIGSTOP)  # so that it cannot save: only a second signal ends the command
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"Stopped at once; what was saved before is kept. The same command goes on, or: bakeoff run {folder}" in said
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_ctrl_c_saves_within_a_step_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    study = tmp_path / "long.toml"
    study.write_text(StudySpec.from_mapping(TINY | {"recipe": KILLED | {"epochs": 5000}, "seeds": [0]}).to_toml())
    command = [sys.executable, "-c", "from bakeoff.cli import main; main()", "run", str(study), "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while newest_checkpoint(folder) == 0 and process.poll() is None:
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - asked < 20
    assert "The same command goes on" in said
    assert set(Study(folder).runs()["status"]) == {"pending"}
    records = Study(folder).epochs()
    for run_id, group in records.groupby("run_id"):
        checkpoint = load(folder / "checkpoints" / str(run_id), str(run_id), pytest.fail)
        assert checkpoint is not None
        assert [record.epoch for record in checkpoint.progress.history] == group["epoch"].tolist()
