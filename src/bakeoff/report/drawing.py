"""Drawing of figure facts, on `canvas`.

Names are drawn as they are, never parsed as mathematics, with control characters shown and long ones shortened.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.colors
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bakeoff.report.canvas import label_panels, legend_below, pair, single, whole_numbers
from bakeoff.report.figure_facts import Configuration, Curve, Score, TimedAccuracy
from bakeoff.report.numbering import number_points
from bakeoff.report.recorded import RecipeKey, RecordedCurve, RecordedScore
from bakeoff.words import clean

# Okabe & Ito 2008, which people with any colour vision tell apart; its yellow is too faint on white and left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++")

# The paper's: Adam red, SGD blue. Lightness and markers differ too, for print in grey.
OPTIMIZER_COLOURS = {"adam": "#D7301F", "sgd": "#08458F", "adamw": "#9A5FB0", "muon": "#2B8A3E"}
OPTIMIZER_MARKERS = {"adam": "o", "sgd": "s", "adamw": "^", "muon": "D"}

FAINT = "#aaaaaa"

NAME_LENGTH = 44
"""Characters of a name that are drawn."""


def name(text: str) -> str:
    """Return a name as it is drawn: one line, nothing obeyed, shortened within, as long names differ at their ends."""
    shown = _whole(text)
    end = (NAME_LENGTH - 1) // 2
    return shown if len(shown) <= NAME_LENGTH else f"{shown[: NAME_LENGTH - 1 - end]}…{shown[-end:]}"


def _whole(text: str) -> str:
    return clean(text).replace("\n", " ")


def names(texts: Sequence[str]) -> dict[str, str]:
    """Return names as they are drawn beside each other: those that would look alike if shortened stay whole."""
    times = Counter(map(name, texts))
    return {text: name(text) if times[name(text)] == 1 else _whole(text) for text in texts}


RECORDED = "dashed: as the paper's author recorded it on CIFAR-10 (one seed, batch 64, the paper's own view)"
RECORDED_TEST = "dashed: as the paper's author recorded it (one seed, test pictures through the random training view)"
RECORDED_DASH: Any = (0, (4, 2))

LIGHTER = (0.0, 0.45, 0.65)
"""How much white the colour of an optimizer has for its first, second, ... learning rate where dashes tell ours from the
paper's: the markers of all but the first are hollow too, for print in grey."""


def by_recipe(
    model: str,
    losses: Sequence[Curve],
    accuracies: Sequence[Curve],
    recorded: Mapping[RecipeKey, RecordedCurve] | None = None,
) -> Figure:
    """Draw training loss and accuracy of one model, colours by optimizer, dashes by learning rate.

    Args:
        model: Their model.
        losses: One a configuration.
        accuracies: Likewise.
        recorded: Curves of the paper, drawn dashed over ours of the same recipe; then ours are all solid, and shades and
            hollow markers tell the learning rates.
    """
    figure, axes = pair(f"{name(model)}: training by optimizer and learning rate")
    rates = _rates([*losses, *accuracies])
    overlaid = _any_recorded([*losses, *accuracies], recorded)
    handles: dict[str, Artist] = {}
    for panel, curves in zip(axes, (losses, accuracies), strict=True):
        for curve in curves:
            made = curve.configuration
            look = _recipe_look(made, rates.index(made.learning_rate), overlaid=overlaid)
            handles.setdefault(f"{_recipe(made)}{_unfinished(curve)}", _curve(panel, curve, **look))
            _recorded(panel, curve, recorded, str(look["color"]))
    label_panels(axes, "training")
    legend_below(figure, handles, columns=4, title=RECORDED if overlaid else None)
    return figure


def _recipe_look(made: Configuration, place: int, *, overlaid: bool) -> dict[str, Any]:
    """Return the look of an optimizer with the n-th learning rate."""
    look: dict[str, Any] = {"color": OPTIMIZER_COLOURS[made.optimizer], "marker": OPTIMIZER_MARKERS[made.optimizer]}
    if not overlaid:
        return look | {"linestyle": DASHES[place % len(DASHES)]}
    look["color"] = _lighter(look["color"], LIGHTER[min(place, len(LIGHTER) - 1)])
    return look | {"linestyle": "-", "markerfacecolor": "white" if place else look["color"]}


