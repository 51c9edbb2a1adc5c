"""Effects of settings on accuracy, planted and found again."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.analysis.effects import Influence, _influence, _Result, effect_grids, effects, influences
from bakeoff.analysis.ranking import rank
from bakeoff.records import RunStatus
from tests.synthetic import Run, frames

RATES = (0.001, 0.01, 0.1)


def run(model: str, optimizer: str, rate: float, accuracy: float, **changes: object) -> Run:
    values: dict = {
        "candidate": f"{model} {optimizer} {rate:g}",
        "model": model,
        "optimizer": optimizer,
        "learning_rate": rate,
        "val": (accuracy,),
        "train": (0.5,),
    }
    return Run(**values | changes)


def grid(best: tuple[str, float], model: str = "resnet18") -> list[Run]:
    """Two optimizers by three rates, of which one cell is best."""
    cells = itertools.product(("adam", "sgd"), RATES)
    return [run(model, *cell, 0.8 if cell == best else 0.5) for cell in cells]


def ranked(path: Path, *runs: Run, unranked: dict[str, str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs as stored, and their ranking without those that are not to be ranked."""
    table, epochs = frames(path, *runs)
    return table, rank(table, epochs, unranked)


def by_factor(found: list[Influence]) -> dict[str, Influence]:
    return {one.factor: one for one in found}


# Grids


def test_a_grid_holds_each_mean_over_seeds_where_it_belongs(tmp_path: Path) -> None:
    runs = [
        run("resnet18", "sgd", 0.1, 0.6),
        run("resnet18", "sgd", 0.1, 0.8, seed=1),
        run("resnet18", "adam", 0.001, 0.65),
        run("resnet18", "adam", 0.01, 0.3, status=RunStatus.DIVERGED),
        run("alexnet", "adam", 0.01, 0.9),
    ]
    (found,) = effect_grids(*ranked(tmp_path, *runs))
    assert found.model == "resnet18"
    assert found.optimizers == ("adam", "sgd")
    assert found.learning_rates == RATES
    assert found.accuracy == ((0.65, None, None), (None, None, pytest.approx(0.7)))
    assert found.best == (1, 2)
    assert "sgd, the best optimizer of resnet18, was tried with one learning rate (0.1) alone." in found.remarks
    assert "No run of resnet18 with adam 0.01 has finished." in found.remarks


@pytest.mark.parametrize(("rate", "word"), [(0.001, "lower"), (0.1, "higher")])
def test_a_best_at_the_edge_is_told(tmp_path: Path, rate: float, word: str) -> None:
    (found,) = effect_grids(*ranked(tmp_path, *grid(("adam", rate))))
    assert found.at_edge
    assert any(f"a {word} one may be better" in remark for remark in found.remarks)


def test_a_best_inside_the_grid_is_not_at_its_edge(tmp_path: Path) -> None:
    (found,) = effect_grids(*ranked(tmp_path, *grid(("sgd", 0.01))))
    assert found.best == (1, 1)
    assert not found.at_edge
    assert not any("edge" in remark or "may be better" in remark for remark in found.remarks)


@pytest.mark.parametrize("reached", [(0.8, 0.8, 0.5), (0.5, 0.8, 0.8), (0.8, 0.8, 0.8)])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_rate_inside_the_grid_that_does_as_well_as_one_at_its_edge_is_the_best(
    tmp_path: Path, reached: tuple[float, ...], turn: int
) -> None:
    runs = [run("resnet18", "sgd", rate, value) for rate, value in zip(RATES, reached, strict=True)]
    (found,) = effect_grids(*ranked(tmp_path, *runs[::turn]))
    assert found.best == (0, 1)
    assert not found.at_edge
    assert not any("may be better" in remark for remark in found.remarks)


def test_of_two_rates_that_do_equally_well_none_is_the_best(tmp_path: Path) -> None:
    runs = [run("resnet18", "sgd", rate, 0.8) for rate in RATES[:2]]
    (found,) = effect_grids(*ranked(tmp_path, *runs))
    assert not found.at_edge


def test_the_edge_is_that_of_the_best_optimizers_own_rates(tmp_path: Path) -> None:
    runs = [*grid(("sgd", 0.01)), run("resnet18", "adam", 1.0, 0.2)]
    (found,) = effect_grids(*ranked(tmp_path, *runs))
    assert not found.at_edge
    runs = [*runs[:3], *runs[4:]]  # sgd without 0.001: 0.01 is its lowest
    (tmp_path / "second").mkdir()
    (found,) = effect_grids(*ranked(tmp_path / "second", *runs))
    assert found.at_edge


