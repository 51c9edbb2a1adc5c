"""The command line: parse, call, print. What takes time to import is imported by the command that needs it."""

from __future__ import annotations

import io
import sys

from bakeoff.cli import run, results, reports, watching, judgement, inventory  # noqa: F401 - they add their commands, in the order of the help
from bakeoff.cli.app import INTERRUPTED, app
from bakeoff.cli.printing import errors
from bakeoff.errors import BakeoffError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; errors that the user can mend are printed without a traceback, with exit code 2."""
    from bakeoff.lean import postpone_compiler
    from bakeoff.words import clean

    postpone_compiler()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks ends nothing
    try:
        app()
    except BakeoffError as error:
        errors().print(f"error: {clean(str(error))}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors().print("Stopped.", markup=False)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say
        sys.exit(1)
