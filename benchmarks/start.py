"""Where does the time go between the command and the first step of training? Studies after the first, caches filled.

    python benchmarks/start.py                                   # the digits, three starts
    python benchmarks/start.py --data my_cifar10/ --starts 5

Each start is `bakeoff run` in a process of its own, stopped at its first step. Prints when its stages were reached, in
seconds since the command, and what loading the libraries takes in one process.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from bakeoff.records import StepReport

LIBRARIES = ("numpy", "torch", "torchvision", "scipy", "sympy", "pandas", "sqlalchemy", "pydantic", "rich")

BATCH = 64
"""Pictures in the command's batches: its first report says how many of them it trained a second, and so when it began."""

TOLD = "the first step is told"

LOADS = (
    "from bakeoff.lean import postpone_compiler; postpone_compiler(); import bakeoff.cli.run, bakeoff.study; "
    "import bakeoff.training.loop"
)


def note_one_start(began: float, command: list[str]) -> None:
    """Run the command in this process, print when each stage was reached, and stop it at the first step."""
    from bakeoff.cli import main as run_the_command
    from bakeoff.report.progress import StudyProgress

    reached: dict[str, float] = {"the command is read": time.time() - began}

    class Noting(StudyProgress):
        def stage(self, name: str, done: int, total: int | None) -> None:
            reached.setdefault(name, time.time() - began)
            super().stage(name, done, total)

        def run_started(self, run_id: str, label: str, epochs: int) -> None:
            reached.setdefault("a worker takes a run", time.time() - began)
            super().run_started(run_id, label, epochs)

        def step(self, run_id: str, report: StepReport) -> None:
            if TOLD not in reached:
                told = time.time() - began
                reached["training begins"] = told - report.step * BATCH / report.images_per_second
                reached[TOLD] = told
                os.kill(os.getpid(), signal.SIGINT)

    import bakeoff.report.progress

    bakeoff.report.progress.StudyProgress = Noting  # type: ignore[misc]
    sys.argv = ["bakeoff", *command]
    try:
        run_the_command()
    finally:
        sys.stdout.write("\n" + json.dumps(reached))


def measured_start(command: list[str]) -> dict[str, float]:
    """Return when each stage was reached, in seconds since the command."""
    program = [sys.executable, __file__, "--note", repr(time.time()), *command]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode != 130:
        raise SystemExit(f"`bakeoff {' '.join(command)}` was to be stopped at its first step, but: {done.stderr}")
    reached: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return reached


def loading_seconds() -> dict[str, float]:
    """Return what loading each library took, with what it loads itself, in one process that loads all of them."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", LOADS], capture_output=True, text=True, check=True)
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)$", done.stderr, flags=re.MULTILINE)
    seconds = {name: int(microseconds) / 1e6 for microseconds, name in lines}
    return {name: seconds[name] for name in LIBRARIES if name in seconds}


def main() -> None:
    """Measure, print, and keep."""
    if sys.argv[1:2] == ["--note"]:
        note_one_start(float(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a data set, as `bakeoff run` takes it")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the results as benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    command = ["run", "--data", arguments.data, "--models", "resnet18", "--seeds", "0"]
    with tempfile.TemporaryDirectory() as folder:
        outs = [["--out", str(Path(folder) / str(number))] for number in range(arguments.starts + 1)]
        measured_start([*command, "--epochs", "1", *outs[0]])  # fills the caches
        starts = [measured_start([*command, "--epochs", "2", *out]) for out in outs[1:]]
    stages = {name: statistics.median(start[name] for start in starts if name in start) for name in starts[0]}
    loading = loading_seconds()

    from throughput import CONSOLE, hardware, keep  # not before: a start that is noted would find torch loaded

    table = Table(title="Seconds since the command (median)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stage")
    table.add_column("reached", justify="right")
    for name, seconds in stages.items():
        table.add_row(name, f"{seconds:.2f}")
    CONSOLE.print(table)
    CONSOLE.print("Loading, each with what it loads: " + ", ".join(f"{name} {s:.2f} s" for name, s in loading.items()))
    if arguments.save:
        content = {
            "benchmark": "start",
            "date": datetime.date.today().isoformat(),
            "command": " ".join(["python benchmarks/start.py", *sys.argv[1:]]),
            "hardware": hardware(),
            "starts": starts,
            "loading": loading,
        }
        keep(arguments.save, content)


if __name__ == "__main__":
    main()