def test_of_several_candidates_in_a_cell_the_best_is_shown_and_told(tmp_path: Path) -> None:
    runs = [*grid(("sgd", 0.01)), run("resnet18", "sgd", 0.01, 0.9, candidate="another", micro_batch=32)]
    (found,) = effect_grids(*ranked(tmp_path, *runs))
    assert found.accuracy[1][1] == 0.9
    assert any("share optimizer and learning rate" in remark for remark in found.remarks)


def test_without_a_finished_run_there_is_no_grid(tmp_path: Path) -> None:
    runs = [run("resnet18", "adam", rate, 0.5, status=RunStatus.PENDING) for rate in RATES]
    assert effect_grids(*ranked(tmp_path, *runs)) == []
    assert influences(*ranked(tmp_path, *runs)) == []


# Who is not ranked


BROKEN = "H3 no better than guessing"


def test_whom_the_audit_left_out_of_the_ranking_is_in_no_comparison(tmp_path: Path) -> None:
    runs = [*grid(("sgd", 0.01)), run("resnet18", "adam", 1.0, 0.99)]
    found = effects(*ranked(tmp_path, *runs, unranked={"resnet18 adam 1": BROKEN}))
    (one,) = found.grids
    assert one.best == (1, 1)
    assert one.accuracy[0][one.learning_rates.index(1.0)] is None
    assert not any("No run of resnet18 with adam 1 has finished" in remark for remark in one.remarks)
    (tmp_path / "without").mkdir()
    assert found.influences == effects(*ranked(tmp_path / "without", *runs[:-1])).influences
    assert (
        found.left_out == f"Not compared here, as the audit left them out of the ranking: resnet18 adam 1 ({BROKEN})."
    )


def test_where_nobody_is_ranked_the_reason_stands_in_place_of_effects(tmp_path: Path) -> None:
    runs = [run("resnet18", "adam", rate, 0.5) for rate in RATES]
    found = effects(*ranked(tmp_path, *runs, unranked=dict.fromkeys((one.candidate for one in runs), BROKEN)))
    assert (found.grids, found.influences) == ((), ())
    assert found.nothing == "No settings are compared: nobody who has a finished run is ranked."
    assert found.left_out == (
        "Not compared here, as the audit left them out of the ranking: "
        f"resnet18 adam 0.001, resnet18 adam 0.01 and resnet18 adam 0.1 ({BROKEN})."
    )


def test_of_one_seed_each_effects_are_shown_and_nothing_is_claimed(tmp_path: Path) -> None:
    runs = [*grid(("sgd", 0.01)), run("resnet18", "adam", 1.0, 0.99)]
    few = {one.candidate: "S1 too few seeds" for one in runs[:-1]}
    table, ranking = ranked(tmp_path, *runs, unranked=few | {runs[-1].candidate: BROKEN})
    found = effects(table, ranking, contending=list(few))
    (one,) = found.grids
    assert one.best == (1, 1)
    assert one.accuracy[0][one.learning_rates.index(1.0)] is None
    assert found.influences
    assert all("with one seed each, chance cannot be told from it" in told.sentence for told in found.influences)
    assert found.caveat == (
        "No candidate is ranked (S1 too few seeds). These are results of one seed each: a difference may be chance, so none "
        "is claimed to come from a setting."
    )
    assert (
        found.left_out == f"Not compared here, as the audit left them out of the ranking: resnet18 adam 1 ({BROKEN})."
    )
    assert effects(table, ranking).grids == ()


def test_where_somebody_is_ranked_who_is_not_is_not_compared_for_contending(tmp_path: Path) -> None:
    runs = grid(("sgd", 0.01))
    table, ranking = ranked(tmp_path, *runs, unranked={runs[0].candidate: "S1 too few seeds"})
    found = effects(table, ranking, contending=[one.candidate for one in runs])
    assert found.grids[0].accuracy[0][0] is None
    assert found.caveat == ""


def test_of_whom_no_run_has_finished_the_audit_left_nobody_out(tmp_path: Path) -> None:
    runs = [*grid(("sgd", 0.01)), run("resnet18", "adam", 1.0, 0.5, status=RunStatus.PENDING)]
    found = effects(*ranked(tmp_path, *runs))
    assert found.left_out == ""
    assert "No run of resnet18 with adam 1 has finished." in found.grids[0].remarks


