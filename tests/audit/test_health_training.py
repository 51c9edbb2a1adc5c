"""H3 to H6: a network learns something, converges, trains all of its parts, and by steps of a fitting size."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, hypergeom
from torch import nn

from bakeoff.audit import Severity, State
from bakeoff.audit.health import training
from bakeoff.data import Dataset, Pictures
from bakeoff.spec import Recipe
from bakeoff.training import trainer
from bakeoff.training.optim import build_optimizer
from tests.audit.health_evidence import asked, fired, health, only, told, trained_study
from tests.audit.studies import study
from tests.builders import small_dataset
from tests.training.tiny import small_network, use_network

DATASET = small_dataset(train=192, test=8)  # 48 pictures validate
RULES = ("H3", "H4", "H5", "H6")


def states(evidence: Any) -> set[State]:
    return {finding.state for rule in RULES for finding in asked(rule, evidence)}


def test_a_small_network_that_trains_well_passes_all_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    evidence = trained_study(DATASET, tmp_path, seeds=(0, 1), recipe={"epochs": 8})
    assert min(run["health"]["accuracy"] for run in evidence.runs.to_dict("records")) > 0.6
    assert states(evidence) == {State.PASS}


def test_a_healthy_study_told_by_hand_passes_all_four() -> None:
    assert states(told()) == {State.PASS}


@pytest.mark.parametrize("rule", RULES)
def test_runs_that_nobody_looked_at_are_not_run_and_not_passed(rule: str) -> None:
    unseen = told(seen={(place, number): None for place in range(3) for number in range(2)})
    assert [finding.state for finding in asked(rule, unseen)] == [State.NOT_RUN]


ALL = [(1, 0), (1, 1)]
"""The runs of the second of three candidates."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ({"seen": dict.fromkeys(ALL)}, "before bakeoff kept what it sees of training"),
        ({"failed": ALL}, "alexnet: all runs that have ended failed"),
        ({"failed": ALL[:1], "pending": ALL[1:]}, "alexnet: all runs that have ended failed"),
    ],
)
def test_a_candidate_none_of_whose_runs_was_looked_at_is_not_passed_with_the_others(
    rule: str, lost: dict[str, Any], why: str
) -> None:
    evidence = told(**lost)
    (found,) = asked(rule, evidence)
    assert found.state is State.NOT_RUN
    assert found.candidates == (evidence.study.candidates[1].id,)
    assert why in found.message


def test_what_fires_for_others_fires_beside_a_candidate_that_was_not_looked_at() -> None:
    findings = asked("H4", told(every=health(worst_rise=6.0, worst_rise_step=99), failed=ALL))
    assert [one.state for one in findings] == [State.FIRES, State.FIRES, State.NOT_RUN]


@pytest.mark.parametrize("rule", RULES)
def test_a_candidate_that_was_not_trained_yet_is_no_news(rule: str) -> None:
    assert [found.state for found in asked(rule, told(pending=ALL))] == [State.PASS]
    assert [found.state for found in asked(rule, told(failed=ALL[:1]))] == [State.PASS]  # the other one was seen


# H3


def with_labels(labels: np.ndarray) -> Dataset:
    return replace(DATASET, train=Pictures(DATASET.train.pixels, labels))


def test_shuffled_labels_are_learnt_no_better_than_by_guessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    shuffled = with_labels(np.random.default_rng(0).permutation(DATASET.train.labels))
    found = only("H3", trained_study(shuffled, tmp_path), Severity.ERROR)
    assert "guessing reaches too" in found.message or "the answer to" in found.message


def with_one_answer() -> nn.Module:
    head = nn.Linear(192, 4)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, 0.0, 1e3, 0.0]))
    return nn.Sequential(nn.Flatten(), head)


def test_a_network_with_one_answer_is_caught_with_the_class_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, with_one_answer)
    found = only("H3", trained_study(DATASET, tmp_path, recipe={"learning_rate": 1e-6}), Severity.ERROR)
    assert "'kind " in found.message
    assert "is the answer to 100 %" in found.message


def test_inputs_that_are_all_zero_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_network()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.inner(0 * inputs)

    use_network(monkeypatch, Blind)
    assert only("H3", trained_study(DATASET, tmp_path), Severity.ERROR).evidence["accuracy"] == 0.25


@pytest.mark.parametrize(("pictures", "bound"), [(1000, 0.130), (5000, 0.113), (10_000, 0.109)])
def test_the_bound_of_guessing_is_the_binomial_one(pictures: int, bound: float) -> None:
    assert training._quantile(pictures, 0.1) == pytest.approx(binom.ppf(0.999, pictures, 0.1) / pictures)
    assert training._quantile(pictures, 0.1) == pytest.approx(bound, abs=5e-4)
    assert fired("H3", told(every=health(bound - 0.001, pictures)))
    assert not fired("H3", told(every=health(bound + 0.002, pictures)))


