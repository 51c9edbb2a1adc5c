"""Does it stay as fast as the data grows? Folders of generated JPEGs, 1x, 4x and 16x, decoded and trained on by turns.

    python benchmarks/growth.py                      # 12,500, 50,000 and 200,000 pictures, about 10 minutes
    python benchmarks/growth.py --pictures 2000,8000,32000

Prints, for each: how fast the folder was decoded, images/s of training once every picture has been read, data-wait
share, private memory, and memory-mapped pictures (shared by all workers, given back whenever memory is short).
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from contender import Work
from PIL import Image
from rich import box
from rich.table import Table
from throughput import CONSOLE, Block, Running, hardware, keep

from bakeoff.data import prepare

CLASSES = 10
SIDE = 32
TURNS = 5


def draw_some(folder: Path, first: int, last: int) -> None:
    """Write generated pictures: coarse coloured noise, which a JPEG of a photograph resembles in size."""
    chance = np.random.default_rng(first)
    for number in range(first, last):
        coarse = Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(folder / f"class {number % CLASSES}" / f"{number}.jpg", quality=75)


def draw(folder: Path, count: int) -> None:
    """Write a folder of that many training pictures and a few for the test."""
    for number in range(CLASSES):
        (folder / "train" / f"class {number}").mkdir(parents=True)
        (folder / "test" / f"class {number}").mkdir(parents=True)
    draw_some(folder / "test", 0, 10 * CLASSES)
    step = 2500
    with ProcessPoolExecutor() as pool:
        jobs = [
            pool.submit(draw_some, folder / "train", first, min(first + step, count)) for first in range(0, count, step)
        ]
        for job in jobs:
            job.result()


def measure(counts: list[int], folder: Path, model: str) -> list[dict[str, Any]]:
    """Decode each folder, then train on all of them by turns."""
    results: list[dict[str, Any]] = []
    running: list[Running] = []
    turns: list[list[Block]] = [[] for _ in counts]
    try:
        for count in counts:
            CONSOLE.print(f"drawing {count:,} pictures", highlight=False)
            draw(folder / str(count), count)
            started = time.perf_counter()
            dataset = prepare(str(folder / str(count)), cache_dir=folder / "cache")
            seconds = time.perf_counter() - started
            results.append({"pictures": count, "decoded_per_second": count / seconds})
            int(dataset.train.pixels.sum(dtype=np.int64))  # reads every picture once, as a first epoch does
            work = Work(
                contender="bakeoff",
                model=model,
                stem="original",
                side=SIDE,
                batch=64,
                precision="float32",
                threads=os.cpu_count() or 1,
                dataset=str(dataset.folder),
                block=60,
                drained=5,
            )
            running.append(Running(work, copies=1))
        for _ in range(TURNS):
            for found, one in zip(turns, running, strict=True):
                found.append(one.go_on())
    finally:
        for one in running:
            one.kill()
        for one in running:
            one.wait()
    for result, blocks in zip(results, turns, strict=True):
        result["images_per_second"] = statistics.median(block.images_per_second for block in blocks)
        result["wait_share"] = statistics.median(block.wait_share for block in blocks)
        result["private_memory"] = max(block.private_memory for block in blocks)
        result["mapped_pictures"] = result["pictures"] * SIDE * SIDE * 3
    return results


def shown(results: list[dict[str, Any]]) -> Table:
    """Return the results as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("pictures", "decoded/s", "images/s", "against the first", "data wait", "private memory", "mapped"):
        table.add_column(header, justify="right")
    for one in results:
        table.add_row(
            f"{one['pictures']:,}",
            f"{one['decoded_per_second']:,.0f}",
            f"{one['images_per_second']:.0f}",
            f"{one['images_per_second'] / results[0]['images_per_second']:.2f}x",
            f"{100 * one['wait_share']:.1f} %",
            f"{one['private_memory'] / 1e9:.2f} GB",
            f"{one['mapped_pictures'] / 1e9:.2f} GB",
        )
    return table


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="12500,50000,200000", help="how many, with commas between")
    parser.add_argument("--model", default="resnet18", help="what is trained, at its published stem")
    parser.add_argument("--save", metavar="NAME", help="keep the results as benchmarks/results/NAME.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        results = measure([int(count) for count in given.pictures.split(",")], Path(folder), given.model)
    CONSOLE.print(shown(results))
    if given.save:
        kept = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "model": given.model,
            "hardware": hardware(),
            "results": results,
        }
        keep(given.save, kept)


if __name__ == "__main__":
    main()