# Why there is nothing to show


WAITING = {"status": RunStatus.PENDING}


@pytest.mark.parametrize(
    ("runs", "unranked", "why"),
    [
        ([run("resnet18", "adam", 0.1, 0.5, **WAITING)], [], "No run has finished, so no settings are compared."),
        ([run("resnet18", "adam", 0.1, 0.5)], [], "The study has one candidate, so there are no settings to compare."),
        (
            [run("resnet18", "adam", 0.1, 0.5), run("alexnet", "adam", 0.1, 0.5, **WAITING)],
            [],
            "No settings are compared: only resnet18 adam 0.1 has a finished run.",
        ),
        (
            [run("resnet18", "adam", 0.1, 0.5), run("alexnet", "adam", 0.1, 0.4)],
            ["alexnet adam 0.1"],
            "No settings are compared: only resnet18 adam 0.1 is ranked.",
        ),
        (
            [run("resnet18", "adam", 0.1, 0.5, candidate=name) for name in ("one", "other")],
            [],
            "No settings are compared: no two of the ranked candidates differ in one setting alone.",
        ),
        ([run("resnet18", "adam", 0.1, 0.5), run("alexnet", "adam", 0.1, 0.4)], [], ""),
        (grid(("sgd", 0.01)), [], ""),
    ],
)
def test_where_nothing_is_compared_the_one_cause_that_holds_is_told(
    tmp_path: Path, runs: list[Run], unranked: list[str], why: str
) -> None:
    assert effects(*ranked(tmp_path, *runs, unranked=dict.fromkeys(unranked, BROKEN))).nothing == why


# Influences


def additive(effects: dict[str, dict], *, seeds: int = 1) -> list[Run]:
    """A full grid in which each setting adds its own to the accuracy."""
    return [
        run(
            model, optimizer, rate, 0.3 + effects["model"][model] + effects["optimizer"][optimizer] + of_rate, seed=seed
        )
        for model in effects["model"]
        for optimizer in effects["optimizer"]
        for rate, of_rate in effects["rate"].items()
        for seed in range(seeds)
    ]


EFFECTS = {
    "model": {"resnet18": 0.2, "alexnet": 0.0},
    "optimizer": {"adam": 0.0, "sgd": 0.05},
    "rate": {0.001: 0.0, 0.01: 0.1, 0.1: 0.03},
}


def test_planted_effects_are_found_the_largest_first(tmp_path: Path) -> None:
    found = influences(*ranked(tmp_path, *additive(EFFECTS)))
    assert [one.factor for one in found] == ["model", "learning rate", "optimizer"]
    assert [one.spread for one in found] == pytest.approx([0.2, 0.1, 0.05])
    assert found[1].sentence.startswith(
        "learning rate: 0.01 reaches 10.00 points more than 0.001, on average over 4 pairs"
    )
    assert "one seed" in found[1].sentence


def test_a_hole_in_the_grid_changes_no_effect(tmp_path: Path) -> None:
    whole = additive(EFFECTS)
    found = by_factor(influences(*ranked(tmp_path, *whole[1:])))
    assert found["model"].spread == pytest.approx(0.2)
    assert found["optimizer"].spread == pytest.approx(0.05)


def test_settings_that_change_together_are_not_told_apart(tmp_path: Path) -> None:
    runs = [run("resnet18", "adam", 0.001, 0.5), run("resnet18", "sgd", 0.01, 0.7)]
    (found,) = influences(*ranked(tmp_path, *runs))
    assert found.factor == "optimizer (with it learning rate)"
    assert found.spread == pytest.approx(0.2)
    assert "in one pair of candidates alike in all else" in found.sentence


def test_a_setting_that_never_changes_alone_is_not_listed(tmp_path: Path) -> None:
    runs = [
        run("resnet18", "adam", 0.001, 0.5),
        run("alexnet", "adam", 0.01, 0.7),
        run("resnet18", "sgd", 0.01, 0.6),
    ]
    assert "model" not in by_factor(influences(*ranked(tmp_path, *runs)))


def test_values_that_reach_the_same_are_told_so(tmp_path: Path) -> None:
    (found,) = influences(*ranked(tmp_path, run("resnet18", "adam", 0.001, 0.5), run("resnet18", "adam", 0.01, 0.5)))
    assert found.spread == 0
    assert found.sentence.startswith("learning rate: 0.001 and 0.01 reach the same, in one pair")


