"""Ranks beside points in a figure of matplotlib, where they lie on nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakeoff.report.figure_facts import TimedAccuracy
from bakeoff.report.naming import Box, order_of_names, placed


def number_points(
    figure: Figure, axes: Axes, trades: Sequence[TimedAccuracy], wanted: Collection[str], size: int
) -> None:
    """Write the ranks of candidates beside their points, in the order in which they are named, as far as they fit.

    Args:
        figure: All that is in it but the ranks stands already.
        axes: Where the points are.
        trades: All candidates in it.
        wanted: Labels of those to be numbered.
        size: Seconds in the unit of the axis of times.
    """
    figure.draw_without_rendering()  # only then it is known where points lie, and how large text is
    points = [_pixels(axes, trade.seconds / size, 100 * trade.accuracy) for trade in trades]
    taken = [box for trade, point in zip(trades, points, strict=True) for box in _taken(axes, trade, point, size)]
    labels = [trade.label for trade in trades]
    order = order_of_names(
        {one.label: one.seconds for one in trades}, {one.label: one.accuracy for one in trades}, labels
    )
    texts = {
        place: axes.annotate(
            str(trades[place].rank), (trades[place].seconds / size, 100 * trades[place].accuracy), fontsize=6.5,
            textcoords="offset points", xytext=(0, 0), color="#555555", annotation_clip=False,
        )
        for place in (labels.index(label) for label in order if label in wanted)
    }  # fmt: skip
    extents = {place: text.get_window_extent() for place, text in texts.items()}
    sizes = {place: (extent.width, extent.height) for place, extent in extents.items()}
    area = Box(*axes.get_window_extent().extents)
    boxes = placed(points, sizes, taken, area, gap=0.04 * figure.dpi)
    for place, text in texts.items():
        text.set_in_layout(False)  # the figure stays as it was measured
        if place in boxes:
            moved = (boxes[place].left - extents[place].x0, boxes[place].low - extents[place].y0)
            text.set_position((72 * moved[0] / figure.dpi, 72 * moved[1] / figure.dpi))
        else:
            text.remove()


def _pixels(axes: Axes, x: float, y: float) -> tuple[float, float]:
    at = axes.transData.transform((x, y))
    return float(at[0]), float(at[1])


def _taken(axes: Axes, trade: TimedAccuracy, point: tuple[float, float], size: int) -> list[Box]:
    """Return where a candidate's mark and its spread over seeds lie, in pixels."""
    x, y = point
    boxes = [Box(x - 4, y - 4, x + 4, y + 4)]
    if math.isfinite(trade.accuracy_sd):
        ends = (
            _pixels(axes, trade.seconds / size, 100 * (trade.accuracy + way * trade.accuracy_sd)) for way in (-1, 1)
        )
        (_, low), (_, high) = ends
        boxes.append(Box(x - 1, low, x + 1, high))
    return boxes
