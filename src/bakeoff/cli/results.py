"""Commands that show what a study has found: `show`, `figures`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.parsing import check_place_of_figures, word_list
from bakeoff.cli.printing import output, print_left_out, print_table
from bakeoff.errors import SpecError, StudyError

if TYPE_CHECKING:
    import pandas as pd

    from bakeoff.study.reading import Reading


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With the verdict and every run's epoch records.")] = False,
    targets: Annotated[
        list[str] | None, typer.Option(help="Also the training time to these validation accuracies: 80%,90%.")
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
    from bakeoff.report import console
    from bakeoff.report.verdict import time_to_accuracy_table
    from bakeoff.study import Study

    if csv and json:
        raise SpecError("the table is printed in one form, but --csv and --json came together; leave one of them out")
    words = word_list(targets, "--targets")
    accuracies = None if words is None else [units.share(one, "--targets") for one in words]
    if not csv and not json:
        print_table(folder, written=False)
        if accuracies is not None:
            output().print(time_to_accuracy_table(_times(Study(folder).reading(), accuracies)))
        return
    reading = Study(folder).reading()
    times = None if accuracies is None else _times(reading, accuracies)
    if csv:
        # As bytes: the same on every system, whatever the terminal's encoding.
        typer.echo(console.to_csv(reading.table, times).encode("utf-8"), nl=False)
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


def _times(reading: Reading, accuracies: list[float]) -> pd.DataFrame:
    """Return the training time to validation accuracies.

    Raises:
        StudyError: If the study keeps no validation split.
    """
    from bakeoff.analysis.ranking import ranked_by
    from bakeoff.analysis.time_to_accuracy import time_to_accuracy

    if len(reading.epochs) and ranked_by(reading.epochs) == "test":
        raise StudyError(
            "--targets takes validation accuracies, epoch by epoch, but this study keeps no validation split; leave it out"
        )
    return time_to_accuracy(reading.runs, reading.epochs, accuracies)


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

    if out is not None:
        check_place_of_figures(out)
    drawn = draw_figures(Study(folder), out=out)
    for path in drawn.paths:
        typer.echo(path)
    print_left_out(drawn.left_out)
