"""A study is planned, executed, recorded, and goes on after anything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import bakeoff
from bakeoff.data import prepare
from bakeoff.errors import DataError, SpecError, StudyError
from bakeoff.records import EpochRecord, RunResult, RunStatus, StepReport
from bakeoff.spec import StudySpec
from bakeoff.store import Store
from bakeoff.study import Outcome, Plan, Study, divide_cores, execute, facts_of, plan, plan_folder, predictions_path
from bakeoff.training.checkpoint import load
from bakeoff.training.predictions import load_predictions

TINY: dict[str, Any] = {
    "name": "tiny",
    "seeds": [0, 1],
    "stem": "original",
    "data": {"source": "digits", "validation": 20, "limit": 160},
    "recipe": {"epochs": 2, "batch_size": 35},
    "candidates": [{"model": "shufflenet_v2_x0_5", "learning_rate": [0.01, 0.001]}],
}


class Notes:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.warnings: list[str] = []
        self.failed: list[str] = []
        self.finished: list[RunResult] = []

    def stage(self, name: str, done: int, total: int | None) -> None: ...

    def start(self, total_runs: int, labels: dict[str, str]) -> None: ...

    def run_started(self, run_id: str, label: str, epochs: int) -> None:
        self.started.append(label)

    def step(self, run_id: str, report: StepReport) -> None: ...

    def epoch(self, run_id: str, record: EpochRecord) -> None: ...

    def run_finished(self, run_id: str, result: RunResult) -> None:
        self.finished.append(result)

    def run_failed(self, run_id: str, message: str) -> None:
        self.failed.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def tiny_plan(folder: Path, *, only: list[str] | None = None, **changes: Any) -> Plan:
    return plan(StudySpec.from_mapping(TINY | changes), out=folder, device="cpu", workers=2, only=only or [])


def run_tiny(folder: Path, *, only: list[str] | None = None, **changes: Any) -> tuple[Study, Outcome, Notes]:
    notes = Notes()
    study, outcome = execute(tiny_plan(folder, only=only, **changes), notes)
    return study, outcome, notes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that ran to its end without a pause."""
    study, outcome, _ = run_tiny(tmp_path_factory.mktemp("whole") / "study")
    assert outcome == Outcome(interrupted=False, failed=0)
    return study


def test_a_study_leaves_the_folder_that_the_design_promises(whole: Study) -> None:
    assert {entry.name for entry in whole.folder.iterdir()} >= {
        "study.toml",
        "results.sqlite",
        "checkpoints",
        "predictions",
    }
    assert whole.runs()["status"].tolist() == ["done"] * 4
    assert len(whole.epochs()) == 8


def test_the_table_has_a_row_a_candidate_with_accuracies_and_costs(whole: Study) -> None:
    table = whole.table()
    assert sorted(table["candidate"]) == ["shufflenet_v2_x0_5 0.001", "shufflenet_v2_x0_5 0.01"]
    assert table["rank"].tolist()[0] == 1
    assert (table["done"] == 2).all()
    for column in ("val_accuracy", "test_accuracy", "seconds_train", "images_per_second", "parameters", "macs"):
        assert (table[column] > 0).all()


def test_the_curves_have_every_epoch_of_every_run(whole: Study) -> None:
    curves = whole.curves()
    assert len(curves) == 8
    assert curves.groupby(["candidate", "seed"])["epoch"].apply(list).map(lambda epochs: epochs == [1, 2]).all()


def test_predictions_are_kept_for_each_test_picture_and_add_up_to_the_accuracy(whole: Study) -> None:
    for run in whole.runs().to_dict("records"):
        kept = load_predictions(predictions_path(whole.folder, run["run_id"]))
        assert (kept.predicted == kept.labels).mean() == pytest.approx(run["test_accuracy"])
        assert len(kept.labels) == len(set(kept.indices)) == 40


def test_a_finished_study_trains_nothing_when_the_command_is_given_again(whole: Study) -> None:
    before = whole.runs()
    _, outcome, notes = run_tiny(whole.folder)
    assert not notes.started
    assert outcome == Outcome(interrupted=False, failed=0)
    pd.testing.assert_frame_equal(whole.runs(), before)


def test_a_folder_of_study_file_and_database_alone_counts_its_finished_runs(whole: Study, tmp_path: Path) -> None:
    for name in ("study.toml", "results.sqlite"):
        shutil.copy(whole.folder / name, tmp_path / name)
    _, _, notes = run_tiny(tmp_path)
    assert not notes.started