def _lighter(colour: str, white: float) -> str:
    red, green, blue = (channel + (1 - channel) * white for channel in matplotlib.colors.to_rgb(colour))
    return matplotlib.colors.to_hex((red, green, blue))


def _any_recorded(curves: Sequence[Curve], recorded: Mapping[RecipeKey, RecordedCurve] | None) -> bool:
    return any(curve.configuration.recipe in (recorded or {}) for curve in curves)


def _recorded(axes: Axes, curve: Curve, recorded: Mapping[RecipeKey, RecordedCurve] | None, colour: str) -> None:
    """Draw what the paper's author recorded of a curve's recipe, if anything."""
    found = (recorded or {}).get(curve.configuration.recipe)
    if found is not None:
        values = found.losses if curve.metric.endswith("loss") else found.accuracies
        look: dict[str, Any] = {"color": colour, "linestyle": RECORDED_DASH, "linewidth": 1.1}
        axes.plot(found.epochs, _scaled(values, curve.metric), **look)


def by_model(
    losses: Sequence[Curve], accuracies: Sequence[Curve], recorded: Mapping[RecipeKey, RecordedCurve] | None = None
) -> Figure:
    """Draw training loss and accuracy of several models, one curve each; see `by_recipe` of what was recorded."""
    models = list(dict.fromkeys(curve.configuration.model for curve in [*losses, *accuracies]))
    listed = ", ".join(name(model) for model in models[:4]) + (", …" if len(models) > 4 else "")
    figure, axes = pair(f"Training of {listed}")
    overlaid = _any_recorded([*losses, *accuracies], recorded)
    handles: dict[str, Artist] = {}
    for panel, curves in zip(axes, (losses, accuracies), strict=True):
        for curve in curves:
            made = curve.configuration
            look = _look(models.index(made.model)) | ({"linestyle": "-"} if overlaid else {})
            line = _curve(panel, curve, **look)
            handles.setdefault(f"{name(made.model)} ({_recipe(made)}){_unfinished(curve)}", line)
            _recorded(panel, curve, recorded, look["color"])
    label_panels(axes, "training")
    legend_below(figure, handles, columns=4, title=RECORDED if overlaid else None)
    return figure


def score_bars(
    model: str, scores: Sequence[Score], recorded: Mapping[RecipeKey, RecordedScore] | None = None
) -> Figure:
    """Draw the final test loss and accuracy of one model's configurations as bars, with the spread over seeds.

    Args:
        model: Their model.
        scores: One a configuration.
        recorded: Results of the paper, drawn as dashed lines over the bars of the same recipe.
    """
    over = _over("standard deviation", [score.runs for score in scores])
    figure, axes = pair(f"{name(model)}: test set after training ({over})")
    _bars(axes[0], scores, [(score.loss, score.loss_sd) for score in scores], "{:.3f}")
    _bars(axes[1], scores, [(100 * score.accuracy, 100 * score.accuracy_sd) for score in scores], "{:.1f}", most=100)
    axes[0].set(title="test loss", ylabel="cross-entropy (nats per picture)")
    axes[1].set(title="test accuracy", ylabel="accuracy (%)", ylim=(0, 112), yticks=range(0, 101, 20))
    known = {
        place: found
        for place, one in enumerate(scores)
        if (found := (recorded or {}).get(one.configuration.recipe)) is not None
    }
    if known:
        lines = [_recorded_bar(axes, place, found) for place, found in known.items()]
        legend_below(figure, {RECORDED_TEST: lines[0]}, columns=1)
    return figure


def _recorded_bar(axes: Sequence[Axes], place: int, found: RecordedScore) -> Line2D:
    """Draw a recorded result over the n-th bar of both panels."""
    halo = [patheffects.withStroke(linewidth=3.5, foreground="white")]
    look: dict[str, Any] = {"color": "black", "linestyle": RECORDED_DASH, "linewidth": 1.3, "path_effects": halo}
    for panel, value in zip(axes, (found.loss, 100 * found.accuracy), strict=True):
        (line,) = panel.plot([place - 0.45, place + 0.45], [value, value], **look)
        panel.set_ylim(top=max(panel.get_ylim()[1], 1.12 * value))
    return line


