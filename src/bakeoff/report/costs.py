"""Tables of what networks cost, and of their layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bakeoff.analysis.costs import remarks
from bakeoff.cost_records import Cost
from bakeoff.report.fitting import first_that_fits
from bakeoff.words import brief, clean, count, plural, size, speed

FORMULAS = (
    "standard D_K·D_K·M·N·D_F·D_F",
    "depthwise D_K·D_K·M·D_F·D_F",
    "pointwise M·N·D_F·D_F",
    "linear M·N",
)
"""Formulas of the multiply-accumulates by kind of layer (the paper's section 2.2; Howard et al. 2017)."""

LAYERS_MEANING = (
    f"Multiply-accumulates of one picture: {'; '.join(FORMULAS)}. D_K is the kernel's side, D_F that of the output's "
    "map, M the channels read, N those written. Counted: torch's FlopCounterMode, halved. The ratio is that of a "
    "depthwise layer with the pointwise one behind it to the standard convolution that they stand for."
)

LAYER_WIDTH = 12
"""Characters that layers' names have at least."""

DROPPED_FIRST = ("p95", "params", "train memory", "images/s", "memory", "train/s")
"""Columns that a narrow terminal goes without, in this order; `--json` has them all."""


class CostTable:
    """What networks cost, one row each; where the terminal is narrow, the least important columns are left out."""

    def __init__(self, costs: Mapping[str, Cost], title: str) -> None:
        self._costs = costs
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tables = (self._without(DROPPED_FIRST[:dropped]) for dropped in range(len(DROPPED_FIRST) + 1))
        yield first_that_fits(tables, self._costs, console, options)

    def _without(self, dropped: tuple[str, ...]) -> Table:
        rows = {name: _cells(cost) for name, cost in self._costs.items()}
        headers = [header for header in next(iter(rows.values()), {}) if header not in dropped]
        headers = [header for header in headers if any(row[header] for row in rows.values())]
        shown = _table(self._title)
        shown.add_column("network", overflow="fold")
        for header in headers:
            shown.add_column(header, justify="right", no_wrap=True)
        for name, row in rows.items():
            shown.add_row(Text(clean(name)), *(row[header] for header in headers))
        return shown


def cost_table(costs: Mapping[str, Cost], title: str) -> CostTable:
    """Return what networks cost for a terminal of any width.

    Args:
        costs: By the name to be shown.
        title: Over the table.
    """
    return CostTable(costs, title)


def _cells(cost: Cost) -> dict[str, str]:
    """Return a network's row by header; empty where something was not measured."""
    return {
        "params": count(cost.parameters),
        "MACs": count(cost.macs),
        "latency": brief(cost.latency_p50),
        "p95": brief(cost.latency_p95),
        "images/s": f"{speed(cost.throughput)} at {cost.throughput_batch}",
        "train/s": speed(cost.train_throughput),
        "memory": "" if cost.peak_memory_inference is None else size(cost.peak_memory_inference),
        "train memory": "" if cost.peak_memory_train is None else size(cost.peak_memory_train),
        "energy": "" if cost.energy_per_image is None else f"{cost.energy_per_image:.3g} J",
    }


def cost_remarks(costs: Mapping[str, Cost]) -> list[str]:
    """Return under which conditions costs were measured, how far they can be trusted, and what was not measured."""
    if not costs:
        return []
    first = next(iter(costs.values()))
    said = [_conditions(first), _meaning(first), *remarks(costs)]
    reasons = dict.fromkeys(cost.energy.reason for cost in costs.values() if cost.energy.reason is not None)
    said += [f"Energy was not measured: {clean(reason)}." for reason in reasons]
    if any(cost.peak_memory_train is None for cost in costs.values()):
        said.append("Memory was not measured: this system has no counter that begins anew.")
    return said


def _conditions(cost: Cost) -> str:
    where, noise = cost.conditions, cost.noise
    device = clean(where.processor) if where.device == "cpu" else clean(where.device)
    busy = "" if noise.busy is None else f", others took {100 * noise.busy:.0f} % of the processors"
    load = "" if noise.load_average is None else f", load average {noise.load_average:.1f}"
    return (
        f"Measured on {device}, {plural(where.threads, 'thread')} of {plural(where.cores, 'core')}, {where.precision}, "
        f"torch {where.versions.get('torch', '?')}, {where.date}{load}{busy}; {where.effort}, "
        f"{plural(where.rounds, 'round')} by turns."
    )


def _meaning(cost: Cost) -> str:
    where = cost.conditions
    return (
        f"Latency (median and 95th percentile) and memory are of one picture of {where.input_size} pixels; images/s of the "
        f"best batch tried; train/s and train memory of batches of {where.batch_size} with "
        f"{where.optimizer}. Memory is what the network adds to a process that has loaded torch."
    )


def costs_to_json(profiles: Sequence[Any]) -> str:
    """Return profiles as JSON, with the remarks on them.

    Args:
        profiles: With model, changes, cost and reason each.
    """
    costs = {one.model: one.cost for one in profiles if one.cost is not None}
    document = {
        "models": [
            {
                "model": one.model,
                "changes": list(one.changes),
                "cost": None if one.cost is None else one.cost.to_json(),
                "reason": one.reason,
            }
            for one in profiles
        ],
        "remarks": cost_remarks(costs),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


class LayerTable:
    """The layers of a network; a narrow terminal goes without their kind, which the formula tells, then without space."""

    def __init__(self, title: str, rows: Sequence[Any]) -> None:
        self._title = title
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tables = (self._shown(kinds=True), self._shown(kinds=False), self._shown(kinds=False, space=0))
        names = [row.name for row in self._rows]
        yield first_that_fits(tables, names, console, options, name_width=LAYER_WIDTH)

    def _shown(self, *, kinds: bool, space: int = 1) -> Table:
        shown = _table(self._title)
        shown.padding = (0, space)
        separable = any(row.ratio is not None for row in self._rows)
        shown.add_column("layer", overflow="fold", min_width=LAYER_WIDTH)
        if kinds:
            shown.add_column("kind", no_wrap=True)
        for header in ("formula", "gives", "counted", *(("1/N + 1/D_K²", "counted") if separable else ())):
            shown.add_column(header, justify="right", no_wrap=True)
        for row in self._rows:
            ratios = [f"{ratio:.4f}" if ratio is not None else "" for ratio in (row.ratio, row.ratio_counted)]
            shown.add_row(
                Text(clean(row.name) or "(the network)"),
                *((str(row.kind),) if kinds else ()),
                row.numbers or "-",
                "-" if row.by_formula is None else f"{row.by_formula:,}",
                f"{row.counted:,}",
                *(ratios if separable else ()),
            )
        shown.add_section()
        given = sum(row.by_formula for row in self._rows if row.by_formula is not None)
        counted = sum(row.counted for row in self._rows)
        shown.add_row("all", *(("",) if kinds else ()), "", f"{given:,}", f"{counted:,}")
        shown.caption = Text(LAYERS_MEANING, style="none")
        shown.caption_justify = "left"
        return shown


def layer_table(title: str, rows: Sequence[Any]) -> LayerTable:
    """Return the layers of a network with their multiply-accumulates, by formula and as torch counts them.

    Args:
        title: Over the table.
        rows: With name, kind, numbers (the formula filled in), by_formula, counted, and behind a depthwise layer ratio
            and ratio_counted of the pair to the standard convolution that it stands for; None where there is none.
    """
    return LayerTable(title, rows)


def layers_to_json(rows: Mapping[str, Sequence[Any]]) -> str:
    """Return the layers of networks as JSON.

    Args:
        rows: As `layer_table` takes them, by the network's name.
    """
    return f"{json.dumps({name: [asdict(row) for row in layers] for name, layers in rows.items()}, indent=2)}\n"


def _table(title: str) -> Table:
    return Table(
        title=Text(clean(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
