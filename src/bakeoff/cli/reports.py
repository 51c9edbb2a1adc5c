"""`bakeoff report`: a study as a page or a table, to be read and passed on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.parsing import STANDARD_OUTPUT, check_name, check_place_of_figures
from bakeoff.cli.printing import errors, print_left_out
from bakeoff.errors import SpecError, near_miss

if TYPE_CHECKING:
    from bakeoff.study import Study

FORMATS = ("html", "md", "latex", "csv", "json", "png", "svg")

FIGURES = ("png", "svg")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, - for standard output; of figures, which are several, the folder. "
            "Default: under report/ in the study's folder."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="html: one page that needs nothing else; md, latex, csv, json: the table; png, svg: the figures.",
        ),
    ] = "html",
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
) -> None:
    """Write what a study has found as one page: verdict, table, curves, trade-offs, pictures, findings.

    Other formats have the page's table (md for GitHub, latex with booktabs, csv and json with the numbers themselves)
    or the figures at paper quality, which need bakeoff[figures].

    \b
    Examples:
      bakeoff report results/demo
      bakeoff report results/classics --out classics.html
      bakeoff report results/classics --format latex --out table.tex
      bakeoff report results/classics --format md --out -
    """
    from bakeoff.reporting import draw_figures, look, page_of, table_of, write_page, write_table
    from bakeoff.study import Study

    if format not in FORMATS:
        raise SpecError(f"--format must be one of {', '.join(FORMATS)}, but got '{format}'{near_miss(format, FORMATS)}")
    if out is not None:
        check_place_of_figures(out) if format in FIGURES else check_name(out)
    study = Study(folder)
    if format in FIGURES:
        drawn = draw_figures(study, format, out)
        for path in drawn.paths:
            typer.echo(path)
        print_left_out(drawn.left_out)
    elif out == STANDARD_OUTPUT:
        reading = study.reading()
        text = page_of(reading, look(reading, data_dir)) if format == "html" else table_of(reading, format)
        typer.echo(text.encode("utf-8"), nl=False)  # as bytes: the same as in a file, whatever the terminal's encoding
    else:
        typer.echo(write_page(study, out, data_dir=data_dir) if format == "html" else write_table(study, format, out))


def write_page_of_run(study: Study, data_dir: Path | None) -> None:
    """Write a study's page at the end of its run, and say where; that this fails must lose nothing that was trained."""
    from bakeoff.reporting import write_page
    from bakeoff.words import clean

    console = errors()
    try:
        path = write_page(study, data_dir=data_dir)
    except Exception as error:  # whatever it is, the run itself has succeeded
        said = f"The report was not written: {error or type(error).__name__}; try `bakeoff report {study.folder}`"
        console.print(clean(said), style="yellow", markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(f"Report: {path}", markup=False, highlight=False, soft_wrap=True)
