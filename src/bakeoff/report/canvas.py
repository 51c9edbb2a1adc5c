"""What figures are drawn on: our style, panels with their labels, legends, files.

matplotlib's object interface: no pyplot, no global figures.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",  # a reader needs no font of ours
    "svg.hashsalt": "bakeoff",  # equal figures, equal files
}


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as a `png` (200 dots per inch) or `svg` file."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn with boxes: nothing the user could mend.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def style() -> Any:
    """Return a context in which figures look as ours do, whatever the user's matplotlib settings."""
    return matplotlib.rc_context(STYLE)


def pair(title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of two panels beside each other."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure, [figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)]


def single(title: str) -> tuple[Figure, Axes]:
    """Return a figure of one panel."""
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure, figure.add_subplot()


def label_panels(axes: Sequence[Axes], split: str) -> None:
    """Name two panels as loss and accuracy of a split by epoch."""
    axes[0].set(title=f"{split} loss", xlabel="epoch", ylabel="cross-entropy (nats per picture)")
    axes[1].set(title=f"{split} accuracy", xlabel="epoch", ylabel="accuracy (%)")
    for panel in axes:
        panel.xaxis.set_major_locator(whole_numbers())


def whole_numbers() -> MaxNLocator:
    """Return ticks at whole numbers alone, such as epochs."""
    return MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def legend_below(figure: Figure, handles: dict[str, Artist], *, columns: int, title: str | None = None) -> None:
    """Add a legend below the panels, its names taken literally (matplotlib hides those that begin with `_`)."""
    if not handles:
        return
    numbers = [str(place) for place in range(len(handles))]
    legend = figure.legend(
        list(handles.values()),
        numbers,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        handlelength=4,
        title=title,
    )
    for text, label in zip(legend.get_texts(), handles, strict=True):
        text.set_text(label)
