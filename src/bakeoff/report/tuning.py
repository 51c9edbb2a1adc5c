"""A table of how fast each algorithm computes each convolution of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bakeoff.words import clean

LIBRARY = "library"
"""The algorithm that PyTorch would use: the first column, what the others are compared with."""

PASSES = {"forward": "forward", "input_gradient": "to input", "weight_gradient": "to weight"}
"""The passes as the table calls them, in the order of a choice: the gradients flow to the input and to the weight."""

Milliseconds = Mapping[str, Mapping[str, float]]
"""By pass and algorithm."""


def tuning_table(
    title: str,
    layers: Sequence[tuple[str, str, int, Milliseconds]],
    choices: Mapping[str, Sequence[str]],
    peak: float,
    remark: str | None = None,
) -> Table:
    """Return the timings, one line a kind of layer and pass, the chosen algorithm's marked.

    Args:
        title: Of the table.
        layers: Name, shape, multiply-accumulates of a pass over the batch, milliseconds by pass and algorithm.
        choices: By layer, the algorithms chosen for the forward pass, the input's and the weight's gradient.
        peak: Multiply-accumulates a second of a large matrix product.
        remark: What else the user should know.
    """
    algorithms = list(dict.fromkeys(name for *_, known in layers for timing in known.values() for name in timing))
    table = Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("layer", overflow="fold", min_width=18)
    table.add_column("pass", no_wrap=True)
    for header in (*algorithms, "of peak"):
        table.add_column(header, justify="right", no_wrap=True)
    totals = dict.fromkeys((LIBRARY, "chosen", "at peak"), 0.0)
    groups: dict[str, list[tuple[str, str, int, Milliseconds]]] = {}
    for layer in layers:
        groups.setdefault(layer[1], []).append(layer)
    for shape, group in groups.items():
        name, _, macs, known = group[0]
        for number, (task, timing) in enumerate(known.items()):
            picked = _picked(choices.get(name), task)
            share = macs / (timing[picked] / 1e3) / peak
            totals[LIBRARY] += len(group) * timing[LIBRARY]
            totals["chosen"] += len(group) * timing[picked]
            totals["at peak"] += len(group) * 1e3 * macs / peak
            times = f" x{len(group)}" if len(group) > 1 else ""
            heading = (clean(name) + times, shape, "")[number]
            cells = [_cell(timing.get(algorithm), marked=algorithm == picked) for algorithm in algorithms]
            table.add_row(Text(heading), PASSES[task], *cells, f"{100 * share:.0f} %")
    table.caption = Text(
        "Milliseconds a pass over a batch; * is what training uses. All convolutions of a step: "
        + ", ".join(f"{total:,.0f} ms {words}" for words, total in totals.items())
        + f" ({2 * peak / 1e9:,.0f} GFLOP/s). Over 100 % where an algorithm needs fewer multiplications: dead taps left out, "
        "or Winograd's." + ("" if remark is None else f" {clean(remark)}."),
        style="none",
    )
    table.caption_justify = "left"
    return table


def _picked(chosen: Sequence[str] | None, task: str) -> str:
    return LIBRARY if chosen is None else chosen[list(PASSES).index(task)]


def _cell(milliseconds: float | None, *, marked: bool) -> Text:
    if milliseconds is None:
        return Text("")
    return Text(f"{milliseconds:.2f}{'*' if marked else ' '}", style="bold" if marked else "")
