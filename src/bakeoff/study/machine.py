"""What of this machine a study uses: the device, the processes, their threads."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterable

from bakeoff.errors import SpecError, near_miss
from bakeoff.execution.machine import MEMORY_A_PROCESS, may_have_gpu, usable_cores


def resolve_device(wanted: str) -> str:
    """Return the device to train on.

    Raises:
        SpecError: If it is unknown or not there.
    """
    known = re.fullmatch(r"auto|cpu|cuda(?::([0-9]{1,4}))?", wanted)
    if known is None:
        raise SpecError(
            f"the device must be auto, cpu, cuda or cuda:N, but got '{wanted}'{near_miss(wanted, ['auto', 'cpu', 'cuda'])}"
        )
    if wanted == "cpu" or (wanted == "auto" and not may_have_gpu()):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    number = known[1]
    if not torch.cuda.is_available():
        raise SpecError(f"the device '{wanted}' needs a CUDA GPU, but torch sees none; use --device cpu")
    if number is not None and int(number) >= torch.cuda.device_count():
        raise SpecError(
            f"the device '{wanted}' must exist, but torch sees {torch.cuda.device_count()} GPUs, counted from 0"
        )
    return wanted


def divide_cores(runs: int, workers: int | None, device: str) -> tuple[int, int]:
    """Return how many processes to use and how many threads in each, so that no core has two jobs.

    One process with one thread a core trains small networks faster than one process with all cores, as long as there
    are as many runs.

    Raises:
        SpecError: If so many processes would be none.
    """
    if workers is not None and workers < 1:
        raise SpecError(f"`workers` must be at least 1, but got {workers}; leave it out for one a core")
    cores = usable_cores()
    if workers is None:
        workers = 1 if device != "cpu" else min(cores, runs, max(1, total_memory() // MEMORY_A_PROCESS))
    return workers, max(1, cores // workers)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Return when the last of these jobs ends if each goes, in order, to the worker that is free first."""
    free = [0.0] * workers
    for job in seconds:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def total_memory() -> int:
    """Return the machine's memory in bytes, or a plenty where it cannot be asked for."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 2**40
