"""Commands that show what a study has found: `show`, `figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.parsing import check_folder, word_list
from bakeoff.cli.printing import output, print_left_out, print_table
from bakeoff.errors import StudyError


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With the verdict and every run's epoch records.")] = False,
    targets: Annotated[
        str | None, typer.Option(help="Also the training time to these validation accuracies: 80%,90%.")
    ] = None,
) -> None:
    """Print a study's ranked table again.

    \b
    Examples:
      bakeoff show results/demo
      bakeoff show results/demo --csv > table.csv
      bakeoff show results/classics --targets 80%,85%,90%   (with --json or --csv too)
    """
    from bakeoff import units
    from bakeoff.analysis.time_to_accuracy import time_to_accuracy
    from bakeoff.report import console
    from bakeoff.report.verdict import time_to_accuracy_table
    from bakeoff.study import Study

    accuracies = None if targets is None else [units.share(one, "--targets") for one in word_list(targets) or []]
    if not csv and not json:
        print_table(folder, written=False)
        if accuracies is not None:
            output().print(time_to_accuracy_table(Study(folder).time_to_accuracy(accuracies)))
        return
    reading = Study(folder).reading()
    times = None if accuracies is None else time_to_accuracy(reading.runs, reading.epochs, accuracies)
    if csv:
        typer.echo(console.to_csv(reading.table, times), nl=False)
        return
    try:
        verdict = reading.verdict.facts()
    except StudyError:  # runs on different pictures: what was trained is told all the same
        verdict = None
    text = console.to_json(
        reading.study.spec.name,
        reading.runs,
        reading.epochs,
        verdict,
        unranked=reading.unranked(),
        findings=reading.findings,
        costs=reading.costs,
        times=times,
    )
    typer.echo(text, nl=False)


@app.command()
def figures(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write them. Default: report/figures in the study's folder.")
    ] = None,
) -> None:
    """Draw a study's figures, those of the paper among them, as PNG and SVG. Needs bakeoff[figures].

    \b
    Example:
      bakeoff figures results/realm-of-deep-learning
    """
    from bakeoff.reporting import draw_figures
    from bakeoff.study import Study

    check_folder(out, "figures", "figures")
    drawn = draw_figures(Study(folder), out=out)
    for path in drawn.paths:
        typer.echo(path)
    print_left_out(drawn.left_out)
