"""Who trains faster: the same network, batch size, view and precision, in interleaved blocks of one run.

    python benchmarks/throughput.py                          # the first row of the table, quick
    python benchmarks/throughput.py --rows all --save        # everything, kept in benchmarks/results/
    python benchmarks/throughput.py --rows resnet18-32 --against plain,timm --blocks 9

Each contender trains in a process of its own (see `contender.py`), which is stopped with its loaders while another has its
turn: A B B A. Printed are medians over turns, of speeds and of ratios to the first; so a slow minute of a shared machine falls on
all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from contender import Work
from rich import box
from rich.console import Console
from rich.table import Table

from bakeoff import cost, models
from bakeoff.data import Dataset, prepare
from bakeoff.errors import BakeoffError
from bakeoff.execution.local import environment
from bakeoff.execution.machine import usable_cores
from bakeoff.training.precision import emulated

HERE = Path(__file__).parent
ALLOCATOR = "MALLOC_TRIM_THRESHOLD_"
CONSOLE = Console()
CONTENDERS = ("plain", "plain-autocast", "plain-allocator", "loader", "lightning", "timm", "bakeoff", "bakeoff-untuned")
ROWS: dict[str, dict[str, Any]] = {
    "resnet18-32": {"model": "resnet18", "stem": "original", "side": 32, "batch": 64, "block": 24, "drained": 8},
    "resnet18-32-pair": {
        "model": "resnet18", "stem": "original", "side": 32, "batch": 64, "block": 16, "drained": 8, "copies": 2,
    },
    "mobilenet_v2-224": {"model": "mobilenet_v2", "stem": "original", "side": 224, "batch": 64, "block": 2, "drained": 1},
    "alexnet-224": {"model": "alexnet", "stem": "original", "side": 224, "batch": 64, "block": 3, "drained": 1},
    "resnet18-small-32": {"model": "resnet18", "stem": "small", "side": 32, "batch": 128, "block": 2, "drained": 1},
    "mobilenet_v2-small-32": {"model": "mobilenet_v2", "stem": "small", "side": 32, "batch": 64, "block": 4, "drained": 2},
    "efficientnet_b0-96": {
        "model": "timm/efficientnet_b0", "stem": "original", "side": 96, "batch": 64, "block": 2, "drained": 1,
    },
    "convnext_atto-96": {
        "model": "timm/convnext_atto", "stem": "original", "side": 96, "batch": 64, "block": 2, "drained": 1,
    },
    "resnet50-96": {"model": "timm/resnet50", "stem": "original", "side": 96, "batch": 64, "block": 2, "drained": 1},
}  # fmt: skip
"""What is compared: network, side of the input in pixels, batch size; timed steps in a turn, and untimed ones before
them, in which caches and queues come to what they are in training; how many trainings at once, with one thread each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one contender did in one turn."""

    images_per_second: float
    wait_share: float
    """Of the time, spent waiting for data."""

    peak_memory: int
    """Bytes: the most that was ever resident, memory-mapped pictures included."""

    private_memory: int
    """Bytes: what belonged to the processes alone when the turn ended."""


class Running:
    """A contender's processes (one, or several that train at once), paused between blocks."""

    def __init__(self, work: Work, copies: int, *, allocator: bool = False) -> None:
        """Start it.

        Args:
            work: What it trains.
            copies: How many train at once.
            allocator: Whether it keeps freed memory, as bakeoff's own workers do.
        """
        own = os.environ | {"OMP_NUM_THREADS": str(work.threads)}
        if allocator or work.contender == "bakeoff":
            own = environment(work.threads)
        self.work = work
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(HERE / "contender.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=own,
                start_new_session=True,  # so that its loaders can be held with it
            )
            for _ in range(copies)
        ]
        try:
            self._say(json.dumps(asdict(work)))
            self.block()  # builds, compiles, fills caches: not counted
        except BaseException:
            self.kill()
            raise

    def _signal(self, number: int) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):  # it has ended, as is told when it is heard
                os.killpg(process.pid, number)

    def _say(self, line: str) -> None:
        for process in self.processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended, as is told when it is heard
                process.stdin.write(line + "\n")
                process.stdin.flush()

    def go_on(self) -> Block:
        """Let it have its turn, and return what that came to."""
        self._signal(signal.SIGCONT)
        self._say("")
        return self.block()

    def block(self) -> Block:
        """Return what the block under way comes to, and hold the contender, whose loaders would work in another's turn."""
        told = [self._heard(process) for process in self.processes]
        self._signal(signal.SIGSTOP)
        return Block(
            images_per_second=sum(one["images"] / one["seconds"] for one in told),
            wait_share=statistics.mean(one["wait"] / one["seconds"] for one in told),
            peak_memory=int(sum(one["peak_memory"] for one in told)),
            private_memory=int(sum(one["private_memory"] for one in told)),
        )

    def _heard(self, process: subprocess.Popen[str]) -> dict[str, float]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            last_words = (
                process.stderr.read()[-2000:] or "without a word; memory may be short for so many contenders at once"
            )
            raise BakeoffError(f"{self.work.contender} ended: {last_words}")
        told: dict[str, float] = json.loads(line)
        return told

    def kill(self) -> None:
        """End it and its loaders."""
        self._signal(signal.SIGKILL)

    def wait(self) -> None:
        """Wait until it has ended."""
        for process in self.processes:
            process.communicate()


