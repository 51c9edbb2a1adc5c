"""The page itself: one file, which asks no network for anything."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bakeoff.analysis.budget import NAMES
from bakeoff.report.page.embedding import content_security_policy, json_text
from bakeoff.report.page.facts import PageFacts
from bakeoff.report.page.payload import payload
from bakeoff.words import percent

SCRIPTS = ("base", "theme", "table", "figures", "labels", "curves", "trades", "classes", "downloads", "start")
"""The page's programs, in the order in which they need each other."""


def document(facts: PageFacts, *, head: str = "", top: str = "") -> str:
    """Return a page as HTML.

    All names in it are text, whatever they hold, and its policy lets no scripts run but `scripts`. Its `main` holds all
    that depends on the study, data included: a program that puts another page's `main` in its place has that one shown.

    Args:
        facts: What it shows.
        head: HTML for the end of its head, from whoever serves the page and adds to it.
        top: HTML for the beginning of its body, likewise. A page with additions carries no policy: the server sends one.
    """
    plotly, program = scripts()
    page: str = _template().render(
        facts=facts,
        plotly=Markup(plotly),
        program=Markup(program),
        style=Markup(_asset("page.css")),
        policy="" if head or top else content_security_policy([plotly, program]),
        head=Markup(head),
        top=Markup(top),
        payload=json_text(payload(facts)),
        trade_title=NAMES.__getitem__,
        heat=_heat,
    )
    return page


def scripts() -> tuple[str, str]:
    """Return the texts of the scripts in every page: Plotly's, and the page's own."""
    return _plotly(), _program()


def _with_code(sentence: str) -> Markup:
    """Return a sentence as HTML, what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _heat(value: float, rows: Sequence[Sequence[float | None]]) -> str:
    """Return how strongly a cell is coloured among others, in [0, 1]: the worst not at all."""
    known = [one for row in rows for one in row if one is not None and not math.isnan(one)]
    least, most = min(known), max(known)
    return f"{(value - least) / (most - least) if most > least else 1:.3f}"


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")  # as browsers read it before they compare its digest


@cache
def _program() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f"(() => {{\n'use strict';\n{parts}\n}})();"


def _asset(name: str) -> str:
    return (files("bakeoff.report.page") / "assets" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("bakeoff.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["with_code"] = _with_code
    return environment.get_template("page.html.jinja")