def test_what_few_validation_pictures_cannot_show_the_test_pictures_may() -> None:
    few = health(0.3, 30)  # three of ten pictures right: guessing reaches that with so few
    assert "guessing reaches too" in fired("H3", told(every=few))[0].message
    assert not fired("H3", told(every=few, tested=0.29))
    assert fired("H3", told(every=few, tested=0.1))
    assert fired("H3", told(every=health(0.1, predicted=[5000, *[0] * 9]), tested=0.29))  # one answer stays one answer


def test_an_uneven_study_is_held_against_its_own_chance() -> None:
    labels = [4500, 500, *[0] * 8]  # always answering the frequent class gives 90 %
    lazy = health(0.9, predicted=[5000, *[0] * 9], labels=labels, blank_accuracy=0.9)
    assert fired("H3", told(every=lazy))
    good = health(0.97, predicted=[4530, 470, *[0] * 8], labels=labels, blank_accuracy=0.9)
    assert not fired("H3", told(every=good))


@pytest.mark.parametrize(("rare", "called", "rightly"), [(10, 8, 6), (10, 6, 5), (20, 10, 8)])
def test_a_rare_class_that_is_found_more_often_than_at_random_was_learnt(rare: int, called: int, rightly: int) -> None:
    # Of two classes the pictures right follow from how many rare ones are among those called rare: hypergeometric.
    pictures = 200
    right = pictures - rare - called + 2 * rightly
    assert hypergeom.sf(rightly - 1, pictures, rare, called) < 0.001
    assert binom.ppf(0.999, pictures, (called * rare + (pictures - called) * (pictures - rare)) / pictures**2) >= right
    seen = {"predicted": [pictures - called, called, *[0] * 8], "labels": [pictures - rare, rare, *[0] * 8]}
    assert not fired(
        "H3", told(every=health(right / pictures, **seen, blank_accuracy=(pictures - rare) / pictures - 0.1))
    )
    by_luck = right - 2 * rightly  # none of them
    assert fired("H3", told(every=health(by_luck / pictures, **seen, blank_accuracy=0.1)))


def test_few_classes_ever_answered_and_blank_inputs_answered_as_well_fire() -> None:
    few = [1250, 1250, 1250, 1250, *[0] * 6]
    assert "only 4 of 10 classes" in fired("H3", told(every=health(0.35, predicted=few)))[0].message
    assert not fired("H3", told(every=health(0.35, 50, predicted=[13, 13, 12, 12, *[0] * 6])))  # too few to say so
    assert "blank" in fired("H3", told(every=health(0.35, blank_accuracy=0.36)))[0].message


def test_one_seed_of_five_that_collapsed_is_a_warning_and_three_are_an_error() -> None:
    of = study(seeds=[0, 1, 2, 3, 4])
    lost = health(0.1, predicted=[5000, *[0] * 9])
    assert "1 of 5 runs" in only("H3", told(of, seen={(0, 1): lost}), Severity.WARNING).message
    assert "3 of 5 runs" in only("H3", told(of, seen={(0, n): lost for n in range(3)}), Severity.ERROR).message


def test_an_epoch_one_network_at_35_percent_is_healthy() -> None:
    assert not fired("H3", told(every=health(0.35)))


# H4


def test_a_run_whose_loss_became_infinite_is_told_with_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [nn.Linear(192, 32), nn.Linear(32, 32), nn.Linear(32, 4)]
    use_network(monkeypatch, lambda: nn.Sequential(nn.Flatten(), *copy.deepcopy(layers)))
    found = only("H4", trained_study(DATASET, tmp_path, recipe={"learning_rate": 1000.0}), Severity.ERROR)
    assert "loss became" in found.message
    assert "of epoch 1" in found.message


def test_a_loss_that_went_up_and_stayed_there_fires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    recipe = {"learning_rate": 20.0, "schedule": "constant", "epochs": 2}
    found = only("H4", trained_study(DATASET, tmp_path, recipe=recipe), Severity.ERROR)
    assert "times its best" in found.message or "in the last" in found.message


def test_a_rise_that_was_made_good_is_a_warning_and_a_bump_is_nothing() -> None:
    spike = health(worst_rise=6.0, worst_rise_step=99)
    assert "at step 100" in only("H4", told(seen={(1, 0): spike}), Severity.WARNING).message
    assert not fired("H4", told(every=health(worst_rise=1.5)))


def test_a_last_epoch_worse_than_the_first_fires() -> None:
    assert len(fired("H4", told(train_losses=(1.0, 0.9, 1.2)))) == 3
    assert not fired("H4", told(train_losses=(1.0, 0.9, 1.02)))


