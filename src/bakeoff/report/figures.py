"""A study's figures: two for every study, training by recipe and model, and those of the paper where it repeats the paper.

The facts are computed by `figure_facts`, drawn by `drawing`, and written here. Drawing needs the extra `figures`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bakeoff.analysis.ranking import rank
from bakeoff.errors import MissingExtraError
from bakeoff.files import write_atomically
from bakeoff.records import RunStatus
from bakeoff.report.figure_facts import (
    Configuration,
    Curve,
    configurations,
    curve_facts,
    longest_by_model,
    longest_by_recipe,
    score_facts,
    timed_accuracies,
)
from bakeoff.report.recorded import recorded_curves, recorded_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_MODEL = "resnet18"
"""The model of the paper's Figures 3 and 4; Figure 5 shows the others."""

KINDS = ("png", "svg")

EMPHASISED = 8
"""Curves that can be told apart in one picture; of more candidates only the best of each model is drawn in full."""


@dataclass(slots=True)
class Drawn:
    """What was drawn, and what was not."""

    paths: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Why a figure, or a candidate in one, is missing; one sentence each."""


def figures(
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    out_dir: Path,
    kinds: Sequence[str] = KINDS,
    *,
    of_cifar10: bool = False,
    unranked: Mapping[str, str] | None = None,
    ranked: bool = True,
) -> Drawn:
    """Draw what a study has to show, each figure as PNG and SVG.

    Models with several optimizers or rates get `training-MODEL` and `test-MODEL`, several models `training-by-model`,
    every study `accuracy-by-epoch` and `accuracy-against-time`. A study of the paper's pictures that has some of its
    recipes gets the paper's figures instead: `figure-3` and `figure-4` are training curves and test results of ResNet-18
    by optimizer and learning rate, `figure-5` training curves of the other models.

    Args:
        runs: As `Store.runs_frame` gives them.
        epochs: As `Store.epochs_frame` gives them.
        out_dir: Where to write; made if it is not there.
        kinds: Of files: `png`, `svg`.
        of_cifar10: Whether the study is of CIFAR-10, as the paper's was: what the paper recorded is then drawn, dashed, over
            what has the same model, optimizer and learning rate.
        unranked: Candidates that are not ranked, by id, with the reason, as `analysis.ranking.rank` takes them.
        ranked: Whether the others are, so that ranks may be told.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        StudyError: If a file cannot be written.
    """
    try:
        from bakeoff.report import canvas
    except ImportError as error:
        raise MissingExtraError("drawing figures", "figures") from error

    drawn = Drawn()
    with canvas.style():
        training = draw_training_figures(runs, epochs, drawn.left_out, of_cifar10=of_cifar10)
        general = draw_general_figures(runs, epochs, drawn.left_out, unranked, ranked=ranked)
        for stem, figure in itertools.chain(training, general):
            for kind in kinds:
                path = out_dir / f"{stem}.{kind}"
                write_atomically(path, canvas.rendered(figure, kind))
                drawn.paths.append(path)
    return drawn


def draw_training_figures(
    runs: pd.DataFrame, epochs: pd.DataFrame, left_out: list[str], *, of_cifar10: bool = False
) -> Iterator[tuple[str, Figure]]:
    """Yield file names and figures of training by recipe and by model; what is missing goes to `left_out`.

    Args:
        runs: As `figures`.
        epochs: As `figures`.
        left_out: Sentences are added to it.
        of_cifar10: As `figures`.
    """
    from bakeoff.report import drawing

    papers = of_cifar10 and _has_recipes_of_the_paper(runs)
    recorded = recorded_curves() if papers else {}
    recorded_tests = recorded_scores() if papers else {}
    losses, accuracies = (curve_facts(runs, epochs, f"train_{kind}") for kind in ("loss", "accuracy"))
    places = {label: place for place, label in enumerate(rank(runs, epochs)["candidate"])}
    losses.sort(key=lambda curve: places[curve.label])  # of equally long curves the better is shown
    several = _models_with_several_recipes(configurations(runs))
    for model in several:
        training, test = _stems(model, papers=papers)
        chosen, passed = longest_by_recipe(_of_model(losses, model))
        if not chosen:
            left_out.append(f"{training} and {test} are not drawn: no run of {model} has finished an epoch")
            continue
        left_out += _passed_over(training, "optimizer and rate", passed)
        shown = [curve.configuration.id for curve in chosen]
        yield training, drawing.by_recipe(model, chosen, _in_order(accuracies, shown), recorded)
        scores = sorted(
            (one for one in score_facts(runs) if one.configuration.id in shown),
            key=lambda one: shown.index(one.configuration.id),
        )
        if scores:
            yield test, drawing.score_bars(model, scores, recorded_tests)
        else:
            left_out.append(f"{test} is not drawn: no run of {model} has been scored on the test set")
    chosen, passed = longest_by_model(curve for curve in losses if not papers or curve.model != PAPER_MODEL)
    if len(chosen) > 1 or (papers and chosen):
        stem = "figure-5" if papers else "training-by-model"
        left_out += _passed_over(stem, "model", passed)
        shown = [curve.configuration.id for curve in chosen]
        yield stem, drawing.by_model(chosen, _in_order(accuracies, shown), recorded)
    if papers:
        left_out += _missing_of_the_paper(figures_3_and_4=PAPER_MODEL in several, figure_5=bool(chosen))


def _has_recipes_of_the_paper(runs: pd.DataFrame) -> bool:
    return not recorded_curves().keys().isdisjoint(one.recipe for one in configurations(runs))


def _stems(model: str, *, papers: bool) -> tuple[str, str]:
    """Return under which names the figures of a model's training and test results are written."""
    if papers and model == PAPER_MODEL:
        return "figure-3", "figure-4"
    return f"training-{_slug(model)}", f"test-{_slug(model)}"


