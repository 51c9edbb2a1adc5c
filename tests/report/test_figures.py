"""What the figures show, checked as numbers, and that every study, however odd, can be drawn."""

from __future__ import annotations

import builtins
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from bakeoff.analysis.ranking import rank
from bakeoff.errors import MissingExtraError, StudyError
from bakeoff.records import RunStatus
from bakeoff.report.drawing import OPTIMIZER_COLOURS
from bakeoff.report.figure_facts import curve_facts, score_facts, timed_accuracies
from bakeoff.report.figures import draw_general_figures, draw_training_figures, emphasised, figures
from bakeoff.report.page.curves import courses
from tests.synthetic import Run, frames

pytestmark = pytest.mark.slow

DIVERGED, FAILED, PENDING, RUNNING = RunStatus.DIVERGED, RunStatus.FAILED, RunStatus.PENDING, RunStatus.RUNNING
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "_a $\\frac{1}{0}$ <script>alert('x')</script> & -->\x1b[31m\u202e" + "x" * 80


def paper() -> list[Run]:
    """The paper's study in small: four ResNet-18s, and one more that ran fewer epochs; AlexNet; two MobileNets."""
    grid = [("adam", 0.01), ("adam", 0.001), ("sgd", 0.01), ("sgd", 0.001)]
    runs = [
        Run(
            candidate=f"resnet18 {optimizer} {rate:g}",
            model="resnet18",
            optimizer=optimizer,
            learning_rate=rate,
            train=[0.3 + 0.1 * place, 0.5 + 0.1 * place, 0.55 + 0.1 * place],
            val=None,
            test=0.5 + 0.1 * place,
        )
        for place, (optimizer, rate) in enumerate(grid)
    ]
    runs.append(Run(candidate="resnet18 short", learning_rate=0.001, train=[0.1, 0.2], val=None))
    runs.append(Run(candidate="alexnet", model="alexnet", train=[0.1, 0.2, 0.3], val=None))
    long = Run(candidate="mobilenet sgd", model="mobilenet_v2", optimizer="sgd", learning_rate=0.01, val=None)
    return [*runs, long, Run(candidate="mobilenet adam", model="mobilenet_v2", train=[0.9], val=None)]


def drawn(tmp_path: Path, *runs: Run, of_cifar10: bool = False) -> tuple[dict[str, Figure], list[str]]:
    left_out: list[str] = []
    tables = frames(tmp_path, *runs)
    training = draw_training_figures(*tables, left_out, of_cifar10=of_cifar10)
    made = dict(training) | dict(draw_general_figures(*tables, left_out))
    return made, left_out


def lines(figure: Figure, panel: int) -> list[Line2D]:
    return list(figure.axes[panel].get_lines())


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


# Facts


def test_a_curve_is_the_mean_of_the_finished_seeds_between_their_extremes(tmp_path: Path) -> None:
    runs = [
        Run(seed=0, val=(0.1, 0.5, 0.6)),
        Run(seed=1, val=(0.3, 0.4, 0.8)),
        Run(seed=2, val=(0.9, 0.9, 0.9), status=RUNNING),
    ]
    (curve,) = curve_facts(*frames(tmp_path, *runs), "val_accuracy")
    assert curve.runs == 2
    assert curve.complete
    assert curve.epochs == (1, 2, 3)
    assert curve.mean == pytest.approx([mean(pair) for pair in [(0.1, 0.3), (0.5, 0.4), (0.6, 0.8)]])
    assert (curve.low, curve.high) == ((0.1, 0.4, 0.6), (0.3, 0.5, 0.8))


def test_where_no_seed_has_finished_the_farthest_is_shown_alone(tmp_path: Path) -> None:
    runs = [Run(seed=0, train=[0.1], val=None, status=RUNNING), Run(seed=1, val=None, status=DIVERGED, test=None)]
    (curve,) = curve_facts(*frames(tmp_path, *runs), "train_accuracy")
    assert (curve.runs, curve.complete, curve.mean) == (1, False, (0.5, 0.6, 0.7))


