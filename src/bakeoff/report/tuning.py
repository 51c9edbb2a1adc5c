"""A table of how fast each algorithm computes each convolution of a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bakeoff.report.fitting import first_that_fits
from bakeoff.words import clean

LIBRARY = "library"
"""The algorithm that PyTorch would use: the first column, what the others are compared with."""

LAYER_WIDTH = 18
"""Characters that layers' names have at least: a shape such as `256>256 3x3 at 2`."""

USED, JOINED = "*", "+"
"""What marks the algorithm that training uses, and one that only evaluation does."""

PASSES = {"forward": "forward", "input_gradient": "to input", "weight_gradient": "to weight"}
"""The passes as the table calls them, in the order of a choice: the gradients flow to the input and to the weight."""

Milliseconds = Mapping[str, float]
"""By algorithm."""


Row = tuple[str, str, Milliseconds, str, str, str]
"""What stands in the first column, the pass, milliseconds by algorithm, which is used, its mark, the share of peak."""


class TuningTable:
    """The timings, one line a kind of layer and pass.

    A narrow terminal goes without space, then without what is never used, then without all but the library and what is used.
    """

    def __init__(self, title: str, algorithms: Sequence[str], rows: Sequence[Row], caption: str) -> None:
        self._title = title
        self._algorithms = algorithms
        self._rows = rows
        self._caption = caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        used = {LIBRARY, *(picked for *_, picked, _, _ in self._rows)}
        ways = (
            self._shown(self._algorithms, 1),
            self._shown(self._algorithms, 0),
            self._shown([name for name in self._algorithms if name in used], 0),
            self._in_short(),
        )
        yield first_that_fits(ways, [row[0] for row in self._rows], console, options, name_width=LAYER_WIDTH)

    def _shown(self, algorithms: Sequence[str], space: int) -> Table:
        missing = [name for name in self._algorithms if name not in algorithms]
        left_out = f" Never used here, and left out for lack of room: {', '.join(missing)}." if missing else ""
        shown = self._table((*algorithms, "of peak"), left_out, space)
        for heading, task, timing, picked, mark, share in self._rows:
            cells = [_cell(timing.get(name), mark if name == picked else "") for name in algorithms]
            shown.add_row(Text(heading), task, *cells, share)
        return shown

    def _in_short(self) -> Table:
        others = ", ".join(name for name in self._algorithms if name != LIBRARY)
        left_out = f" Left out for lack of room: the times of {others} where they are not chosen."
        shown = self._table((LIBRARY, "chosen", "which is", "of peak"), left_out, 1)
        for heading, task, timing, picked, mark, share in self._rows:
            shown.add_row(Text(heading), task, _cell(timing[LIBRARY], ""), _cell(timing[picked], mark), picked, share)
        return shown

    def _table(self, headers: Sequence[str], left_out: str, space: int) -> Table:
        table = Table(
            title=Text(self._title, style="bold"),
            caption=Text(self._caption + left_out, style="none"),
            box=box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
            padding=(0, space),
            pad_edge=False,
            collapse_padding=True,
        )
        table.add_column("layer", overflow="fold", min_width=LAYER_WIDTH)
        table.add_column("pass", no_wrap=True)
        for header in headers:
            table.add_column(header, justify="right", no_wrap=True)
        return table


def tuning_table(
    title: str,
    layers: Sequence[tuple[str, str, int, Mapping[str, Milliseconds]]],
    choices: Mapping[str, Sequence[str]],
    joined: Collection[str],
    peak: float,
    remark: str | None = None,
) -> TuningTable:
    """Return the timings, one line a kind of layer and pass, the chosen algorithm's marked.

    Args:
        title: Of the table.
        layers: Name, shape, multiply-accumulates of a pass over the batch, milliseconds by pass and algorithm.
        choices: By layer, the algorithms chosen for the forward pass, the input's and the weight's gradient.
        joined: Layers that training computes in one go with the normalisations around them.
        peak: Multiply-accumulates a second of a large matrix product.
        remark: What else the user should know.
    """
    algorithms = list(dict.fromkeys(name for *_, known in layers for timing in known.values() for name in timing))
    rows: list[Row] = []
    totals = dict.fromkeys((LIBRARY, "chosen", "at peak"), 0.0)
    groups: dict[tuple[str, str], list[tuple[str, str, int, Mapping[str, Milliseconds]]]] = {}
    for layer in layers:
        groups.setdefault((layer[1], JOINED if layer[0] in joined else USED), []).append(layer)
    for (shape, mark), group in groups.items():
        name, _, macs, known = group[0]
        for number, (task, timing) in enumerate(known.items()):
            picked = _picked(choices.get(name), task)
            share = macs / (timing[picked] / 1e3) / peak
            if mark == USED:
                totals[LIBRARY] += len(group) * timing[LIBRARY]
                totals["chosen"] += len(group) * timing[picked]
                totals["at peak"] += len(group) * 1e3 * macs / peak
            times = f" x{len(group)}" if len(group) > 1 else ""
            heading = (clean(name) + times, shape, "")[number]
            shown = mark if mark == USED or task == "forward" else ""
            rows.append((heading, PASSES[task], timing, picked, shown, f"{100 * share:.0f} %"))
    in_one_go = "in one go with the normalisations around it"
    caption = (
        f"Milliseconds a pass over a batch; {USED} is what training uses. "
        + (f"{JOINED} is what evaluation uses of a layer that training computes {in_one_go}. " if joined else "")
        + f"All {'other ' if joined else ''}convolutions of a step: "
        + ", ".join(f"{total:,.0f} ms {words}" for words, total in totals.items())
        + f" ({2 * peak / 1e9:,.0f} GFLOP/s). Over 100 % where an algorithm needs fewer multiplications: dead taps left out, "
        "or Winograd's." + ("" if remark is None else f" {clean(remark)}.")
    )
    return TuningTable(title, algorithms, rows, caption)


def _picked(chosen: Sequence[str] | None, task: str) -> str:
    return LIBRARY if chosen is None else chosen[list(PASSES).index(task)]


def _cell(milliseconds: float | None, mark: str) -> Text:
    if milliseconds is None:
        return Text("")
    digits = f"{milliseconds:.2f}" if milliseconds < 100 else f"{milliseconds:,.0f}"
    return Text(f"{digits}{mark or ' '}", style="bold" if mark else "")
