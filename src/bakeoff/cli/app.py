"""The program that commands add themselves to."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bakeoff
from bakeoff.cli.printing import errors

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


class Program(TyperGroup):
    """The commands, each of which Ctrl-C ends with one word and the exit code that shells know."""

    def invoke(self, ctx: Any) -> Any:  # typer keeps the type of contexts to itself
        """Run the command that was given."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            errors().print("Stopped.", markup=False)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Program,
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
