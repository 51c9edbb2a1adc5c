"""`python -m bakeoff`: the command line, where no script is at hand."""

from __future__ import annotations

from bakeoff.cli import main

if __name__ == "__main__":
    main()
