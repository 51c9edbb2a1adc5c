"""`bakeoff watch`: a study's page while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.printing import errors


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="A study's folder; it need not be there yet.")],
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where to listen. Default: 8765, or the next that is free."),
    ] = None,
    open_browser: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Show it in a browser. Default: where there is one to see.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
) -> None:
    """Serve a study's page, renewed as records arrive, with progress and time left. Ctrl-C ends it, not the study.

    Only this machine can reach it. It may be started before, during or after the study, which it does not disturb.

    \b
    Examples:
      bakeoff watch results/classics
      bakeoff watch results/classics --port 9000 --no-open
    """
    from bakeoff.watch.serving import serve
    from bakeoff.words import clean

    def say(words: str) -> None:
        errors().print(clean(words), markup=False, highlight=False, soft_wrap=True)

    serve(folder, port=port, open_browser=open_browser, say=say, data_dir=data_dir)