def _missing_of_the_paper(*, figures_3_and_4: bool, figure_5: bool) -> list[str]:
    """Return which of the paper's figures a study of its pictures and recipes cannot show, and why."""
    said = []
    if not figures_3_and_4:
        said.append(
            f"the paper's Figures 3 and 4 are not drawn: they compare optimizers and learning rates of {PAPER_MODEL}, "
            "of which this study has fewer than two"
        )
    if not figure_5:
        said.append(
            f"the paper's Figure 5 is not drawn: it shows models other than {PAPER_MODEL}, "
            "of which no run has finished an epoch"
        )
    return said


def draw_general_figures(
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    left_out: list[str],
    unranked: Mapping[str, str] | None = None,
    *,
    ranked: bool = True,
) -> Iterator[tuple[str, Figure]]:
    """Yield file names and figures of accuracy by epoch and against time; what is missing goes to `left_out`."""
    from bakeoff.report import drawing

    best = emphasised(rank(runs, epochs, unranked))
    curves = curve_facts(runs, epochs, "val_accuracy") or curve_facts(runs, epochs, "train_accuracy")
    if curves:
        yield "accuracy-by-epoch", drawing.accuracy_by_epoch(curves, best)
    else:
        left_out.append("accuracy-by-epoch is not drawn: no run has finished an epoch")
    split, trades = timed_accuracies(runs, epochs, unranked)
    if trades:
        yield "accuracy-against-time", drawing.accuracy_against_time(trades, split, best, ranked=ranked)
    else:
        finished = bool((runs["status"] == RunStatus.DONE).any())
        why = "no candidate that has finished is ranked" if finished else "no run has finished"
        left_out.append(f"accuracy-against-time is not drawn: {why}")


def emphasised(table: pd.DataFrame) -> list[str]:
    """Return the labels of the candidates to draw in full, best first.

    Args:
        table: The ranking, as `rank` gives it.
    """
    if len(table) > EMPHASISED and table["model"].nunique() > 1:
        table = table.drop_duplicates("model")
    return [str(label) for label in table["candidate"].head(EMPHASISED)]


def _models_with_several_recipes(known: list[Configuration]) -> list[str]:
    recipes: dict[str, set[tuple[str, float]]] = {}
    for one in known:
        recipes.setdefault(one.model, set()).add((one.optimizer, one.learning_rate))
    return [model for model, found in recipes.items() if len(found) > 1]


def _of_model(curves: list[Curve], model: str) -> list[Curve]:
    return [curve for curve in curves if curve.model == model]


def _in_order(curves: list[Curve], ids: list[str]) -> list[Curve]:
    """Return the curves of these candidates, in this order."""
    return sorted(
        (curve for curve in curves if curve.configuration.id in ids),
        key=lambda curve: ids.index(curve.configuration.id),
    )


def _passed_over(stem: str, kind: str, passed: list[Curve]) -> list[str]:
    if not passed:
        return []
    names = [curve.label for curve in passed]
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"{stem} shows the longest, then best candidate of each {kind}, and so leaves out {listed}"]


def _slug(model: str) -> str:
    """Return a model's name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", model)