def test_a_difference_that_seeds_make_by_themselves_is_called_so(tmp_path: Path) -> None:
    wide = [run("resnet18", "adam", 0.001, value, seed=seed) for seed, value in enumerate((0.3, 0.5, 0.7))]
    other = [run("resnet18", "adam", 0.01, value, seed=seed) for seed, value in enumerate((0.32, 0.52, 0.72))]
    (found,) = influences(*ranked(tmp_path, *wide, *other))
    assert found.sentence.endswith("seeds alone make that much.")


def test_a_difference_beyond_the_seeds_comes_with_what_they_make(tmp_path: Path) -> None:
    # Two seeds 2 points apart: sd 1.414 points, and so is the error of two means of two seeds; t at 95 % with 2 degrees is 4.303.
    first = [run("resnet18", "adam", 0.001, value, seed=seed) for seed, value in enumerate((0.50, 0.52))]
    second = [run("resnet18", "adam", 0.01, value, seed=seed) for seed, value in enumerate((0.70, 0.72))]
    (found,) = influences(*ranked(tmp_path, *first, *second))
    assert found.sentence.endswith("seeds alone make up to 6.08.")


def result(accuracy: float, deviation: float, *, seeds: int = 3, **levels: str) -> _Result:
    return _Result(
        label=str(levels),
        model="resnet18",
        optimizer="adam",
        learning_rate=0.001,
        levels=levels,
        accuracy=accuracy,
        deviation=deviation,
        seeds=seeds,
        unranked="",
    )


def test_a_candidate_whose_seeds_lie_far_apart_hides_no_effect_of_another() -> None:
    steady = [result(0.90, 0.003, decay="0", schedule="cosine"), result(0.93, 0.003, decay="1", schedule="cosine")]
    found = _influence("decay", [], ["schedule"], [*steady, result(0.5, 0.25, decay="0", schedule="linear")])
    assert found is not None
    assert found.sentence == (
        # t at 95 % with 4 degrees of freedom is 2.776: 2.776 * 0.3 * sqrt(2 / 3) points
        "decay: 1 reaches 3.00 points more than 0, in one pair of candidates alike in all else; seeds alone make up to 0.68."
    )


@pytest.mark.parametrize(("values", "seeds"), [(2, 2), (3, 3), (4, 5), (6, 3)])
def test_of_settings_that_do_nothing_few_are_said_to_change_accuracy(values: int, seeds: int) -> None:
    generator, told = np.random.default_rng(0), 0
    for _ in range(300):
        accuracies = generator.normal(0.8, 0.01, (values, seeds))
        results = [
            result(float(its.mean()), float(its.std(ddof=1)), seeds=seeds, rate=str(place))
            for place, its in enumerate(accuracies)
        ]
        found = _influence("rate", [], [], results)
        assert found is not None
        told += not found.sentence.endswith("seeds alone make that much.")
    assert told <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


@given(st.dictionaries(st.sampled_from(RATES), st.floats(0, 0.3), min_size=2))
def test_the_spread_of_a_full_grid_is_that_of_its_means(effects: dict[float, float]) -> None:
    rows = additive({"model": {"a": 0.0, "b": 0.1}, "optimizer": {"adam": 0.0, "sgd": 0.2}, "rate": effects})
    runs = pd.DataFrame(
        {
            "run_id": one.id,
            "candidate_id": one.candidate,
            "label": one.candidate,
            "model": one.model,
            "seed": 0,
            "status": RunStatus.DONE,
            "test_accuracy": 0.5,
            "seconds_test": 1.0,
            "started_at": pd.Timestamp(0),
            "parameters": 1,
            "macs": 1,
            "changes": (),
            "spec": {
                "candidate": {
                    "model": one.model,
                    "recipe": {"optimizer": one.optimizer, "learning_rate": one.learning_rate},
                }
            },
        }
        for one in rows
    )
    epochs = pd.DataFrame({"run_id": one.id} | vars_of(one) for one in rows)
    means = [0.3 + 0.05 + 0.1 + value for value in effects.values()]
    assert by_factor(influences(runs, rank(runs, epochs)))["learning rate"].spread == pytest.approx(
        max(means) - min(means)
    )


def vars_of(one: Run) -> dict[str, object]:
    (record,) = one.records()
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
