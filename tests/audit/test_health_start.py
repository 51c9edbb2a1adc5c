"""H1 and H2: a network begins as one that guesses, and can learn a handful of pictures by heart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from bakeoff.audit import Severity, State
from bakeoff.audit.evidence import NetworkProbe
from bakeoff.records import OneBatch
from bakeoff.training import one_batch
from bakeoff.training.one_batch import overfit_one_batch, unlike_pictures, without_dropout
from bakeoff.training.threads import torch_threads
from tests.audit.health_evidence import asked, data_probe, fired, health, only, told, trained_study
from tests.audit.studies import evidence, study
from tests.builders import one_run, random_pictures, small_dataset
from tests.training.tiny import small_network, use_network

DATASET = small_dataset()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Several threads only wait for each other on networks as small as these."""
    with torch_threads(1):
        yield


def networks(loss: float | None, pictures: int = 64) -> dict[str, NetworkProbe]:
    probe = NetworkProbe(
        map_side=4,
        initial_loss=loss,
        repeat_difference=0.0,
        company_difference=0.0,
        foreign_gradient=0.0,
        pictures=pictures,
    )
    return {candidate.id: probe for candidate in study().candidates}


@pytest.mark.parametrize("loss", [2.68, 2.26, 2.30])  # ResNet-18, MobileNet v2 and AlexNet, of 8 pictures each
def test_networks_that_begin_as_if_they_guessed_pass(loss: float) -> None:
    known = evidence(networks=networks(loss, 8), data=data_probe())
    assert [finding.state for finding in asked("H1", known)] == [State.PASS]


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        (27.0, Severity.ERROR),
        (None, Severity.ERROR),
        (4.5, Severity.WARNING),
        (0.7, Severity.ERROR),
        (0.01, Severity.ERROR),
    ],
)
def test_a_first_loss_far_from_guessing_fires_before_training(loss: float | None, severity: Severity) -> None:
    found = fired("H1", evidence(networks=networks(loss), data=data_probe()))
    assert len(found) == 3
    assert {finding.severity for finding in found} == {severity}
    assert found[0].evidence["guessing"] == pytest.approx(math.log(10))
    if loss == 27.0:
        assert "begins with a loss of 27, 11.7 times that of guessing among 10 classes (2.3)." in found[0].message
    if loss is None:
        assert found[0].message.endswith(
            " begins with a loss that is not finite; that of guessing among 10 classes is 2.3."
        )


def test_with_two_classes_a_start_may_lie_as_far_above_guessing_as_with_ten() -> None:
    two = data_probe(classes=2)
    assert (
        fired("H1", evidence(networks=networks(1.21, 8), data=two)) == []
    )  # of a sound network with batch normalisation
    assert {one.severity for one in fired("H1", evidence(networks=networks(2.8, 8), data=two))} == {Severity.WARNING}
    assert {one.severity for one in fired("H1", evidence(networks=networks(7.5, 8), data=two))} == {Severity.ERROR}


def test_few_pictures_leave_more_room() -> None:
    assert fired("H1", evidence(networks=networks(1.4, 4), data=data_probe())) == []
    assert fired("H1", evidence(networks=networks(1.4, 256), data=data_probe()))


def scaled(factor: float) -> nn.Module:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_network()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return factor * self.inner(inputs)

    return Scaled()


def test_a_network_with_logits_hundreds_of_times_too_large_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, lambda: scaled(300))
    found = only("H1", trained_study(DATASET, tmp_path, recipe={"epochs": 1}), Severity.ERROR)
    assert found.evidence["ratio"] > 10


def test_a_healthy_network_passes_by_what_its_runs_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    found = asked("H1", trained_study(DATASET, tmp_path, seeds=(0, 1), recipe={"epochs": 1}))
    assert [finding.state for finding in found] == [State.PASS]


def test_one_odd_start_of_five_is_chance() -> None:
    of = study(seeds=[0, 1, 2, 3, 4])
    assert fired("H1", told(of, seen={(0, 2): health(initial_loss=9.0)})) == []
    assert len(fired("H1", told(of, every=health(initial_loss=9.0)))) == 3


def test_a_run_that_was_not_seen_from_its_beginning_says_nothing() -> None:
    assert fired("H1", told(every=health(initial_loss=None, initial_pictures=None, watched_from=7))) == []


def test_a_small_network_learns_one_batch_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    build = use_network(monkeypatch, lambda: small_network(channels=16))
    monkeypatch.setattr(one_batch, "build_network", build)
    found = overfit_one_batch(one_run(DATASET), DATASET)
    assert found.learnt
    assert found.accuracy == 1
    assert found.loss is not None
    assert found.loss < 0.1 * math.log(4)
    assert found.pictures == 8


class Deaf(nn.Module):
    """Answers without looking."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(4))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.answer.expand(len(inputs), 4)


class Saturated(nn.Module):
    """Takes the softmax that the loss takes again, of logits far too large to have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network(channels=16)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.softmax(1e4 * self.inner(inputs), dim=1)


class CutOff(nn.Module):
    """Its output has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner(inputs).detach()


@pytest.mark.parametrize("network", [Deaf, Saturated, CutOff])
def test_a_broken_network_does_not_learn_one_batch(network: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_batch, "build_network", use_network(monkeypatch, network))
    found = overfit_one_batch(one_run(DATASET), DATASET)
    assert not found.learnt
    assert found.attempts == 3  # all that there are, whichever of them went best
    of = study()
    finding = only("H2", evidence(one_batch={of.candidates[0].id: found}), Severity.ERROR)
    assert finding.candidates == (of.candidates[0].id,)
    assert "by heart" in finding.message
    assert "the best of 3 attempts" in finding.message


def test_h2_passes_what_was_learnt_and_is_not_run_where_nothing_was_tried() -> None:
    learnt = OneBatch(
        classes=10, pictures=8, steps=5, learning_rate=1e-3, attempts=1, loss=0.1, accuracy=1.0, learnt=True
    )
    of = study()
    tried = dict.fromkeys((candidate.id for candidate in of.candidates), learnt)
    assert [finding.state for finding in asked("H2", evidence(one_batch=tried))] == [State.PASS]
    assert [finding.state for finding in asked("H2", evidence())] == [State.NOT_RUN]


def test_trying_one_batch_leaves_the_callers_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_batch, "build_network", use_network(monkeypatch, Deaf))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    overfit_one_batch(one_run(DATASET), DATASET)
    assert torch.equal(torch.rand(2), expected)


def test_the_pictures_of_one_batch_differ_and_take_turns_of_the_classes() -> None:
    pictures = random_pictures(40, 4, 8, seed=1)
    pictures.pixels[4:8] = pictures.pixels[0]  # copies, under other labels too
    chosen = unlike_pictures(pictures, torch.arange(40).numpy(), 8)
    assert len({pictures.pixels[one].tobytes() for one in chosen}) == 8
    assert (
        sorted(pictures.labels[chosen].tolist()) == sorted([0, 1, 2, 3] * 2) or len(set(pictures.labels[chosen])) == 4
    )
    assert len(unlike_pictures(pictures, torch.arange(8).numpy(), 8)) == 4


def test_all_that_drops_is_told_to_drop_nothing() -> None:
    from torchvision.ops import StochasticDepth

    network = without_dropout(nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.1), StochasticDepth(0.3, "row"), nn.ReLU()))
    assert [layer.p for layer in network[:3]] == [0.0, 0.0, 0.0]
