"""A program of ours in a process of its own: `python -m bakeoff.execution.program MODULE` calls the module's `main`.

Programs of their own, so that they work from scripts, notebooks and any thread.
"""

from __future__ import annotations

import importlib
import sys

from bakeoff.lean import postpone_compiler


def command(module: str) -> list[str]:
    """Return the command that runs a module's `main`."""
    # -P keeps the current folder, which may hold anything, from being searched for modules.
    return [sys.executable, "-P", "-m", "bakeoff.execution.program", module]


def main() -> None:
    """Run what the command line names."""
    postpone_compiler()
    importlib.import_module(sys.argv[1]).main()


if __name__ == "__main__":
    main()