def test_all_curves_of_a_candidate_that_has_not_finished_are_of_one_run(tmp_path: Path) -> None:
    # The first lost its loss in the third epoch, and yet came as far as the second.
    runs = [
        Run(seed=0, val=(0.1, 0.2, 0.3), loss=(1.0, 0.9, math.nan), status=RUNNING, seconds=5),
        Run(seed=1, val=(0.7, 0.8, 0.9), loss=(2.0, 1.9, 1.8), status=RUNNING, seconds=100),
    ]
    tables = frames(tmp_path, *runs)
    (accuracy,), (loss,) = (curve_facts(*tables, metric) for metric in ("val_accuracy", "train_loss"))
    assert (accuracy.mean, loss.mean) == ((0.1, 0.2, 0.3), (1.0, 0.9))
    (course,) = courses(*tables, ["alpha"])
    assert course.seconds == pytest.approx((6.25, 12.5, 18.75))


def test_a_curve_ends_before_the_first_loss_that_is_not_finite(tmp_path: Path) -> None:
    run = Run(loss=[1.0, math.nan, 0.5], status=DIVERGED, test=None)
    (curve,) = curve_facts(*frames(tmp_path, run), "train_loss")
    assert curve.epochs == (1,)


def test_a_metric_that_was_never_measured_has_no_curves(tmp_path: Path) -> None:
    assert curve_facts(*frames(tmp_path, Run(val=None)), "val_accuracy") == []


def test_scores_are_of_finished_runs_only(tmp_path: Path) -> None:
    runs = [Run(seed=0, test=0.5), Run(seed=1, test=0.7), Run(seed=2, status=DIVERGED, test=None)]
    (score,) = score_facts(frames(tmp_path, *runs)[0])
    assert (score.runs, score.accuracy) == (2, pytest.approx(0.6))
    assert score.accuracy_sd == pytest.approx(math.sqrt(0.02))


def test_a_trade_is_the_ranking_accuracy_against_training_time(tmp_path: Path) -> None:
    split, (trade,) = timed_accuracies(*frames(tmp_path, Run()))
    assert (split, trade.accuracy, trade.seconds) == ("val", 0.6, 37.5)


def test_a_candidate_that_the_audit_does_not_rank_has_no_place_in_the_figure(tmp_path: Path) -> None:
    tables = frames(tmp_path, Run(candidate="a", val=(0.9,) * 3), Run(candidate="b", val=(0.8,) * 3))
    best = str(rank(*tables)["candidate_id"].iloc[0])
    assert [(one.label, one.rank) for one in timed_accuracies(*tables)[1]] == [("a", 1), ("b", 2)]
    assert [(one.label, one.rank) for one in timed_accuracies(*tables, {best: "S1"})[1]] == [("b", 1)]


def test_of_many_candidates_the_best_of_each_model_stands_out(tmp_path: Path) -> None:
    runs = [Run(candidate=f"{model}{n}", model=model, val=(n / 10,) * 3) for model in "ab" for n in range(1, 6)]
    assert emphasised(rank(*frames(tmp_path, *runs))) == ["a5", "b5"]


# Training by recipe and by model, and the paper's figures


def test_training_by_recipe_has_colours_for_optimizers_and_dashes_for_rates(tmp_path: Path) -> None:
    figure = drawn(tmp_path, *paper())[0]["training-resnet18"]
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("training loss", "training accuracy")
    shown = [(line.get_color(), line.get_linestyle()) for line in lines(figure, 1)]
    red, blue = OPTIMIZER_COLOURS["adam"], OPTIMIZER_COLOURS["sgd"]
    assert shown == [(red, "-"), (red, "--"), (blue, "-"), (blue, "--")]
    assert list(lines(figure, 1)[0].get_ydata()) == pytest.approx([30, 50, 55])  # percent
    assert list(lines(figure, 0)[0].get_ydata()) == pytest.approx([1.4, 1.0, 0.9])  # nats
    for label in ("Adam 0.01", "Adam 0.001", "SGD 0.01", "SGD 0.001"):
        assert label in texts(figure)


def test_test_results_by_recipe_are_bars(tmp_path: Path) -> None:
    figure = drawn(tmp_path, *paper())[0]["test-resnet18"]
    heights = [[bar.get_height() for bar in panel.patches] for panel in figure.axes]
    assert heights[1] == pytest.approx([50, 60, 70, 80])
    assert heights[0] == pytest.approx([0.5, 0.4, 0.3, 0.2])