def _bars(
    axes: Axes, scores: Sequence[Score], values: Sequence[tuple[float, float]], form: str, most: float = math.inf
) -> None:
    """Draw one bar a configuration with its value over it; what is not finite is said instead of drawn.

    Args:
        axes: To draw in.
        scores: The configurations' results.
        values: Of each a value, 0 or above, and its spread.
        form: Of the value in words.
        most: That a value can be: its spread is not drawn beyond.
    """
    rates = _rates(scores)
    for place, (score, (value, spread)) in enumerate(zip(scores, values, strict=True)):
        made = score.configuration
        height, error = (number if math.isfinite(number) else 0.0 for number in (value, spread))
        down, up = _within(height, error, most)
        axes.bar(
            place,
            height,
            width=0.66,
            yerr=[[down], [up]] if error else None,
            ecolor="#333333",
            capsize=3,
            facecolor=OPTIMIZER_COLOURS[made.optimizer],
            hatch=HATCHES[rates.index(made.learning_rate) % len(HATCHES)],
            edgecolor="white",
            linewidth=0,
        )
        words = form.format(value) if math.isfinite(value) else "not finite"
        top = (place, height + up)
        plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom", "bbox": plate}
        axes.annotate(words, top, xytext=(0, 3), **look)
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right"} if len(scores) > 5 else {}
    axes.set_xticks(range(len(scores)), [_recipe(score.configuration) for score in scores], **slanted)
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)


def _over(spread: str, seeds: Sequence[int]) -> str:
    """Say over how many seeds means are taken, and which spread is drawn."""
    least, most = min(seeds), max(seeds)
    if most == 1:
        return "one seed"
    return f"mean and {spread} of {most if least == most else f'{least} to {most}'} seeds"


def accuracy_by_epoch(curves: Sequence[Curve], best: Sequence[str]) -> Figure:
    """Draw an accuracy over the epochs of all candidates, the band from the lowest seed to the highest.

    Args:
        curves: All of one metric, an accuracy.
        best: Labels of those drawn in full, best first; the others are thin lines.
    """
    split = "validation" if curves[0].metric.startswith("val") else "training"
    over = _over("range", [curve.runs for curve in curves])
    none = "" if split == "validation" else "; no validation split"
    figure, axes = single(f"{split.capitalize()} accuracy by epoch ({over}{none})")
    looks = {label: _look(place) for place, label in enumerate(best)}
    colours = _colours_by_model(curves, best)
    handles: dict[str, Artist] = {}
    drawn = {curve.configuration.label: curve for curve in curves}
    for label, curve in drawn.items():
        if label not in looks:
            colour = colours.get(curve.configuration.model, FAINT)
            axes.plot(curve.epochs, _scaled(curve.mean, curve.metric), color=colour, alpha=0.4, linewidth=0.8)
    shown = names(best)
    for label in best:
        if label in drawn:
            handles[f"{shown[label]}{_unfinished(drawn[label])}"] = _curve(axes, drawn[label], **looks[label])
    if len(handles) < len(curves):
        handles["thin: other candidates"] = Line2D([], [], color=FAINT, linewidth=0.8)
    axes.set(xlabel="epoch", ylabel=f"{split} accuracy (%)")
    axes.xaxis.set_major_locator(whole_numbers())
    legend_below(figure, handles, columns=2)
    return figure


