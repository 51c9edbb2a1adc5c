"""The program that commands add themselves to."""

from __future__ import annotations

from typing import Annotated

import typer

import bakeoff

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

app = typer.Typer(
    name="bakeoff",
    help="Which image classifier should I use for these pictures, and what will it cost me?",
    epilog="Try: bakeoff run --data digits --epochs 2",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(bakeoff.__version__)
        raise typer.Exit