def test_figure_5_shows_the_longest_run_of_the_other_models(tmp_path: Path) -> None:
    made, left_out = drawn(tmp_path, *paper(), of_cifar10=True)
    figure = made["figure-5"]
    ours = [line for line in lines(figure, 1) if line.get_linestyle() == "-"]
    ends = sorted(line.get_ydata()[-1] for line in ours)  # type: ignore[index]
    assert ends == pytest.approx([30, 70])
    assert "mobilenet_v2 (SGD 0.01)" in texts(figure)
    assert any("figure-5" in one and "mobilenet adam" in one for one in left_out)


def test_a_run_passed_over_in_figure_3_is_told(tmp_path: Path) -> None:
    left_out = drawn(tmp_path, *paper(), of_cifar10=True)[1]
    assert any("figure-3" in one and "resnet18 short" in one for one in left_out)


def test_other_models_with_several_recipes_get_their_own_figures(tmp_path: Path) -> None:
    made = drawn(tmp_path, *paper())[0]
    assert {"training-mobilenet_v2", "test-mobilenet_v2"} < set(made)


def test_a_study_of_the_papers_pictures_and_recipes_says_which_of_its_figures_are_missing_and_why(
    tmp_path: Path,
) -> None:
    made, left_out = drawn(tmp_path, Run(model="resnet18"), of_cifar10=True)
    assert set(made) == {"accuracy-by-epoch", "accuracy-against-time"}
    assert any("Figures 3 and 4 are not drawn" in one for one in left_out)
    assert any("Figure 5 is not drawn" in one for one in left_out)


@pytest.mark.parametrize(
    ("of_cifar10", "runs"),
    [
        (False, paper()),
        (False, [Run(model="resnet18")]),
        (True, [Run(model="resnet18", learning_rate=0.02), Run(candidate="b", model="vgg11", learning_rate=0.02)]),
    ],
    ids=["other pictures", "other pictures, one candidate", "other recipes"],
)
def test_of_other_pictures_or_recipes_nothing_is_said_of_the_paper(
    tmp_path: Path, of_cifar10: bool, runs: list[Run]
) -> None:
    made, left_out = drawn(tmp_path, *runs, of_cifar10=of_cifar10)
    assert not any(word in told for told in (*made, *left_out) for word in ("figure", "Figure", "paper"))


def test_several_models_are_shown_by_the_longest_run_of_each(tmp_path: Path) -> None:
    made, left_out = drawn(tmp_path, *paper())
    ends = sorted(line.get_ydata()[-1] for line in lines(made["training-by-model"], 1))  # type: ignore[index]
    assert ends == pytest.approx([30, 70, 85])
    assert any("training-by-model shows the longest, then best candidate of each model" in one for one in left_out)


def test_one_model_is_not_shown_beside_others(tmp_path: Path) -> None:
    assert set(drawn(tmp_path, Run())[0]) == {"accuracy-by-epoch", "accuracy-against-time"}


def test_a_spread_of_accuracies_is_not_drawn_beyond_100_percent(tmp_path: Path) -> None:
    runs = [
        Run(candidate=f"{rate}", learning_rate=rate, seed=seed, val=(0.5, 0.5, value), test=value)
        for rate in (0.1, 0.01)
        for seed, value in enumerate((0.9, 1.0, 1.0))
    ]
    made, _ = drawn(tmp_path, *runs)
    for figure in (made["test-resnet18"].axes[1], made["accuracy-against-time"].axes[0]):
        ends = [
            point
            for bars in figure.collections
            for path in bars.get_paths()
            for point in path.vertices[:, 1]  # type: ignore[index]
        ]
        assert max(ends) == pytest.approx(100)


# Figures for every study


def test_accuracy_by_epoch_has_a_band_over_seeds_and_a_name_for_each_candidate(tmp_path: Path) -> None:
    runs = [Run(candidate=name, seed=seed, val=(0.1, 0.2, 0.3 + seed / 10)) for name in "ab" for seed in (0, 1)]
    figure = drawn(tmp_path, *runs)[0]["accuracy-by-epoch"]
    assert len(figure.axes[0].collections) == 2
    assert {"a", "b"} < set(texts(figure))
    assert figure.axes[0].get_ylabel() == "validation accuracy (%)"


