"""Tables that suit the width of the terminal: what matters least is left out before anything is cut off."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions
from rich.table import Table

from bakeoff.words import clean

NAME_WIDTH = 24
"""Characters within which names in the first column may be broken into lines before a column is left out."""


def first_that_fits(
    tables: Iterable[Table],
    names: Iterable[str],
    console: Console,
    options: ConsoleOptions,
    *,
    name_width: int = NAME_WIDTH,
) -> Table:
    """Return the first table that fits the terminal, or the last one.

    Args:
        tables: The same rows with ever less beside them.
        names: In the first column, which folds.
        console: The terminal.
        options: Of the terminal, with its width.
        name_width: Characters of the names that must fit.
    """
    spare = max(0, max((len(clean(name)) for name in names), default=0) - name_width)
    unbounded = options.update(width=10_000)
    for table in tables:
        shown = table
        if console.measure(table, options=unbounded).maximum - spare <= options.max_width:
            break
    return shown
