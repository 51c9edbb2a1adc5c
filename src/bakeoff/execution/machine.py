"""What of this machine a process may use, and what it has taken."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STATUS = Path("/proc/self/status")

FORGET_PEAK = Path("/proc/self/clear_refs")
"""Linux: a 5 written here makes the peak begin anew (proc(5), since Linux 4.0)."""


MEMORY_A_PROCESS = 3 * 2**30
"""Bytes allowed for each process when their number at once is chosen: torch itself and a batch of 64 at 224 pixels."""


GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
"""Linux: one of them is there where a driver is: NVIDIA's, that for Jetson, AMD's, and Windows' (WSL)."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_have_gpu() -> bool:
    """Return False where this machine surely has no GPU that torch could use, so that nobody need load torch to ask it."""
    if sys.platform == "linux":
        return any(Path(device).exists() for device in GPU_DEVICES)
    return sys.platform != "darwin"  # torch's CUDA is not made for it


def peak_memory(device: torch.device | None = None) -> int | None:
    """Return the most bytes that this process ever had resident, or that a GPU's allocator ever held for it.

    Returns:
        None where the system has no counter.
    """
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device)
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows keeps no such counter
        return None
    # The last resort: on Linux a process inherits this peak from the one that started it.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # bytes there, kilobytes elsewhere


def resident_memory() -> int | None:
    """Return the bytes that this process has resident now; None where the system does not tell."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Give freed memory back to the system and let the peak begin anew, as far as the system can do that."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, other C libraries do not
        if trim is not None:
            trim(0)
        with contextlib.suppress(OSError):  # a sandbox may forbid it; the peak then holds what importing took, too
            FORGET_PEAK.write_text("5")


def available_memory() -> int | None:
    """Return the bytes that could be had without swapping; None where the system does not tell."""
    return _number(Path("/proc/meminfo"), "MemAvailable")


def _status(key: str) -> int | None:
    return _number(STATUS, key)


def _number(path: Path, key: str) -> int | None:
    """Return a line's kilobytes as bytes."""
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