def test_of_candidates_with_unlike_numbers_of_seeds_the_least_and_the_most_are_told(tmp_path: Path) -> None:
    runs = [Run(candidate="a", seed=seed) for seed in range(6)] + [Run(candidate="b", seed=seed) for seed in range(3)]
    figures = drawn(tmp_path, *runs)[0]
    assert any("mean and range of 3 to 6 seeds" in text for text in texts(figures["accuracy-by-epoch"]))


def test_without_a_validation_split_the_curves_are_called_training_accuracy(tmp_path: Path) -> None:
    figure = drawn(tmp_path, Run(val=None))[0]["accuracy-by-epoch"]
    assert figure.axes[0].get_ylabel() == "training accuracy (%)"
    assert any("no validation split" in text for text in texts(figure))


@pytest.mark.parametrize(("seconds", "label"), [(1.0, "(s)"), (100.0, "(min)"), (5000.0, "(h)")])
def test_training_time_has_a_unit_that_suits_it(tmp_path: Path, seconds: float, label: str) -> None:
    figure = drawn(tmp_path, Run(seconds=seconds))[0]["accuracy-against-time"]
    assert label in figure.axes[0].get_xlabel()


def test_times_far_apart_are_drawn_on_a_logarithmic_scale(tmp_path: Path) -> None:
    figure = drawn(tmp_path, Run(candidate="a", seconds=1), Run(candidate="b", seconds=500))[0]["accuracy-against-time"]
    assert figure.axes[0].get_xscale() == "log"
    assert "log scale" in figure.axes[0].get_xlabel()


def test_of_many_candidates_those_without_a_name_have_their_rank_where_it_lies_on_nothing(tmp_path: Path) -> None:
    runs = [
        Run(candidate=f"candidate {n}", model=f"model {n % 5}", seed=seed, seconds=10 + n % 9, val=(0.5 + n / 200,) * 3)
        for n in range(40)
        for seed in (0, 1)
    ]
    tables = frames(tmp_path, *runs)
    figure = drawn(tmp_path, *runs)[0]["accuracy-against-time"]
    axes = figure.axes[0]
    figure.draw_without_rendering()
    numbers = [text for text in axes.texts if text.get_text()]
    ranks = {text.get_text() for text in numbers}
    named, trades = emphasised(rank(*tables)), timed_accuracies(*tables)[1]
    unnamed = {str(trade.rank) for trade in trades if trade.label not in named}
    assert ranks <= unnamed
    assert len(ranks) >= len(unnamed) // 2
    boxes = [text.get_window_extent() for text in numbers]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        for trade in trades:
            x, y = axes.transData.transform((trade.seconds, 100 * trade.accuracy))
            assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)


def test_of_few_candidates_each_is_named_and_none_numbered(tmp_path: Path) -> None:
    runs = [Run(candidate=name, model=name) for name in ("resnet18", "mobilenet_v2", "alexnet")]
    figure = drawn(tmp_path, *runs)[0]["accuracy-against-time"]
    assert {"resnet18", "mobilenet_v2", "alexnet"} <= set(texts(figure))
    assert not figure.axes[0].texts


# Files


def test_each_figure_is_written_as_png_and_svg(tmp_path: Path) -> None:
    result = figures(*frames(tmp_path, Run(), Run(seed=1)), tmp_path / "report" / "figures")
    assert [path.name for path in result.paths] == [
        f"{stem}.{kind}" for stem in ("accuracy-by-epoch", "accuracy-against-time") for kind in ("png", "svg")
    ]
    for path in result.paths:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        else:
            assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_drawing_twice_gives_the_same_files(tmp_path: Path) -> None:
    tables = frames(tmp_path, Run())
    first = [path.read_bytes() for path in figures(*tables, tmp_path / "a").paths]
    assert [path.read_bytes() for path in figures(*tables, tmp_path / "b").paths] == first


def test_hostile_names_are_drawn_literally_and_safely(tmp_path: Path) -> None:
    result = figures(*frames(tmp_path, Run(candidate=HOSTILE, model="m$_{$/../../x")), tmp_path / "out")
    assert {path.parent for path in result.paths} == {tmp_path / "out"}
    for path in result.paths:
        if path.suffix == ".svg":
            tree = ElementTree.parse(path)  # a name that broke out of its place would break this
            assert not list(tree.iter(f"{SVG}script"))
            assert b"\x1b" not in path.read_bytes()