def test_a_study_goes_on_from_its_folder_alone(whole: Study) -> None:
    planned = plan_folder(whole.folder, device="cpu")
    assert planned.study == whole.spec
    assert not planned.only


def test_other_settings_are_refused_with_the_keys_that_differ(whole: Study) -> None:
    with pytest.raises(StudyError) as caught:
        run_tiny(whole.folder, seeds=[0, 1, 2], recipe={"epochs": 3, "batch_size": 35})
    assert "seeds: [0, 1] -> [0, 1, 2]" in str(caught.value)
    assert "candidates[0].recipe.epochs: 2 -> 3" in str(caught.value)
    assert "--out" in str(caught.value)
    assert len(whole.runs()) == 4


def test_a_study_of_another_format_is_refused(whole: Study, tmp_path: Path) -> None:
    text = (whole.folder / "study.toml").read_text().replace("format = 1", "format = 99")
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(StudyError, match="format = 99"):
        run_tiny(tmp_path)


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StudyError, match=r"thesis\.tex"):
        run_tiny(tmp_path)


def test_a_damaged_database_is_refused_and_left_alone(whole: Study, tmp_path: Path) -> None:
    shutil.copy(whole.folder / "study.toml", tmp_path / "study.toml")
    (tmp_path / "results.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StudyError, match=r"results\.sqlite"):
        run_tiny(tmp_path)
    assert (tmp_path / "results.sqlite").read_bytes() == b"not a database" * 1000


def test_a_second_run_of_the_same_folder_at_once_is_refused(whole: Study) -> None:
    from filelock import FileLock

    with FileLock(whole.folder / "lock"), pytest.raises(StudyError, match="another process"):
        # A lock is held per object, so this stands for another process.
        run_tiny(whole.folder)


def test_pictures_that_changed_since_are_refused(whole: Study, tmp_path: Path) -> None:
    text = (whole.folder / "study.toml").read_text()
    fingerprint = whole.spec.fingerprint
    (tmp_path / "study.toml").write_text(text.replace(fingerprint, "0" * len(fingerprint)))
    with pytest.raises(StudyError, match="have changed since"):
        plan_folder(tmp_path)


def test_only_runs_the_candidates_that_match_and_leaves_the_rest_pending(tmp_path: Path) -> None:
    study, _, _ = run_tiny(tmp_path / "study", only=["0.001"], seeds=[0])
    statuses = study.runs().set_index("label")["status"].to_dict()
    assert statuses == {"shufflenet_v2_x0_5 0.001": "done", "shufflenet_v2_x0_5 0.01": "pending"}
    again, _, notes = run_tiny(tmp_path / "study", seeds=[0])
    assert notes.started == ["shufflenet_v2_x0_5 0.01 seed 0"]
    assert (again.runs()["status"] == "done").all()


def test_only_must_match_something(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="resnet"):
        tiny_plan(tmp_path, only=["resnet"])


def test_a_diverged_run_ends_as_such_and_the_study_goes_on(tmp_path: Path) -> None:
    candidates = [
        {"model": "shufflenet_v2_x0_5", "optimizer": "sgd", "learning_rate": [1000.0, 0.01], "schedule": "constant"}
    ]
    study, outcome, _ = run_tiny(
        tmp_path / "study", candidates=candidates, seeds=[0], recipe={"epochs": 6, "batch_size": 10}
    )
    rows = study.runs().set_index("label")
    assert rows.loc["shufflenet_v2_x0_5 1000", "status"] == RunStatus.DIVERGED
    assert "at step" in rows.loc["shufflenet_v2_x0_5 1000", "message"]
    assert rows.loc["shufflenet_v2_x0_5 0.01", "status"] == RunStatus.DONE
    assert outcome.failed == 0
    assert any("diverged" in remark for remark in study.remarks())


def test_numerics_are_those_of_the_first_start_whatever_is_asked_later(tmp_path: Path) -> None:
    planned = tiny_plan(tmp_path / "study", seeds=[0])
    execute(planned, Notes())
    with Store.create_or_open(tmp_path / "study/results.sqlite") as store:
        (run, *_) = planned.runs()
        stored = store.numerics(run.id)
    assert stored == planned.numerics(run)
    assert stored is not None
    assert stored.threads == divide_cores(2, 2, "cpu")[1]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(StudyError, match="--out"):
        run_tiny(tmp_path / "study")


def test_no_space_left_for_a_checkpoint_stops_the_study_and_says_so(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    planned = tiny_plan(tmp_path / "study", seeds=[0])
    with pytest.raises(StudyError) as caught:
        _with_full_disk(planned)
    assert "space" in str(caught.value)
    statuses = Study(planned.folder).runs()["status"]
    assert "failed" not in set(statuses)  # the same command goes on once there is space


def _with_full_disk(planned: Plan) -> None:
    """Execute a plan in which every checkpoint is written to a device that is always full."""
    sitecustomize = planned.folder.parent / "full"
    sitecustomize.mkdir()
    (sitecustomize / "sitecustomize.py").write_text(
        "import tempfile, os\n"
        "real = tempfile.mkstemp\n"
        "def full(*args, **kwargs):\n"
        "    handle, name = real(*args, **kwargs)\n"
        "    if '.ckpt' in name:\n"
        "        os.dup2(os.open('/dev/full', os.O_WRONLY), handle)\n"
        "    return handle, name\n"
        "tempfile.mkstemp = full\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{sitecustomize}{os.pathsep}{before}"
    try:
        execute(planned, Notes())
    finally:
        os.environ["PYTHONPATH"] = before


def test_cores_are_divided_so_that_none_has_two_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.study.usable_cores", lambda: 8)
    monkeypatch.setattr("bakeoff.study.total_memory", lambda: 64 * 2**30)
    assert divide_cores(100, None, "cpu") == (8, 1)
    assert divide_cores(3, None, "cpu") == (3, 2)
    assert divide_cores(1, None, "cpu") == (1, 8)
    assert divide_cores(100, 2, "cpu") == (2, 4)
    assert divide_cores(100, 16, "cpu") == (16, 1)
    assert divide_cores(100, None, "cuda")[0] == 1
    monkeypatch.setattr("bakeoff.study.total_memory", lambda: 7 * 2**30)
    assert divide_cores(100, None, "cpu") == (2, 4)


@pytest.mark.parametrize(
    ("device", "said"), [("gpu", "auto, cpu, cuda"), ("cuda:x", "cuda:N"), ("tpu", "tpu"), ("cpu:0:1", "cpu:0:1")]
)
def test_an_unknown_device_is_refused(device: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        plan(StudySpec.from_mapping(TINY), out=tmp_path, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="torch sees none"):
        plan(StudySpec.from_mapping(TINY), out=tmp_path, device="cuda")


def test_a_misspelt_network_is_refused_before_any_picture_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'resnet18'"):
        plan(
            StudySpec.from_mapping(TINY | {"candidates": [{"model": "resnet81"}], "data": {"source": "nowhere"}}),
            out=tmp_path,
        )


def test_a_limit_that_leaves_no_pictures_of_a_class_is_refused() -> None:
    with pytest.raises(SpecError, match="at least 4 pictures of each"):
        facts_of(prepare("digits"), 20)


def test_a_study_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.toml"):
        bakeoff.load(tmp_path)


def test_the_python_api_runs_a_study_and_opens_it_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {
        "data": "digits",
        "models": ["shufflenet_v2_x0_5"],
        "lrs": [0.01],
        "epochs": 1,
        "batch_size": 35,
        "stem": "original",
        "limit": 160,
        "validation": 20,
    }
    study = bakeoff.run(**given, out=tmp_path / "study", progress=False)
    assert capfd.readouterr().out == ""
    assert len(study.table()) == 1
    pd.testing.assert_frame_equal(bakeoff.load(tmp_path / "study").table(), study.table())


def test_the_python_api_raises_what_it_documents(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        bakeoff.run(data="digits", models=["resnet81"], out=tmp_path, progress=False)
    with pytest.raises((SpecError, DataError)):
        bakeoff.run(data=tmp_path / "nowhere", out=tmp_path / "study", progress=False)


# The kill test: a real process, killed for real.

KILLED = {"epochs": 25, "batch_size": 35, "schedule": "cosine"}


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


@pytest.mark.parametrize("part", [0, 1])
def test_a_study_killed_at_ten_random_moments_ends_with_the_same_bits(
    part: int, uninterrupted: Path, tmp_path: Path
) -> None:
    """Twenty kills in both parts, each of a process of its own that starts within milliseconds (see killing.py)."""
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


def test_json_of_a_study_is_valid_and_has_every_epoch(whole: Study) -> None:
    from bakeoff.report.console import to_json

    document = json.loads(to_json(whole.spec.name, whole.runs(), whole.epochs()))
    assert len(document["runs"]) == 4
    for run in document["runs"]:
        assert {"test_loss", "test_accuracy"} <= run.keys()
        assert [epoch["epoch"] for epoch in run["epochs"]] == [1, 2]
        assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= run["epochs"][0].keys()
        assert np.isfinite(run["test_loss"])
