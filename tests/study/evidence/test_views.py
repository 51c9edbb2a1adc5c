"""Views are measured through the code that training uses, and give what a count by hand gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.audit import State, audit
from bakeoff.audit.evidence import FieldOfView
from bakeoff.audit.views import input_range
from bakeoff.data import Pictures
from bakeoff.data.batches import Batches
from bakeoff.data.splits import split_indices
from bakeoff.data.view import View
from bakeoff.spec import ViewSpec
from bakeoff.study.evidence.views import ViewProber, differing, geometry, input_statistics
from tests.audit.studies import evidence, study
from tests.builders import one_run, small_dataset

CPU = torch.device("cpu")


def expected_coverage(picture: int, crop: int, padding: int) -> float:
    """Of a random crop out of padding, over all places, by counting the columns that are left."""
    columns = [
        len(set(range(start, start + crop)) & set(range(picture)))
        for start in range(-padding, picture - crop + padding + 1)
    ]
    return float(np.mean([count / picture for count in columns])) ** 2


@pytest.mark.parametrize(("picture", "crop", "padding"), [(32, 32, 4), (32, 24, 0), (8, 8, 1), (64, 48, 8)])
def test_the_coverage_of_a_random_crop_is_that_of_a_count_over_its_places(
    picture: int, crop: int, padding: int
) -> None:
    found = geometry(ViewSpec(crop=crop, padding=padding, random=True), picture)
    assert found.draws == 256
    assert found.coverage == pytest.approx(expected_coverage(picture, crop, padding), abs=0.02)
    assert found.scale == pytest.approx(1, abs=0.02)


def test_the_papers_window_of_an_enlargement_is_2_per_cent_of_the_picture() -> None:
    found = geometry(ViewSpec(resize=224, flip=True, crop=32, padding=4, random=True), 32)
    assert found.coverage == pytest.approx(0.0203, abs=0.0005)
    assert found.window == pytest.approx((32 / 7, 32 / 7), abs=0.1)
    assert found.scale == pytest.approx(1 / 7, abs=0.005)


@pytest.mark.parametrize(
    ("spec", "coverage", "scale"),
    [
        (ViewSpec(), 1.0, 1.0),
        (ViewSpec(resize=224), 1.0, 1 / 7),
        (ViewSpec(resize=16), 1.0, 2.0),
        (ViewSpec(crop=16), 0.25, 1.0),
        (ViewSpec(resize=64, crop=32), 0.25, 0.5),
    ],
)
def test_a_view_without_chance_is_measured_once(spec: ViewSpec, coverage: float, scale: float) -> None:
    found = geometry(spec, 32)
    assert found.draws == 1
    assert found.coverage == found.least == pytest.approx(coverage, abs=0.04)
    assert found.scale == pytest.approx(scale, rel=0.05)


@settings(max_examples=15)
@given(flip=st.booleans(), crop=st.integers(4, 32), padding=st.integers(0, 4))
def test_coverage_is_a_share_and_mirroring_changes_nothing(flip: bool, crop: int, padding: int) -> None:
    found = geometry(ViewSpec(flip=flip, crop=crop, padding=padding, random=True), 32)
    assert 0 <= found.least <= found.coverage <= 1
    assert found.coverage == pytest.approx(expected_coverage(32, crop, padding), abs=0.05)


def test_large_pictures_take_fewer_draws() -> None:
    assert geometry(ViewSpec(crop=520, padding=40, random=True), 520).draws < 256


def test_input_statistics_are_those_of_the_whole_array() -> None:
    dataset = small_dataset()
    view = View(ViewSpec(), (0.4, 0.5, 0.6), (0.2, 0.2, 0.3), dataset.size)
    found = input_statistics(view, dataset.train, np.arange(len(dataset.train)))
    plain = (dataset.train.pixels / 255 - np.array([0.4, 0.5, 0.6])) / np.array([0.2, 0.2, 0.3])
    assert found.mean == pytest.approx(plain.mean(axis=(0, 1, 2)), abs=1e-5)
    assert found.std == pytest.approx(plain.std(axis=(0, 1, 2)), rel=1e-4)
    assert found.largest == pytest.approx(np.abs(plain).max(), rel=1e-5)
    assert found.pictures == len(dataset.train)


ZEROS = np.zeros(200, np.int64)
PADDED = ViewSpec(crop=8, padding=1, random=True)


def low_contrast(size: int = 8) -> Pictures:
    """Bright pictures that vary by some per cent of the range."""
    pixels = np.random.default_rng(0).normal(170, 9, (200, size, size, 3)).clip(0, 255).astype(np.uint8)
    return Pictures(pixels, ZEROS)


def test_the_black_around_a_padded_picture_is_not_taken_for_its_pixels() -> None:
    pictures = low_contrast()
    scaled = pictures.pixels.reshape(-1, 3) / 255
    view = View(PADDED, tuple(scaled.mean(axis=0)), tuple(scaled.std(axis=0)), 8)
    found = input_statistics(view, pictures, np.arange(200))
    # The black lies 19 deviations below the mean, and would move a mean by 4 of them.
    assert found.mean == pytest.approx((0, 0, 0), abs=0.05)
    assert found.std == pytest.approx((1, 1, 1), abs=0.05)
    assert found.largest < 6


DARK = np.where(np.arange(8) % 7 > 0, 40, 0)
"""A row of a digit: a faint picture within black borders of its own."""


@pytest.mark.parametrize(
    ("pictures", "normalize", "padding", "said"),
    [
        (low_contrast(), "data", 0, None),
        (low_contrast(), "imagenet", 0, "means of 0.785"),
        (low_contrast(), "data", 1, "moved by -3"),
        (Pictures(np.broadcast_to(DARK[None, None, :, None], (200, 8, 8, 3)).astype(np.uint8), ZEROS), "data", 1, None),
    ],
    ids=["bright", "wrongly normalised", "black around bright", "black around dark"],
)
def test_black_padding_is_harmless_around_dark_pictures_and_told_around_bright_ones(
    pictures: Pictures, normalize: str, padding: int, said: str | None
) -> None:
    scaled = pictures.pixels.reshape(-1, 3) / 255
    dataset = replace(small_dataset(), train=pictures, mean=tuple(scaled.mean(axis=0)), std=tuple(scaled.std(axis=0)))
    views = {"train": {"crop": 8, "padding": padding, "random": True}, "normalize": normalize}
    run = one_run(dataset, study={"view": views})
    probe = ViewProber(dataset, split_indices(dataset, run)).probe(run.candidate)
    of = study(candidates=[{"model": "resnet18"}])
    (finding,) = audit(evidence(of, views={of.candidates[0].id: probe}), of=[input_range])
    assert finding.state is (State.PASS if said is None else State.FIRES), finding
    assert said is None or said in finding.message


def test_a_random_evaluation_differs_and_a_still_one_does_not() -> None:
    dataset = small_dataset()
    for spec, expected in ((ViewSpec(flip=True, crop=8, padding=2, random=True), True), (ViewSpec(), False)):
        view = View(spec, dataset.mean, dataset.std, dataset.size)
        seen, unlike = differing(Batches(dataset.test, np.arange(24), view, CPU))
        assert seen == 24
        assert (unlike > 12) == expected
        assert expected or unlike == 0


def test_a_candidates_two_views_are_told_apart_and_each_is_measured_once() -> None:
    dataset = small_dataset()
    run = one_run(dataset)
    prober = ViewProber(dataset, split_indices(dataset, run))
    found = prober.probe(run.candidate)
    assert found.train.coverage < found.evaluate.coverage == 1
    assert found.differing == 0
    assert found.fetched == 24 + 24  # validation and test
    assert prober.probe(run.candidate).train is found.train


def test_pixels_that_are_not_scaled_show_at_the_networks_door() -> None:
    dataset = small_dataset()
    raw = {"view": {"normalize": {"mean": [0, 0, 0], "std": [1 / 255] * 3}}}
    run = one_run(dataset, study=raw)
    found = ViewProber(dataset, split_indices(dataset, run)).probe(run.candidate)
    assert found.train_inputs.largest > 200
    assert isinstance(replace(found.train, draws=1), FieldOfView)