def test_a_hostile_name_stands_in_the_legend_unparsed_and_shortened(tmp_path: Path) -> None:
    figure = drawn(tmp_path, Run(candidate=HOSTILE))[0]["accuracy-by-epoch"]
    (shown,) = [text for text in texts(figure) if text.startswith("_a")]
    assert shown.startswith("_a $\\frac{1}{0}$ <scri…x")
    assert shown.endswith("x")
    assert len(shown) == 44


def test_long_names_that_differ_anywhere_have_a_line_each_in_the_legend(tmp_path: Path) -> None:
    labels = [
        f"mobilenet_v2 adam 0.001 {middle} cosine 10 epochs batch {size}" for middle in "ab" for size in (64, 128)
    ]
    made, _ = drawn(tmp_path, *(Run(candidate=label) for label in labels))
    for stem in ("accuracy-by-epoch", "accuracy-against-time"):
        assert set(labels) <= set(texts(made[stem]))
        assert not any(text.startswith(("thin", "small")) for text in texts(made[stem]))


def test_long_names_that_differ_at_their_ends_are_shortened_within(tmp_path: Path) -> None:
    labels = [f"mobilenet_v2 adam 0.001 cosine 10 epochs batch size {size}" for size in (64, 128)]
    shown = texts(drawn(tmp_path, *(Run(candidate=label) for label in labels))[0]["accuracy-by-epoch"])
    assert [len(text) for text in shown if text.startswith("mobilenet_v2")] == [44, 44]
    assert all(any(text.endswith(f"batch size {size}") for text in shown) for size in (64, 128))


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    figures(*frames(tmp_path, Run()), tmp_path / "out")
    assert dict(matplotlib.rcParams) == before


def test_where_nobody_is_ranked_that_is_the_reason_and_not_that_nothing_has_finished(tmp_path: Path) -> None:
    left_out: list[str] = []
    made = dict(draw_general_figures(*frames(tmp_path, Run()), left_out, {"alpha": "S1 too few seeds"}))
    assert "accuracy-against-time" not in made
    assert left_out == ["accuracy-against-time is not drawn: no candidate that has finished is ranked"]


STUDIES = {
    "no runs": [],
    "one run not begun": [Run(status=PENDING)],
    "all failed": [Run(seed=seed, status=FAILED, message="x", train=[], val=[]) for seed in range(3)],
    "all diverged at once": [Run(loss=[math.nan] * 3, status=DIVERGED, test=None)],
    "an infinite test loss": [
        Run(candidate=f"resnet18 {rate}", learning_rate=rate, test_loss=loss)
        for rate, loss in [(0.1, math.inf), (0.2, 0.5)]
    ],
    "one epoch": [Run(train=[0.5], val=[0.5])],
    "perfect": [Run(train=[1.0], val=[1.0], test=1.0), Run(seed=1, train=[1.0], val=[1.0], test=1.0)],
    "twelve candidates of one model": [Run(candidate=str(n), learning_rate=0.1 / 2**n) for n in range(12)],
    "ten models": [Run(candidate=f"m{n}", model=f"m{n}") for n in range(10)],
    "half done": [Run(candidate="a"), Run(candidate="b", status=PENDING), Run(candidate="c", status=RUNNING)],
}


@pytest.mark.parametrize("name", STUDIES)
def test_any_study_is_drawn_or_says_why_not(tmp_path: Path, name: str) -> None:
    made, left_out = drawn(tmp_path, *STUDIES[name])
    for figure in made.values():
        figure.draw_without_rendering()
    for stem in ("accuracy-by-epoch", "accuracy-against-time"):
        assert (stem in made) != any(stem in one for one in left_out)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "bakeoff.report" and args[2] and {"canvas", "drawing"} & set(args[2]):
            raise ImportError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'bakeoff\[figures\]'"):
        figures(*frames(tmp_path, Run()), tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="must lie in a folder"):
        figures(*frames(tmp_path, Run()), tmp_path / "file" / "figures")