def test_many_diverged_runs_of_a_model_say_that_its_grid_is_in_the_wrong_place() -> None:
    of = study(candidates=[{"model": "resnet18", "learning_rate": [0.1, 0.3, 1.0]}])
    lost = health(nonfinite=["loss became nan at step 3 of epoch 1"], predicted=[])
    places = [(1, 0), (2, 0)]
    found = fired("H4", told(of, seen=dict.fromkeys(places, lost), diverged=places))
    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.ERROR, Severity.WARNING]
    assert "2 of the 3 runs of resnet18" in found[-1].message
    (one,) = fired("H4", told(of, seen={(2, 0): lost}, diverged=[(2, 0)]))[1:]
    assert one.evidence == {"runs": 3, "diverged": 1}


# H5


def without_the_head(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    optimizer = build_optimizer(network, recipe)
    del optimizer.param_groups[0]["params"][-2:]
    return optimizer


def test_a_head_that_the_optimizer_does_not_hold_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    monkeypatch.setattr(trainer, "build_optimizer", without_the_head)
    found = only("H5", trained_study(DATASET, tmp_path), Severity.ERROR)
    assert "the optimizer does not hold 8.weight and 8.bias" in found.message


def test_a_part_without_gradient_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CutOff(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Conv2d(3, 8, 3)
            self.head = nn.Linear(8 * 36, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.head(self.features(inputs).detach().flatten(1))

    use_network(monkeypatch, CutOff)
    found = only("H5", trained_study(DATASET, tmp_path), Severity.ERROR)
    assert "features.weight and features.bias had no gradient in the first 10 steps" in found.message


def test_a_frozen_backbone_that_is_meant_to_be_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        network = small_network()
        network[:4].requires_grad_(False)
        return network

    use_network(monkeypatch, make)
    assert not fired("H5", trained_study(DATASET, tmp_path))


@pytest.mark.parametrize(
    ("layer", "channels", "severity"),
    [(1, 5, Severity.WARNING), (3, 8, Severity.WARNING), (3, 5, Severity.NOTE)],  # 1 is a batch normalisation
)
def test_dead_channels_are_a_warning_behind_a_normalisation_or_where_none_is_left(
    layer: int, channels: int, severity: Severity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> nn.Module:
        network = small_network()
        with torch.no_grad():
            network[layer].bias[:channels] = -100.0
        return network

    use_network(monkeypatch, make)
    found = [one for one in fired("H5", trained_study(DATASET, tmp_path)) if "channels" in one.message]
    assert [one.severity for one in found] == [severity]
    assert found[0].evidence["layer"] == str(layer)
    assert channels / 8 <= float(found[0].evidence["dead"] or 0) < (channels + 1) / 8


def test_what_a_sound_network_without_normalisation_has_of_dead_channels_is_a_note() -> None:
    alexnet = {"features.0": 0.05, "classifier.1": 0.91, "classifier.4": 0.41}
    of_weights = {f"{layer}.weight": 2e-3 for layer in alexnet}
    seen = health(dead_channels=alexnet, updates=of_weights, scale_free=[])
    found = fired("H5", told(every=seen))
    assert {one.severity for one in found} == {Severity.NOTE}
    assert all("91.0 % of the channels after classifier.1" in one.message for one in found)
    assert not fired("H5", told(every=health(dead_channels={"bn1": 0.16, "layer1.bn": 0.02})))


def test_what_ended_as_it_began_fires_and_runs_of_few_steps_are_not_judged_by_gradients() -> None:
    assert "ended bit for bit" in fired("H5", told(every=health(unmoved=["a", "b", "c", "d", "e"])))[0].message
    assert "2 more parameters" in fired("H5", told(every=health(unmoved=["a", "b", "c", "d", "e"])))[0].message
    assert not fired("H5", told(every=health(without_gradient=["a"], gradient_steps=2)))
    assert not fired("H5", told(every=health(unmoved=None)))


# H6


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"optimizer": "sgd", "learning_rate": 1e-7}, "too small"),
        ({"optimizer": "adam", "learning_rate": 0.5}, "too large"),
    ],
)
def test_rates_far_off_show_in_the_size_of_the_steps(
    recipe: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))
    found = only("H6", trained_study(DATASET, tmp_path, recipe={"epochs": 2} | recipe), Severity.WARNING)
    assert said in found.message


def test_weights_before_batch_normalisation_may_move_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    recipe = {"optimizer": "muon", "learning_rate": 0.2}  # moves banks of filters by a fifth of their size
    evidence = trained_study(DATASET, tmp_path, recipe=recipe)
    (seen,) = evidence.runs["health"]
    assert seen["updates"]["0.weight"] > 0.1
    assert seen["scale_free"] == ["0.weight"]
    bound = health(updates={"a": 0.3, "b": 0.01}, scale_free=["a"])
    assert not fired("H6", told(every=bound))
    assert fired("H6", told(every=health(updates={"a": 0.3, "b": 0.01}, scale_free=["b"])))


def test_too_few_measured_steps_are_not_run() -> None:
    found = asked("H6", told(every=health(update_steps=1)))
    assert [finding.state for finding in found] == [State.NOT_RUN]
