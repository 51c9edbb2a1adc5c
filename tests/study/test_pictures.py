"""What is shown of a study's pictures, against the pictures and predictions themselves."""

from __future__ import annotations

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from bakeoff.analysis.pictures import Pictures
from bakeoff.audit import kept
from bakeoff.audit.evidence import Probes
from bakeoff.data import Dataset, prepare
from bakeoff.data.splits import split_indices
from bakeoff.files import write_atomically
from bakeoff.predictions import load_predictions, save_predictions
from bakeoff.records import RunResult, RunStatus
from bakeoff.spec import RunSpec, StudySpec, ViewSpec, labels
from bakeoff.store import PlannedRun, Store
from bakeoff.study import Study, facts_of, predictions_path
from bakeoff.study.auditing import PROBES
from bakeoff.study.classes import class_facts_of, of_cifar10
from bakeoff.study.evidence.pictures import data_probe
from bakeoff.study.evidence.views import ViewProber
from bakeoff.study.pictures import LARGEST, MOST, VIEWED, shown, through, to_png
from tests.study.tiny import TINY
from tests.synthetic import Run


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of the digits as one that was run leaves it, its predictions drawn instead of learnt."""
    folder = tmp_path_factory.mktemp("digits") / "study"
    dataset, spec = prepare("digits"), StudySpec.from_mapping(TINY)
    study = spec.resolve(facts_of(dataset, spec.data.limit))
    indices = split_indices(dataset, study.runs()[0])
    write_atomically(folder / "study.toml", study.to_toml().encode())
    views = ViewProber(dataset, indices)
    probes = Probes(
        views={candidate.id: views.probe(candidate) for candidate in study.candidates},
        networks={},
        data=data_probe(dataset, indices),
    )
    with Store.create_or_open(folder / "results.sqlite") as store:
        store.set_note(PROBES, kept.probes_to_json(probes))
        for place, run in enumerate(study.runs()):
            _store_run(store, folder, run, labels(study.candidates)[run.candidate.id], indices.test, dataset, place)
    return Study(folder)


def _store_run(
    store: Store, folder: Path, run: RunSpec, label: str, test: NDArray[np.int64], dataset: Dataset, place: int
) -> None:
    """Write what a run leaves that guesses about half of the test pictures right."""
    truth = dataset.test.labels[test]
    chance = np.random.default_rng(place)
    logits = chance.normal(0, 1, (len(test), 10)) + 2 * np.eye(10)[truth]
    save_predictions(predictions_path(folder, run.id), logits.astype(np.float32), test, truth)
    planned = PlannedRun(
        run_id=run.id,
        candidate_id=run.candidate.id,
        label=label,
        model=run.candidate.model,
        seed=run.seed,
        spec_json=run.model_dump_json(),
        parameters=1,
        macs=1,
        changes=(),
    )
    store.add_runs([planned])
    store.mark(run.id, RunStatus.RUNNING)
    for record in Run(val=(0.5 + place / 100,), train=(0.6,)).records():
        store.record_epoch(run.id, record)
    right = float((logits.astype(np.float32).argmax(axis=1) == truth).mean())
    ended = RunResult(status=RunStatus.DONE, test_loss=1.0, test_accuracy=right, seconds_test=1.0, message=None)
    store.finish(run.id, ended)


@pytest.fixture(scope="module")
def pictures(whole: Study) -> Pictures:
    return shown(whole.reading())


def test_every_candidate_shows_the_same_pictures_through_both_views(whole: Study, pictures: Pictures) -> None:
    assert pictures.missing is None
    assert [(one.candidate_id, one.kind) for one in pictures.views] == [
        (candidate.id, kind) for candidate in whole.spec.candidates for kind in ("training", "evaluation")
    ]
    assert all(len(one.pngs) == VIEWED for one in pictures.views)
    evaluated = [one for one in pictures.views if one.kind == "evaluation"]
    assert evaluated[0].pngs is evaluated[1].pngs  # the two candidates differ in their rate alone
    assert [one.share_seen for one in evaluated] == [1.0, 1.0]


def test_an_evaluation_view_without_changes_shows_training_pictures_as_they_are(pictures: Pictures) -> None:
    dataset = prepare("digits")
    evaluated = next(one for one in pictures.views if one.kind == "evaluation")
    train = {
        picture.tobytes(): int(label) for picture, label in zip(dataset.train.pixels, dataset.train.labels, strict=True)
    }
    classes = [train[pixels(png).tobytes()] for png in evaluated.pngs]
    assert classes == list(range(VIEWED))  # one of each class


def test_mistakes_are_the_wrong_pictures_with_the_highest_mean_probability(whole: Study, pictures: Pictures) -> None:
    best = whole.table()["candidate_id"].iloc[0]
    runs = whole.runs()
    kept = [
        load_predictions(predictions_path(whole.folder, run))
        for run in runs.loc[runs["candidate_id"] == best, "run_id"]
    ]
    exponentials = [np.exp(one.logits.astype(np.float64)) for one in kept]
    mean = np.mean([one / one.sum(axis=1, keepdims=True) for one in exponentials], axis=0)
    wrong = [
        (float(share.max()), int(index))
        for share, index, label in zip(mean, kept[0].indices, kept[0].labels, strict=True)
        if share.argmax() != label
    ]
    expected = [index for _, index in sorted(wrong, key=lambda one: (-one[0], one[1]))[:MOST]]
    assert [one.picture for one in pictures.mistakes] == expected
    assert pictures.mistakes[0].confidence == pytest.approx(max(wrong)[0])
    test = prepare("digits").test
    for one in pictures.mistakes:
        assert one.truth != one.predicted
        assert one.truth == str(test.labels[one.picture])
        assert np.array_equal(pixels(one.png), test.pixels[one.picture])


def test_disagreements_are_between_the_two_best(whole: Study, pictures: Pictures) -> None:
    assert [pictures.best_label, pictures.other_label] == whole.table()["candidate"].tolist()[:2]
    assert all(one.first != one.second for one in pictures.disagreements)


def test_class_facts_have_the_names_of_the_classes_and_count_every_prediction(whole: Study) -> None:
    facts = class_facts_of(whole.reading())
    assert [one.label for one in facts] == whole.runs()["label"].unique().tolist()
    assert facts[0].classes == tuple("0123456789")
    tested = len(load_predictions(predictions_path(whole.folder, whole.runs()["run_id"].iloc[0])).labels)
    assert sum(map(sum, facts[0].confusion)) == 2 * tested


def test_a_study_is_of_cifar10_by_its_source_or_by_its_classes_and_size(
    whole: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not of_cifar10(whole)
    study = Study(whole.folder)
    study.spec = study.spec.model_copy(update={"source": "cifar10"})
    assert of_cifar10(study)
    study.spec = whole.spec.model_copy(update={"source": "/somewhere/jpeg", "size": 32})
    assert not of_cifar10(study)
    named = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    monkeypatch.setattr("bakeoff.study.classes.class_names", lambda study: named)
    assert of_cifar10(study)
    study.spec = study.spec.model_copy(update={"size": 96})  # STL-10's pictures
    assert not of_cifar10(study)


def test_pictures_that_are_gone_or_others_are_told(whole: Study, tmp_path: Path) -> None:
    study = Study(whole.folder)
    study.spec = study.spec.model_copy(update={"source": str(tmp_path / "gone")})
    gone = shown(study.reading())
    assert gone.views == gone.mistakes == ()
    assert gone.missing is not None
    assert "cannot be shown" in gone.missing
    study.spec = whole.spec.model_copy(update={"fingerprint": "another"})
    assert shown(study.reading()) == Pictures(
        missing="The pictures at digits are no longer those that the study was made with."
    )


def test_nothing_is_downloaded_to_show_pictures(whole: Study, tmp_path: Path) -> None:
    study = Study(whole.folder)
    study.spec = study.spec.model_copy(update={"source": "cifar10", "size": 32})
    said = shown(study.reading(), data_dir=tmp_path, cache_dir=tmp_path).missing
    assert said is not None
    assert "does not hold it" in said


def test_without_predictions_views_are_shown_all_the_same(whole: Study, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(whole.folder, folder, ignore=shutil.ignore_patterns("predictions", "checkpoints"))
    found = shown(Study(folder).reading())
    assert len(found.views) == 4
    assert found.mistakes == found.disagreements == ()
    assert found.missing is not None


def test_a_large_view_is_scaled_down_and_a_small_one_is_not_enlarged() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
    assert [pixels(png).shape for png in through(ViewSpec(resize=224), noise)] == [(LARGEST, LARGEST, 3)] * 2
    assert [pixels(png).shape for png in through(ViewSpec(), noise)] == [(32, 32, 3)] * 2
    assert np.array_equal(pixels(to_png(noise[0].numpy())), noise[0].numpy())


def test_a_random_view_is_drawn_alike_each_time_and_for_each_picture_by_itself() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)).repeat(
        8, 1, 1, 1
    )
    view = ViewSpec(crop=16, padding=4, random=True, flip=True)
    assert through(view, noise) == through(view, noise)
    assert len(set(through(view, noise))) > 4


def test_alternate_flips_mirror_some_pictures() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8))
    seen = [pixels(png) for png in through(ViewSpec(random=True, flip="alternate"), noise)]
    mirrored = [np.array_equal(one, picture[:, ::-1]) for one, picture in zip(seen, noise.numpy(), strict=True)]
    assert 0 < sum(mirrored) < 8


def test_pictures_are_facts_that_cannot_change(pictures: Pictures) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        pictures.best_label = "another"  # type: ignore[misc]
