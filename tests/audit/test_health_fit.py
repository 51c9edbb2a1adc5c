"""H7 to H9: what is compared was fitted, not fitted too far, and not for a length that decides the ranking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bakeoff.audit import Severity, State
from bakeoff.audit.health.curves import smoothed
from bakeoff.audit.health.fit import late_noise
from bakeoff.spec import ResolvedStudy
from tests.audit.health_evidence import asked, fired, health, only, told
from tests.audit.studies import study


def climbing(to: float, epochs: int = 20, speed: float = 10.0) -> np.ndarray:
    """A curve that levels out."""
    return to - 0.4 * np.exp(-speed * np.arange(epochs) / epochs)


def two(**recipe: Any) -> ResolvedStudy:
    """Two networks under one recipe."""
    return study(seeds=[0], recipe=recipe, candidates=[{"model": ["resnet18", "alexnet"]}])


@pytest.mark.parametrize("rule", ["H7", "H8", "H9"])
def test_without_a_validation_split_or_a_finished_run_nothing_is_passed(rule: str) -> None:
    evidence = told(two())
    evidence.epochs["val_accuracy"] = np.nan
    assert [finding.state for finding in asked(rule, evidence)] == [State.NOT_RUN]
    unfinished = told(two(), diverged=[(0, 0), (1, 0)])
    assert [finding.state for finding in asked(rule, unfinished)] == [State.NOT_RUN]


# H7


def fitted(train: float, validation: float) -> dict[str, Any]:
    """Two networks, the first of which answers 95 % of its training pictures."""
    of = two()
    seen = {(0, 0): health(train_accuracy=0.95), (1, 0): health(train_accuracy=train)}
    return {"of": of, "seen": seen, "curves": {0: climbing(0.8), 1: climbing(validation)}}


def test_a_network_that_fits_neither_split_is_underfit() -> None:
    found = only("H7", told(**fitted(0.6, 0.59)), Severity.WARNING)
    assert "alexnet does not fit its training pictures: 60.0 %" in found.message


@pytest.mark.parametrize(("train", "validation"), [(0.79, 0.8), (0.6, 0.5), (0.9, 0.9)])
def test_a_network_that_generalises_poorly_or_fits_as_well_is_not(train: float, validation: float) -> None:
    if train == 0.79:  # strong augmentation: the best one's clean accuracy is no higher either
        evidence = told(two(), every=health(train_accuracy=0.79), curves={0: climbing(0.8), 1: climbing(0.8)})
        assert not fired("H7", evidence)
    else:
        assert not fired("H7", told(**fitted(train, validation)))


def test_only_the_selected_candidate_of_each_network_is_judged() -> None:
    of = study(candidates=[{"model": ["resnet18", "alexnet"], "learning_rate": [0.01, 0.00001]}])
    seen = {(place, 0): health(train_accuracy=0.9 if place % 2 == 0 else 0.2) for place in range(4)}
    curves = {place: climbing(0.8 if place % 2 == 0 else 0.3) for place in range(4)}
    assert [finding.state for finding in asked("H7", told(of, seen=seen, curves=curves))] == [State.PASS]


def test_one_network_alone_or_runs_that_nobody_looked_at_are_not_run() -> None:
    assert [finding.state for finding in asked("H7", told(study(candidates=[{"model": "resnet18"}])))] == [
        State.NOT_RUN
    ]
    unseen = told(seen={(place, number): None for place in range(3) for number in range(2)})
    assert [finding.state for finding in asked("H7", unseen)] == [State.NOT_RUN]


@pytest.mark.parametrize("lost", [{"seen": {(1, 0): None}}, {"failed": [(1, 0)]}, {"diverged": [(1, 0)]}])
def test_a_network_whose_fit_cannot_be_told_is_not_passed_with_the_others(lost: dict[str, Any]) -> None:
    of = study(seeds=[0])
    (found,) = asked("H7", told(of, **lost))
    assert found.state is State.NOT_RUN
    assert found.candidates == (of.candidates[1].id,)
    seen = lost.get("seen", {}) | {(0, 0): health(train_accuracy=0.99), (2, 0): health(train_accuracy=0.6)}
    fires, unknown = asked("H7", told(of, **lost | {"seen": seen}, curves={2: climbing(0.6)}))
    assert (fires.state, unknown.state) == (State.FIRES, State.NOT_RUN)


@pytest.mark.parametrize("rule", ["H8", "H9"])
@pytest.mark.parametrize("lost", ["failed", "diverged"])
def test_a_network_without_a_finished_run_has_no_curve_to_pass(rule: str, lost: str) -> None:
    of = study(seeds=[0], recipe={"schedule": "constant"})
    curves = {place: climbing(to) for place, to in enumerate((0.8, 0.7, 0.6))}
    (found,) = asked(rule, told(of, curves=curves, **{lost: [(1, 0)]}))
    assert found.state is State.NOT_RUN
    assert found.candidates == (of.candidates[1].id,)


@pytest.mark.parametrize("rule", ["H7", "H8", "H9"])
def test_a_network_that_was_not_trained_yet_is_no_news(rule: str) -> None:
    of = study(seeds=[0], recipe={"schedule": "constant"})
    curves = {place: climbing(to) for place, to in enumerate((0.8, 0.7, 0.6))}
    assert [found.state for found in asked(rule, told(of, curves=curves, pending=[(1, 0)]))] == [State.PASS]


# H8


def turning(fall: float, epochs: int = 20) -> np.ndarray:
    """A curve that climbs to 80 % in the middle and falls again."""
    half = epochs // 2
    return np.concatenate([np.linspace(0.4, 0.8, half), np.linspace(0.8, 0.8 - fall, epochs - half)])


def test_validation_accuracy_that_falls_again_is_overfit() -> None:
    found = only("H8", told(two(), curves={0: turning(0.05), 1: climbing(0.7)}), Severity.WARNING)
    assert "resnet18: in its best run" in found.message
    assert found.evidence["best_epoch"] in (10, 11)
    assert found.evidence["epochs"] == 20


def test_a_cosine_run_whose_validation_loss_alone_rises_is_a_note() -> None:
    losses = np.concatenate([np.linspace(2, 1, 10), np.linspace(1, 1.5, 10)])
    evidence = told(two(), curves={0: climbing(0.8), 1: climbing(0.7)}, losses={0: losses})
    assert "too sure" in only("H8", evidence, Severity.NOTE).message


def test_a_fall_within_the_noise_of_few_pictures_is_none() -> None:
    evidence = told(two(), curves={0: turning(0.05), 1: climbing(0.7)})
    assert fired("H8", evidence)
    tiny = study(data={"validation": 200}, candidates=[{"model": ["resnet18", "alexnet"]}])
    assert not fired("H8", told(tiny, curves={0: turning(0.05), 1: climbing(0.7)}, data=None))


def test_two_of_eighty_pictures_lost_from_all_of_them_are_within_the_noise() -> None:
    curve = np.concatenate([np.linspace(0.5, 1.0, 8), np.ones(4), np.full(8, 0.975)])
    tiny = study(data={"validation": 80}, candidates=[{"model": ["resnet18", "alexnet"]}])
    assert not fired("H8", told(tiny, curves={0: curve, 1: climbing(0.7)}, data=None))
    large = study(data={"validation": 8000}, candidates=[{"model": ["resnet18", "alexnet"]}])
    assert fired("H8", told(large, curves={0: curve, 1: climbing(0.7)}, data=None))


def test_other_runs_that_overfit_are_a_note() -> None:
    of = study(candidates=[{"model": "resnet18", "learning_rate": [0.01, 0.001, 0.0001]}])
    evidence = told(of, curves={0: climbing(0.9), 1: turning(0.1), 2: turning(0.1)})
    found = only("H8", evidence, Severity.NOTE)
    assert found.evidence == {"runs": 2, "overfitted": 2}
    assert "2 of 2 other runs" in found.message
    assert set(found.candidates) == {one.id for one in of.candidates[1:]}


def test_curves_of_three_epochs_show_no_turn() -> None:
    assert [finding.state for finding in asked("H8", told(two()))] == [State.NOT_RUN]


# H9


def test_levelled_curves_at_a_constant_rate_pass() -> None:
    evidence = told(two(schedule="constant"), curves={0: climbing(0.8), 1: climbing(0.7)})
    assert [finding.state for finding in asked("H9", evidence)] == [State.PASS]


def test_a_curve_cut_while_it_climbs_fires() -> None:
    evidence = told(two(schedule="constant"), curves={0: climbing(0.75), 1: np.linspace(0.2, 0.72, 20)})
    found = only("H9", evidence, Severity.WARNING)
    assert "alexnet was still improving" in found.message
    assert found.evidence["gain"] == pytest.approx(0.52 * 5 / 19, abs=0.03)


def test_a_curve_that_was_best_at_once_is_a_note() -> None:
    falling = np.concatenate([[0.81, 0.81, 0.81], np.full(27, 0.8)])
    evidence = told(two(schedule="constant"), curves={0: falling, 1: climbing(0.7, 30)})
    assert "best around epoch 2 of 30" in only("H9", evidence, Severity.NOTE).message


def test_a_noisy_end_with_a_small_gap_fires_and_with_a_large_one_does_not() -> None:
    noise = np.where(np.arange(40) % 2, 0.03, -0.03) * (np.arange(40) > 20)
    close = told(two(), curves={0: climbing(0.8, 40) + noise, 1: climbing(0.79, 40)})
    assert "The end is noisy" in only("H9", close, Severity.WARNING).message
    apart = told(two(), curves={0: climbing(0.8, 40) + noise, 1: climbing(0.5, 40)})
    assert not [one for one in fired("H9", apart) if "noisy" in one.message]


def test_the_noise_of_the_end_is_what_a_line_leaves() -> None:
    line = np.linspace(0.5, 0.8, 40)
    assert late_noise(line) == pytest.approx(0, abs=1e-12)
    late = pd.Series(line[-4:] + np.array([0.01, -0.01, -0.01, 0.01]))
    assert late_noise(np.concatenate([line[:-4], late])) == pytest.approx(np.sqrt(4 * 0.01**2 / 2))


def halves(small: tuple[float, float], whole: tuple[float, float]) -> Any:
    """Two networks for 20 and for 40 epochs with what they reach."""
    of = study(recipe={"epochs": [20, 40]}, candidates=[{"model": ["resnet18", "alexnet"]}])
    reached = dict(zip((0, 2), small, strict=True)) | dict(zip((1, 3), whole, strict=True))
    lengths = [candidate.recipe.epochs for candidate in of.candidates]
    assert lengths == [20, 40, 20, 40]
    return told(of, curves={place: climbing(to, lengths[place], 8) for place, to in reached.items()})


def test_an_annealed_ranking_that_is_another_at_half_the_epochs_fires() -> None:
    found = only("H9", halves((0.75, 0.70), (0.80, 0.85)), Severity.WARNING)
    assert "alexnet and resnet18 are 5.00 points apart at the full length" in found.message
    assert "the other way round" in found.message


def test_an_annealed_ranking_that_stays_passes_and_without_halves_is_not_run() -> None:
    assert [finding.state for finding in asked("H9", halves((0.7, 0.75), (0.80, 0.85)))] == [State.PASS]
    assert [finding.state for finding in asked("H9", halves((0.7505, 0.75), (0.85, 0.8505)))] == [State.PASS]
    whole = told(two(), curves={0: climbing(0.8), 1: climbing(0.7)})
    (found,) = asked("H9", whole)
    assert found.state is State.NOT_RUN
    assert "half the epochs" in found.message


def falling_or_not(epochs: list[int], reached: dict[tuple[str, int], float]) -> Any:
    """One network at a constant rate and at one that falls, each for these epochs, with what they reach."""
    of = study(
        seeds=[0],
        recipe={"epochs": epochs, "schedule": ["constant", "cosine"]},
        candidates=[{"model": "resnet18"}],
        audit={"subject": ["schedule"]},
    )
    lengths = {place: (one.recipe.schedule, one.recipe.epochs) for place, one in enumerate(of.candidates)}
    return told(of, curves={place: climbing(reached[known], known[1]) for place, known in lengths.items()})


def test_a_rate_that_falls_is_not_passed_beside_a_constant_one() -> None:
    (found,) = asked("H9", falling_or_not([20], {("constant", 20): 0.8, ("cosine", 20): 0.8}))
    assert found.state is State.NOT_RUN
    assert len(found.candidates) == 1
    assert "half the epochs" in found.message


def test_a_rate_that_falls_is_held_against_a_constant_one_at_half_the_epochs() -> None:
    known = {("constant", 10): 0.75, ("cosine", 10): 0.7, ("constant", 20): 0.8, ("cosine", 20): 0.85}
    found = only("H9", falling_or_not([10, 20], known), Severity.WARNING)
    assert "the other way round" in found.message
    known |= {("cosine", 10): 0.76}
    assert [found.state for found in asked("H9", falling_or_not([10, 20], known))] == [State.PASS]


def test_networks_that_were_trained_for_half_as_long_are_compared_though_others_were_not() -> None:
    of = study(
        seeds=[0],
        candidates=[{"model": ["resnet18", "alexnet"], "epochs": [20, 40]}, {"model": "mobilenet_v2", "epochs": 40}],
    )
    reached = {("resnet18", 20): 0.75, ("alexnet", 20): 0.7, ("resnet18", 40): 0.8, ("alexnet", 40): 0.85}
    curves = {
        place: climbing(reached.get((one.model, one.recipe.epochs), 0.9), one.recipe.epochs, 8)
        for place, one in enumerate(of.candidates)
    }
    fires, unknown = asked("H9", told(of, curves=curves))
    assert "alexnet and resnet18" in fires.message
    assert unknown.state is State.NOT_RUN
    assert "mobilenet_v2" in unknown.message


def test_few_epochs_do_not_show_where_a_curve_bends() -> None:
    (found,) = asked("H9", told(two(schedule="constant")))
    assert found.state is State.NOT_RUN


def test_curves_are_averaged_as_pandas_does() -> None:
    values = np.random.default_rng(0).random(12)
    np.testing.assert_allclose(smoothed(values), pd.Series(values).rolling(3).mean().dropna())
