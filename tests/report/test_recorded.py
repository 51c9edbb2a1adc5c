"""What the paper's author recorded, and that it is drawn over the same recipes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bakeoff.report.drawing import RECORDED, RECORDED_TEST
from bakeoff.report.figures import draw_training_figures, figures
from bakeoff.report.recorded import recorded_curves, recorded_scores
from tests.report.test_figures import drawn, paper, texts
from tests.synthetic import Run, frames


def overlaid(folder: Path, *runs: Run) -> dict[str, Figure]:
    return dict(draw_training_figures(*frames(folder, *runs), [], of_cifar10=True))


def dashed(figure: Figure, panel: int) -> list[Line2D]:
    return [line for line in figure.axes[panel].get_lines() if line.get_linestyle() == "--"]


def test_the_recorded_curves_are_those_of_the_paper() -> None:
    curves = recorded_curves()
    assert {recipe: len(curve.epochs) for recipe, curve in curves.items()} == {
        ("resnet18", "adam", 0.01): 30,
        ("resnet18", "adam", 0.001): 30,  # of two runs the longer
        ("resnet18", "sgd", 0.01): 30,
        ("resnet18", "sgd", 0.001): 30,
        ("alexnet", "adam", 0.001): 30,
        ("mobilenet_v2", "sgd", 0.01): 30,
        ("mobilenet_v2", "adam", 0.001): 12,
    }
    # What the paper's text concludes from.
    ends = [curves[recipe].accuracies[-1] for recipe in list_of("resnet18", "alexnet", "mobilenet_v2")]
    assert ends == [0.8782, 0.7434, pytest.approx(0.2581, abs=0.001)]
    assert all(curve.epochs == tuple(range(1, len(curve.losses) + 1)) for curve in curves.values())
    assert recorded_scores()["resnet18", "adam", 0.001].accuracy == 0.8212


def list_of(*models: str) -> list[tuple[str, str, float]]:
    return [(model, *(("sgd", 0.01) if model == "mobilenet_v2" else ("adam", 0.001))) for model in models]


def test_recorded_curves_are_dashed_over_ours_which_are_solid(tmp_path: Path) -> None:
    made = overlaid(tmp_path, *paper())
    for stem, recipes in (
        ("figure-3", [("resnet18", optimizer, rate) for optimizer in ("adam", "sgd") for rate in (0.01, 0.001)]),
        ("figure-5", list_of("alexnet", "mobilenet_v2")),
    ):
        ours = [line for line in made[stem].axes[0].get_lines() if line.get_linestyle() == "-"]
        assert len(ours) == len(recipes)
        for panel, name, scale in ((0, "losses", 1), (1, "accuracies", 100)):
            shown = sorted(tuple(line.get_ydata()) for line in dashed(made[stem], panel))
            expected = sorted(
                tuple(scale * value for value in getattr(recorded_curves()[one], name)) for one in recipes
            )
            assert shown == [pytest.approx(one) for one in expected]
        assert [line.get_color() for line in ours] == [line.get_color() for line in dashed(made[stem], 0)]
        assert RECORDED in texts(made[stem])


def test_learning_rates_differ_in_shade_and_marker_where_dashes_mean_the_paper(tmp_path: Path) -> None:
    lines = [
        line for line in overlaid(tmp_path, *paper())["figure-3"].axes[0].get_lines() if line.get_linestyle() == "-"
    ]
    assert len({line.get_color() for line in lines}) == 4
    assert [line.get_markerfacecolor() == "white" for line in lines] == [False, True, False, True]


def test_recorded_test_results_cross_their_bars_and_are_in_sight(tmp_path: Path) -> None:
    figure = overlaid(tmp_path, *paper())["figure-4"]
    scores = [recorded_scores()["resnet18", optimizer, rate] for optimizer in ("adam", "sgd") for rate in (0.01, 0.001)]
    for panel, heights in ((0, [one.loss for one in scores]), (1, [100 * one.accuracy for one in scores])):
        lines = dashed(figure, panel)
        assert [line.get_ydata()[0] for line in lines] == pytest.approx(heights)  # type: ignore[index]
        assert [sum(line.get_xdata()) / 2 for line in lines] == pytest.approx([0, 1, 2, 3])  # type: ignore[arg-type]
        assert figure.axes[panel].get_ylim()[1] > max(heights)
    assert RECORDED_TEST in texts(figure)


def test_other_recipes_and_models_have_nothing_of_the_paper(tmp_path: Path) -> None:
    runs = [Run(candidate=f"{rate}", optimizer="adamw", learning_rate=rate) for rate in (0.01, 0.001)]
    other = Run(candidate="vgg", model="vgg11")
    made = overlaid(tmp_path, *runs, other)
    assert not any(RECORDED in texts(figure) for figure in made.values())
    assert [line.get_linestyle() for line in made["training-resnet18"].axes[0].get_lines()] == [
        "-",
        "--",
    ]  # ours, by rate


def test_studies_of_other_pictures_have_nothing_of_the_paper(tmp_path: Path) -> None:
    made, _ = drawn(tmp_path, *paper())
    assert not any({RECORDED, RECORDED_TEST} & set(texts(figure)) for figure in made.values())


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_figures_are_drawn_as_one_kind_of_file(tmp_path: Path, kind: str) -> None:
    tables: Any = frames(tmp_path, Run())
    paths = figures(*tables, tmp_path / "out", [kind], of_cifar10=True).paths
    assert paths
    assert {path.suffix for path in paths} == {f".{kind}"}
