"""Rules about tuning: grids with an inside, equal effort, declared differences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bakeoff.audit import Finding, Severity, State, tuning
from bakeoff.audit.settings import subjects
from bakeoff.records import RunStatus
from bakeoff.spec import EpochCost, ResolvedStudy, labels
from tests.audit.studies import study
from tests.synthetic import Run, frames

RATES = [0.003, 0.01, 0.03, 0.1]


def swept(rates: list[float], **more: Any) -> ResolvedStudy:
    """One network with these learning rates."""
    return study(candidates=[{"model": "resnet18", "optimizer": "sgd", "learning_rate": rates}], **more)


def edges(
    of: ResolvedStudy, accuracies: list[float | RunStatus] | None = None, folder: Path | None = None, **more: Any
) -> list[Finding]:
    """What P4 says where the candidates reached these validation accuracies, in their order, or have runs that stand so."""
    runs = epochs = None
    if accuracies is not None and folder is not None:
        seeds = more.pop("seeds", [0.0])
        folder.mkdir(exist_ok=True)
        runs, epochs = frames(
            folder,
            *(
                Run(candidate=candidate.id, seed=seed, status=accuracy, train=(), val=(), test=None)
                if isinstance(accuracy, RunStatus)
                else Run(candidate=candidate.id, seed=seed, train=(0.5,), val=(accuracy + off,), **more)
                for candidate, accuracy in zip(of.candidates, accuracies, strict=True)
                for seed, off in enumerate(seeds)
            ),
        )
    return list(tuning.edge.check(study=of, labels=labels(of.candidates), runs=runs, epochs=epochs, data=None))


def test_p4_fires_on_two_learning_rates_before_anything_is_trained() -> None:
    (found,) = edges(swept([0.001, 0.01]))
    assert found.severity is Severity.ERROR
    assert len(found.candidates) == 2
    assert "0.0003 and 0.03" in found.advice


def test_p4_waits_for_results_of_a_grid_that_could_have_an_optimum_inside() -> None:
    (found,) = edges(swept(RATES))
    assert found.state is State.NOT_RUN


def test_p4_lets_an_optimum_inside_the_grid_be(tmp_path: Path) -> None:
    assert not edges(swept(RATES), [0.7, 0.8, 0.9, 0.6], tmp_path)


LOST = [RunStatus.DIVERGED, RunStatus.FAILED]


@pytest.mark.parametrize("lost", LOST)
def test_p4_takes_a_rate_none_of_whose_runs_went_well_for_worse_than_the_others(
    tmp_path: Path, lost: RunStatus
) -> None:
    assert not edges(swept(RATES), [0.7, 0.8, 0.9, lost], tmp_path)
    (found,) = edges(swept(RATES), [0.9, 0.8, 0.7, lost], tmp_path / "edge")
    assert found.severity is Severity.ERROR
    assert "10.00 points above the next value" in found.message


@pytest.mark.parametrize("lost", LOST)
def test_p4_fires_on_an_optimum_at_the_edge_beside_a_rate_that_no_run_survived(tmp_path: Path, lost: RunStatus) -> None:
    (found,) = edges(swept(RATES), [0.9, lost, 0.7, lost], tmp_path)
    assert found.severity is Severity.ERROR
    assert "no run with the next value finished" in found.message
    assert found.evidence["gap"] is None


@pytest.mark.parametrize("open_run", [RunStatus.PENDING, RunStatus.RUNNING])
def test_p4_waits_for_runs_that_have_not_ended_and_for_no_others(tmp_path: Path, open_run: RunStatus) -> None:
    (found,) = edges(swept(RATES), [0.7, 0.8, open_run, RunStatus.DIVERGED], tmp_path)
    assert found.state is State.NOT_RUN
    assert len(found.candidates) == 4


def test_p4_does_not_wait_for_a_grid_that_no_run_survived(tmp_path: Path) -> None:
    (found,) = edges(swept(RATES), [RunStatus.DIVERGED] * 4, tmp_path)
    assert found.state is State.NOT_RUN
    assert "no run finished" in found.message


def test_p4_fires_on_an_optimum_at_the_edge(tmp_path: Path) -> None:
    (found,) = edges(swept(RATES), [0.6, 0.7, 0.8, 0.9], tmp_path)
    assert found.severity is Severity.ERROR
    assert "10.00 points above the next value" in found.message
    assert found.advice == "Add 0.3 before judging."


def test_p4_only_warns_where_the_edge_is_within_noise_of_the_next_value(tmp_path: Path) -> None:
    (found,) = edges(swept(RATES), [0.6, 0.7, 0.88, 0.9], tmp_path, seeds=[-0.02, 0.0, 0.02])
    assert found.severity is Severity.WARNING
    (found,) = edges(swept(RATES), [0.6, 0.7, 0.88, 0.9], tmp_path / "steady", seeds=[-0.0001, 0.0, 0.0001])
    assert found.severity is Severity.ERROR


def test_p4_takes_seeds_that_agree_by_chance_for_no_accuracy_without_error(tmp_path: Path) -> None:
    of = swept([0.001, 0.003, 0.01], data={"validation": 100})
    (found,) = edges(of, [0.97, 0.98, 0.99], tmp_path, seeds=[0.0, 0.0])
    assert found.severity is Severity.WARNING
    # As if two more of 100 had been answered rightly and two wrongly: 101 and 100 of 104 (Agresti & Coull 1998).
    assert found.evidence["noise"] == pytest.approx(2 * math.sqrt((101 * 3 + 100 * 4) / 104**3))
    (found,) = edges(of, [0.8, 0.9, 1.0], tmp_path / "far", seeds=[0.0, 0.0])
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize(
    "reached", [[0.9, 0.9, 0.8, 0.7], [0.7, 0.8, 0.9, 0.9], [0.9, 0.8, 0.9, 0.9], [1.0, 1.0, 1.0, 1.0]]
)
@pytest.mark.parametrize("turn", [1, -1])
def test_p4_takes_a_value_inside_the_grid_that_does_as_well_as_one_at_the_edge(
    tmp_path: Path, reached: list[float], turn: int
) -> None:
    assert not edges(swept(RATES[::turn]), list(reached[::turn]), tmp_path, seeds=[0.0, -0.1, -0.3])


def test_p4_takes_means_of_the_same_accuracies_in_another_order_for_equal(tmp_path: Path) -> None:
    off = [0.1, 0.2, 0.3]
    assert sum(off) / 3 != sum(reversed(off)) / 3
    of = swept(RATES)
    runs = [
        Run(candidate=one.id, seed=seed, train=(0.5,), val=(value,))
        for one, values in zip(of.candidates, [off, off[::-1], [0.1] * 3, [0.1] * 3], strict=True)
        for seed, value in enumerate(values)
    ]
    known, epochs = frames(tmp_path, *runs)
    assert not list(tuning.edge.check(study=of, labels=labels(of.candidates), runs=known, epochs=epochs, data=None))


def test_p4_warns_of_a_best_value_at_the_edge_that_no_candidate_stands_beside(tmp_path: Path) -> None:
    slow = {"model": "resnet18", "optimizer": "sgd", "learning_rate": [0.01, 0.03], "weight_decay": 0.0}
    fast = {"model": "resnet18", "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0005}
    (found,) = edges(study(candidates=[slow, fast]), [0.7, 0.8, 0.95], tmp_path)
    assert found.severity is Severity.WARNING
    assert "no candidate that differs from it in the learning rate alone shows by how much" in found.message
    assert found.evidence["gap"] is None


def test_p4_holds_the_best_value_against_the_next_that_was_tried_with_the_same_other_settings(tmp_path: Path) -> None:
    sparse = {"model": "resnet18", "optimizer": "sgd", "learning_rate": [0.01, 0.1], "weight_decay": 0.0}
    other = {"model": "resnet18", "optimizer": "sgd", "learning_rate": 0.03, "weight_decay": 0.0005}
    (found,) = edges(study(candidates=[sparse, other]), [0.7, 0.9, 0.8], tmp_path)
    assert found.severity is Severity.ERROR
    assert "20.00 points above the next value" in found.message


def test_p4_notes_a_coarse_grid(tmp_path: Path) -> None:
    (found,) = edges(swept([0.001, 0.01, 0.1]), [0.7, 0.9, 0.6], tmp_path)
    assert found.severity is Severity.NOTE


def test_p4_lets_what_is_compared_be() -> None:
    assert not edges(swept([0.001, 0.01], audit={"subject": ["learning_rate"]}))


def test_p4_lets_one_rate_and_two_decays_be() -> None:
    assert not edges(swept([0.01]))
    assert not edges(study(candidates=[{"model": "resnet18", "weight_decay": [0, 0.0005]}]))


def test_p4_takes_no_decay_at_all_for_no_edge(tmp_path: Path) -> None:
    of = study(candidates=[{"model": "resnet18", "weight_decay": [0, 0.0005, 0.005]}])
    assert not edges(of, [0.9, 0.8, 0.7], tmp_path)
    (found,) = edges(of, [0.7, 0.8, 0.9], tmp_path / "other")
    assert "weight decay" in found.message


@pytest.mark.parametrize(
    ("axis", "values", "advised"),
    [
        ("momentum", [0.5, 0.8, 0.9], 0.95),
        ("label_smoothing", [0.1, 0.2, 0.4], 0.7),
        ("weight_decay", [0.1, 0.2, 0.5], 1.5),
    ],
)
def test_p4_advises_a_value_that_a_recipe_takes(tmp_path: Path, axis: str, values: list[float], advised: float) -> None:
    grid = {"model": "resnet18", "optimizer": "sgd"}
    (found,) = edges(study(candidates=[grid | {axis: values}]), [0.6, 0.7, 0.8], tmp_path)
    assert found.advice == f"Add {advised:g} before judging."
    assert study(candidates=[grid | {axis: [*values, advised]}])


def test_p4_looks_at_each_sweep_of_a_grid_by_itself(tmp_path: Path) -> None:
    of = study(candidates=[{"model": ["resnet18", "alexnet"], "optimizer": "sgd", "learning_rate": RATES}])
    (found,) = edges(of, [0.7, 0.8, 0.9, 0.6, 0.9, 0.8, 0.7, 0.6], tmp_path)
    assert {of.candidates[place].id for place in range(4, 8)} == set(found.candidates)


def effort(of: ResolvedStudy, runs: Any = None, epochs: Any = None) -> list[Finding]:
    return list(tuning.unequal_tuning.check(study=of, runs=runs, epochs=epochs))


def test_p5_lets_equal_grids_be() -> None:
    assert not effort(study(recipe={"learning_rate": [0.001, 0.003, 0.01]}))
    assert not effort(swept(RATES))


def test_p5_fires_on_four_times_the_trials() -> None:
    many = {
        "model": "resnet18",
        "learning_rate": [0.001, 0.002, 0.003, 0.004],
        "schedule": ["cosine", "constant", "linear"],
    }
    few = {"model": "alexnet", "learning_rate": [0.001, 0.002, 0.003]}
    (found,) = effort(study(candidates=[many, few]))
    assert found.severity is Severity.ERROR
    assert "resnet18 12 and alexnet 3 trials" in found.message


def test_p5_says_whether_the_order_would_be_another_at_equal_trials(tmp_path: Path) -> None:
    many = {"model": "resnet18", "learning_rate": [0.001, 0.002, 0.003, 0.004]}
    of = study(candidates=[many, {"model": "alexnet"}])
    luck = (0.5, 0.6, 0.7, 0.9, 0.8)  # four trials of resnet18, 0.675 on average, and one of alexnet
    runs = [Run(candidate=one.id, train=(1.0,), val=(value,)) for one, value in zip(of.candidates, luck, strict=True)]
    unequal, order = effort(of, *frames(tmp_path, *runs))
    assert unequal.severity is Severity.ERROR
    assert "By their best trials the order is resnet18, alexnet" in order.message


def test_p5_warns_of_a_third_more_epochs() -> None:
    (found,) = effort(study(candidates=[{"model": "resnet18", "epochs": 13}, {"model": "alexnet"}]))
    assert found.severity is Severity.WARNING
    assert not effort(study(candidates=[{"model": "resnet18", "epochs": 11}, {"model": "alexnet"}]))


def test_p5_lets_epochs_that_are_compared_be() -> None:
    of = study(
        candidates=[{"model": "resnet18", "epochs": 30}, {"model": "alexnet"}], audit={"subject": ["model", "recipe"]}
    )
    assert not effort(of)


def differences(of: ResolvedStudy, macs: dict[str, int] | None = None) -> list[Finding]:
    return list(tuning.undeclared_difference.check(study=of, macs=macs))


def test_p6_lets_candidates_be_that_differ_in_the_model_alone() -> None:
    assert not differences(study())
    assert not differences(study(recipe={"optimizer": ["adam", "sgd"]}))


def test_p6_lets_a_rate_that_was_tuned_for_each_be() -> None:
    fast = {"model": "resnet18", "learning_rate": [0.01, 0.03, 0.1]}
    slow = {"model": "alexnet", "learning_rate": [0.0001, 0.0003, 0.001]}
    assert not differences(study(candidates=[fast, slow]))
    assert differences(study(candidates=[fast, slow | {"learning_rate": 0.001}]))


@pytest.mark.parametrize("protocol", ["flops", "time"])
def test_p6_and_p5_take_epochs_that_a_budget_decides_for_no_part_of_a_recipe(protocol: str) -> None:
    grid = [{"model": ["resnet18", "mobilenet_v2"], "optimizer": ["adam", "sgd"], "learning_rate": 0.001}]
    of = study(protocol=protocol, candidates=grid, audit={"subject": ["recipe"]})
    cheaper = of.granted([EpochCost(amount=10.0 if one.model == "resnet18" else 4.0) for one in of.candidates])
    epochs = {one.model: one.recipe.epochs for one in cheaper.candidates}
    assert epochs["mobilenet_v2"] > epochs["resnet18"]
    assert not differences(cheaper)
    assert not effort(cheaper)
    assert list(subjects(cheaper)) == ["adam", "sgd"]
    asked_for = study(candidates=[*grid, grid[0] | {"epochs": 20}], audit={"subject": ["recipe"]})
    assert len(subjects(asked_for)) == 4  # where nothing else decides them epochs are compared


def test_p6_advises_to_declare_what_was_combined_otherwise_and_not_what_is_declared() -> None:
    combined = [("resnet18", "adam", "cosine"), ("resnet18", "sgd", "constant")]
    combined += [("alexnet", "adam", "constant"), ("alexnet", "sgd", "cosine")]
    candidates = [
        {"model": model, "optimizer": optimizer, "schedule": schedule, "learning_rate": 0.001}
        for model, optimizer, schedule in combined
    ]
    (found,) = differences(study(candidates=candidates))
    assert "the combinations of settings" in found.message
    assert found.advice.endswith('subject = ["model", "recipe"].')
    assert set(found.evidence) == {"optimizer", "schedule"}
    assert not differences(study(candidates=candidates, audit={"subject": ["model", "recipe"]}))


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({"view": {"train": {"resize": 64}}}, Severity.ERROR),
        ({"optimizer": "sgd"}, Severity.WARNING),
        ({"batch_size": 128}, Severity.WARNING),
        ({"schedule": "constant"}, Severity.WARNING),
        ({"view": {"normalize": "imagenet"}}, Severity.WARNING),
        ({"stem": "original"}, Severity.WARNING),
    ],
)
def test_p6_fires_on_what_else_differs(more: dict[str, Any], severity: Severity) -> None:
    of = study(candidates=[{"model": "mobilenet_v2"}, {"model": "resnet18"} | more])
    (found,) = differences(of)
    assert found.severity is severity


def test_p6_counts_momentum_with_the_optimizer_where_all_who_use_it_share_it() -> None:
    one, other, third = (
        {"model": model, "optimizer": optimizer, "learning_rate": 0.001}
        for model, optimizer in (("mobilenet_v2", "adam"), ("resnet18", "sgd"), ("alexnet", "sgd"))
    )
    (found,) = differences(study(candidates=[one, other]))
    assert list(found.evidence) == ["optimizer"]
    declared = {"subject": ["model", "optimizer"]}
    assert not differences(study(candidates=[one, other], audit=declared))
    (found,) = differences(study(candidates=[one, other, third | {"momentum": 0.5}], audit=declared))
    assert list(found.evidence) == ["momentum"]


def test_p6_says_what_a_picture_takes_and_what_to_declare() -> None:
    of = study(candidates=[{"model": "alexnet", "view": {"train": {"resize": 224}}}, {"model": "resnet18"}])
    first, second = (candidate.id for candidate in of.candidates)
    (found,) = differences(of, {first: 710_000_000, second: 37_000_000})
    assert "input size (alexnet 224; resnet18 32)" in found.message
    assert "710 M in alexnet and 37 M in resnet18" in found.message
    assert '"model", "stem", "view"' in found.advice


def test_p6_lets_declared_differences_be() -> None:
    of = study(
        candidates=[{"model": "alexnet", "view": {"train": {"resize": 224}}}, {"model": "resnet18"}],
        audit={"subject": ["model", "stem", "view"]},
    )
    assert not differences(of)


def test_p6_warns_where_one_networks_view_and_recipe_change_together() -> None:
    enlarged = {"train": {"resize": 64}}
    together = [{"model": "resnet18", "optimizer": "sgd", "view": enlarged}, {"model": "resnet18", "optimizer": "adam"}]
    (found,) = differences(study(candidates=together))
    assert found.severity is Severity.WARNING
    crossed = [
        *together,
        {"model": "resnet18", "optimizer": "adam", "view": enlarged},
        {"model": "resnet18", "optimizer": "sgd"},
    ]
    assert not differences(study(candidates=crossed))
    assert not differences(study(candidates=[{"model": "resnet18", "optimizer": ["adam", "sgd"]}]))
