"""A study is planned, executed, recorded, and goes on after anything."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bakeoff
from bakeoff.data import prepare
from bakeoff.errors import DataError, SpecError, StudyError
from bakeoff.execution.tuner import Job, Tuned
from bakeoff.predictions import load_predictions
from bakeoff.records import RunStatus
from bakeoff.spec import StudySpec
from bakeoff.store import Store
from bakeoff.study import Outcome, Plan, Study, execute, facts_of, plan, plan_folder, predictions_path, tuning
from bakeoff.study.machine import divide_cores
from bakeoff.study.tuning import choose_numerics
from bakeoff.training.convolution import Pass
from tests.study.tiny import TINY, Notes, run_tiny, tiny_plan

pytestmark = pytest.mark.slow


def test_what_a_limit_leaves_of_each_split_is_told_before_training(tmp_path: Path) -> None:
    said = tiny_plan(tmp_path).remarks()
    assert "the limit of 160 leaves 140 pictures to train on, 20 to validate on and 40 to test on" in said
    assert not any("limit" in remark for remark in tiny_plan(tmp_path, data={"source": "digits"}).remarks())


def test_adamw_without_decay_is_told_to_be_adam(tmp_path: Path) -> None:
    candidates = [{"model": "shufflenet_v2_x0_5", "optimizer": ["adam", "adamw"]}]
    for decay, told in ((0.0, True), (0.01, False)):
        recipe = TINY["recipe"] | {"weight_decay": decay}
        said = tiny_plan(tmp_path, candidates=candidates, recipe=recipe).remarks()
        assert any("does what adam does" in remark for remark in said) == told


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


def test_a_folder_that_is_called_like_a_data_set_does_not_take_its_place(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tiny_plan(tmp_path / "study").study == whole.spec


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
    assert stored is not None
    assert stored == choose_numerics(planned, [run])[run.id]
    assert all(len(names) == len(Pass) for names in stored.convolutions.values())
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
        "import os, pathlib\n"
        "real = pathlib.Path.open\n"
        "def full(path, *args, **kwargs):\n"
        "    file = real(path, *args, **kwargs)\n"
        "    if path.name.startswith('.last.ckpt'):\n"
        "        os.dup2(os.open('/dev/full', os.O_WRONLY), file.fileno())\n"
        "    return file\n"
        "pathlib.Path.open = full\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{sitecustomize}{os.pathsep}{before}"
    try:
        execute(planned, Notes())
    finally:
        os.environ["PYTHONPATH"] = before


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
    study = bakeoff.run(**given, out=tmp_path / "study", costs=False, progress=False)
    assert capfd.readouterr().out == ""
    assert len(study.table()) == 1
    pd.testing.assert_frame_equal(bakeoff.load(tmp_path / "study").table(), study.table())


def test_python_goes_on_with_a_folder_and_refuses_other_settings(whole: Study) -> None:
    again = bakeoff.run(str(whole.folder), device="cpu", costs=False, progress=False)
    assert again.folder == whole.folder
    assert again.spec == whole.spec
    with pytest.raises(SpecError, match="--lrs came with"):
        bakeoff.run(whole.folder, lrs=[0.1], progress=False)


def test_the_python_api_raises_what_it_documents(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        bakeoff.run(data="digits", models=["resnet81"], out=tmp_path, progress=False)
    with pytest.raises((SpecError, DataError)):
        bakeoff.run(data=tmp_path / "nowhere", out=tmp_path / "study", progress=False)


def test_json_of_a_study_is_valid_and_has_every_epoch(whole: Study) -> None:
    from bakeoff.report.console import to_json

    document = json.loads(to_json(whole.spec.name, whole.runs(), whole.epochs()))
    assert len(document["runs"]) == 4
    for run in document["runs"]:
        assert {"test_loss", "test_accuracy"} <= run.keys()
        assert [epoch["epoch"] for epoch in run["epochs"]] == [1, 2]
        assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= run["epochs"][0].keys()
        assert np.isfinite(run["test_loss"])


def test_convolutions_are_measured_with_batches_that_occur_and_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []
    monkeypatch.setattr(
        tuning,
        "tune",
        lambda jobs, **_: asked.extend(jobs) or [Tuned(layers=[], choices={}, joined=[], peak=None) for _ in jobs],
    )
    for batch_size, limit in ((35, 160), (100_000, 160), (100_000, None)):
        changes = {"recipe": {"batch_size": batch_size}, "data": {"source": "digits", "limit": limit or 1437}}
        planned = tiny_plan(tmp_path / "study", **changes)
        choose_numerics(planned, planned.runs())
    assert [job.batch for job in asked] == [35, 160, 512]  # one job for the runs of each plan


def test_a_study_that_is_not_tuned_leaves_all_convolutions_to_the_library(tmp_path: Path) -> None:
    planned = replace(tiny_plan(tmp_path / "study"), tune=False)
    (run, *_) = planned.study.runs()
    assert choose_numerics(planned, [run])[run.id].convolutions == {}