def accuracy_against_time(
    trades: Sequence[TimedAccuracy], split: str, best: Sequence[str], *, ranked: bool = True
) -> Figure:
    """Draw the accuracy of each candidate against its training time.

    Args:
        trades: The candidates that finished.
        split: `val` or `test`.
        best: Labels of those drawn in full, best first; the others are small points.
        ranked: Whether ranks may be told beside the others.
    """
    words = {"val": "validation", "test": "test"}[split]
    seeds = " (mean and standard deviation over seeds)" if any(math.isfinite(one.accuracy_sd) for one in trades) else ""
    figure, axes = single(f"{words.capitalize()} accuracy against training time{seeds}")
    longest = max(trade.seconds for trade in trades)
    size, unit = next(
        (size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s"), (0, "s")) if longest >= 2 * size
    )
    by_label = {trade.label: trade for trade in trades}
    colours = _colours_by_model(trades, best)
    handles: dict[str, Artist] = {}
    others = [trade for label, trade in by_label.items() if label not in best]
    for trade in others:
        _point(axes, trade, size or 1, color=colours.get(trade.model, FAINT), marker="o", markersize=3.5, alpha=0.4)
    shown = names(best)
    for place, label in enumerate(best):
        if label in by_label:
            look = _look(place)
            handles[shown[label]] = _point(axes, by_label[label], size or 1, color=look["color"], marker=look["marker"])
    if others:
        small = Line2D([], [], color=FAINT, marker="o", markersize=3.5, linestyle="none")
        handles[f"small: other candidates{', by their rank where it fits' if ranked else ''}"] = small
    axes.margins(x=0.1, y=0.15)
    logarithmic = longest > 8 * min(trade.seconds for trade in trades)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, 1.08 * longest / (size or 1))
    axes.set_xlabel(f"training time of one run ({unit}{', log scale' if logarithmic else ''})")
    axes.set_ylabel(f"{words} accuracy (%)")
    legend_below(figure, handles, columns=2)
    if others and ranked:
        number_points(figure, axes, list(by_label.values()), {trade.label for trade in others}, size or 1)
    return figure


def _point(axes: Axes, trade: TimedAccuracy, size: int, **look: Any) -> Artist:
    """Draw a candidate with its spread over seeds; `size` is the unit of time in seconds."""
    down, up = _within(100 * trade.accuracy, 100 * trade.accuracy_sd, 100)
    spread = [[down], [up]] if math.isfinite(trade.accuracy_sd) else None
    style: dict[str, Any] = {"markersize": 7, "capsize": 3, "linestyle": "none", "elinewidth": 1} | look
    return axes.errorbar(trade.seconds / size, 100 * trade.accuracy, yerr=spread, **style).lines[0]


def _within(value: float, spread: float, most: float) -> tuple[float, float]:
    """Return how far a spread reaches down and up from a value that lies between 0 and a bound, and no farther."""
    return min(spread, value), min(spread, most - value)


def _look(place: int) -> dict[str, Any]:
    """Return a colour, dash and marker for the n-th of several curves."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def _colours_by_model(facts: Sequence[Curve] | Sequence[TimedAccuracy], best: Sequence[str]) -> dict[str, str]:
    """Return the colour of each model's best candidate, in which its others are drawn faintly."""
    models = {fact.label: fact.model for fact in facts}
    colours: dict[str, str] = {}
    for place, label in enumerate(best):
        if label in models:
            colours.setdefault(models[label], COLOURS[place % len(COLOURS)])
    return colours


def _curve(axes: Axes, curve: Curve, **look: Any) -> Line2D:
    """Draw a mean over seeds with a band from the lowest to the highest."""
    sparse = max(1, len(curve.epochs) // 6)
    (line,) = axes.plot(curve.epochs, _scaled(curve.mean, curve.metric), markevery=sparse, markersize=4.5, **look)
    if curve.runs > 1:
        low, high = _scaled(curve.low, curve.metric), _scaled(curve.high, curve.metric)
        axes.fill_between(curve.epochs, low, high, color=look["color"], alpha=0.15, linewidth=0)
    return line


def _scaled(values: Sequence[float], metric: str) -> list[float]:
    """Return accuracies in percent, losses as they are."""
    return [100 * value for value in values] if metric.endswith("accuracy") else list(values)


def _recipe(made: Configuration) -> str:
    names = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "muon": "Muon"}
    return f"{names[made.optimizer]} {made.learning_rate:g}"


def _rates(facts: Sequence[Curve] | Sequence[Score]) -> list[float]:
    """Return the learning rates among curves or scores, the largest first: it gets the solid line."""
    return sorted({fact.configuration.learning_rate for fact in facts}, reverse=True)


def _unfinished(curve: Curve) -> str:
    return "" if curve.complete else " (unfinished)"