def compare(row: str, against: list[str], precision: str, blocks: int, dataset: Dataset) -> list[dict[str, Any]]:
    """Let contenders take turns on one row, and return a summary of each."""
    settings = ROWS[row]
    copies = settings.get("copies", 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    running: list[Running] = []
    found: dict[str, list[Block]] = {}
    try:
        for contender in against:
            work = Work(
                contender=contender.partition("-")[0],
                model=settings["model"],
                stem=settings["stem"],
                side=settings["side"],
                batch=settings["batch"],
                precision="float32" if contender in ("plain", "plain-allocator") else precision,
                threads=max(1, cores // copies),
                dataset=str(dataset.folder),
                block=settings["block"],
                drained=settings["drained"],
                tuned=contender != "bakeoff-untuned",
            )
            CONSOLE.print(f"{row}: {contender} warms up", highlight=False)
            running.append(Running(work, copies, allocator=contender.endswith("-allocator")))
        for turn in range(blocks):
            order = list(zip(against, running, strict=True))
            for contender, one in order if turn % 2 == 0 else order[::-1]:  # a drift within a turn favours nobody
                found.setdefault(contender, []).append(one.go_on())
            CONSOLE.print(f"{row}: turn {turn + 1} of {blocks}", highlight=False)
    finally:
        for one in running:
            one.kill()
        for one in running:
            one.wait()
    network = models.build(
        settings["model"], classes=len(dataset.classes), stem=settings["stem"], size=settings["side"]
    ).module
    macs = cost.macs(network, settings["side"])
    return [_summary(row, contender, found[contender], found[against[0]], macs) for contender in against]


def _summary(row: str, contender: str, blocks: list[Block], first: list[Block], macs: int) -> dict[str, Any]:
    speeds = [block.images_per_second for block in blocks]
    ratios = [one.images_per_second / other.images_per_second for one, other in zip(blocks, first, strict=True)]
    return {
        "row": row,
        "contender": contender,
        "images_per_second": statistics.median(speeds),
        "slowest_block": min(speeds),
        "fastest_block": max(speeds),
        "ratio": statistics.median(ratios),
        "wait_share": statistics.median(block.wait_share for block in blocks),
        "peak_memory": max(block.peak_memory for block in blocks),
        "private_memory": max(block.private_memory for block in blocks),
        # Forward and both gradients: three times the multiply-accumulates of a forward pass, two operations each.
        "operations_per_second": 6 * macs * statistics.median(speeds),
    }


def matmul_peak(dtype: torch.dtype) -> float:
    """Return the operations a second of a large matrix product: the best of ten."""
    square = torch.ones(2048, 2048, dtype=dtype)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        square @ square
        seconds.append(time.perf_counter() - started)
    return float(2 * 2048**3 / min(seconds))


def hardware() -> dict[str, Any]:
    """Return where and with what this was measured."""
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "matmul_peak": {
            "float32": matmul_peak(torch.float32),
            # Imitated, a single product takes a minute.
            "bfloat16": None if emulated("bfloat16", "cpu") else matmul_peak(torch.bfloat16),
        },
    }


def keep(name: str, content: dict[str, Any]) -> None:
    """Write a result among those that the project keeps."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    CONSOLE.print(f"kept in {path}", highlight=False)


def keep_freed_memory() -> None:
    """Start this program again with the allocator of bakeoff's workers, which is decided at the start."""
    if ALLOCATOR not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(usable_cores()))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def shown(results: list[dict[str, Any]], peak: float | None) -> Table:
    """Return the results of one row as a table."""
    table = Table(title=results[0]["row"], title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("contender")
    for header in ("images/s", "from - to", "ratio", "data wait", "memory", "of peak"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in results:
        table.add_row(
            one["contender"],
            f"{one['images_per_second']:.1f}",
            f"{one['slowest_block']:.0f}-{one['fastest_block']:.0f}",
            f"{one['ratio']:.2f}x",
            f"{100 * one['wait_share']:.1f} %",
            f"{one['peak_memory'] / 1e9:.2f} GB",
            "-" if peak is None else f"{100 * one['operations_per_second'] / peak:.0f} %",
        )
    return table


def main() -> None:
    """Compare, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="resnet18-32", help=f"all, or some of: {', '.join(ROWS)}")
    parser.add_argument("--against", default="plain,bakeoff", help=f"some of: {', '.join(CONTENDERS)}; the first is 1x")
    parser.add_argument(
        "--precision",
        default="float32",
        choices=["float32", "bfloat16", "auto"],
        help="of all but plain; auto is bfloat16 where the processor computes in it",
    )
    parser.add_argument("--blocks", type=int, default=7, help="turns of each contender")
    parser.add_argument(
        "--data", default=os.environ.get("BAKEOFF_DATA", "digits"), help="a data set, as `bakeoff run` takes it"
    )
    parser.add_argument("--save", metavar="NAME", help="keep the results as benchmarks/results/NAME.json")
    parser.add_argument(
        "--at-least", type=float, help="exit with 1 if bakeoff's ratio stays below, also when measured again"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that contenders end with this program
    if given.precision == "auto":
        given.precision = "float32" if emulated("bfloat16", "cpu") else "bfloat16"
    rows = list(ROWS) if given.rows == "all" else given.rows.split(",")
    against = given.against.split(",")
    dataset = prepare(given.data)
    kept = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python benchmarks/throughput.py", *sys.argv[1:]]),
        "data": f"{dataset.name}, {len(dataset.train)} training pictures of {dataset.size} pixels",
        "precision": given.precision,
        "hardware": hardware(),
        "rows": {row: ROWS[row] for row in rows},
    }
    peak = kept["hardware"]["matmul_peak"][given.precision]
    results: list[dict[str, Any]] = []
    for row in rows:
        found = compare(row, against, given.precision, given.blocks, dataset)
        if given.at_least is not None and _lowest(found) < given.at_least:
            CONSOLE.print(f"{_lowest(found):.2f}x is below {given.at_least}x; once more", highlight=False)
            found = compare(row, against, given.precision, given.blocks, dataset)
        results += found
        CONSOLE.print(shown(found, peak))
        if given.save:  # after each row: all of them take half an hour, and the last may run out of memory
            keep(given.save, kept | {"results": results})
    if given.at_least is not None and _lowest(results) < given.at_least:
        sys.exit(1)


def _lowest(results: list[dict[str, Any]]) -> float:
    return min(float(one["ratio"]) for one in results if one["contender"] == "bakeoff")


if __name__ == "__main__":
    main()
