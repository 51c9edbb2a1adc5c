"""Counters of energy: RAPL for processors, NVML for NVIDIA's GPUs; and why there is none, where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAPL = Path("/sys/class/powercap")
"""Linux: one folder a domain, `intel-rapl:0` for the first package (AMD's too), with a counter in microjoules."""

NVML_SECONDS = 10.0
"""Shortest window over which NVML's counter says something."""


class NoCounterError(Exception):
    """Energy cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A part of the machine with a counter."""

    read: Callable[[], float]
    """Joules since some moment."""

    wraps_at: float | None
    """Joules after which the counter begins anew."""


class Counter:
    """Energy counters that are read together.

    Args:
        source: What they belong to, in words.
        domains: Whose energies are added.
        clock: Seconds.
    """

    def __init__(self, source: str, domains: list[Domain], clock: Callable[[], float] = time.perf_counter) -> None:
        self.source = source
        self._domains = domains
        self._clock = clock
        self._started: list[float] = []
        self._since = 0.0

    def start(self) -> None:
        """Begin a window."""
        self._started = [domain.read() for domain in self._domains]
        self._since = self._clock()

    def stop(self) -> tuple[float, float]:
        """Return the joules and seconds since the start.

        A counter that began anew meanwhile is put right; one that did so twice cannot be told from one that did once.
        """
        seconds = self._clock() - self._since
        joules = 0.0
        for domain, before in zip(self._domains, self._started, strict=True):
            used = domain.read() - before
            if used < 0 and domain.wraps_at is not None:
                used += domain.wraps_at
            joules += used
        return joules, seconds


def counter(device: str, window: float, users: int, folder: Path = RAPL) -> Counter:
    """Return the counter of a device.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        window: Seconds for which it will be read.
        users: Measuring processes, one of which works while the others rest; a GPU with more is not ours alone.
        folder: Of the RAPL domains.

    Raises:
        NoCounterError: If there is none, or it cannot be read, or not for this window.
    """
    return _rapl(folder) if device == "cpu" else _nvml(device, window, users)


def _rapl(folder: Path) -> Counter:
    # `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it, which is counted already.
    packages = sorted(path for path in folder.glob("intel-rapl:*") if path.name.count(":") == 1)
    packages = [path for path in packages if _text(path / "name").startswith("package")]
    if not packages:
        raise NoCounterError(f"this machine has no RAPL counter under {folder}")
    domains = []
    for package in packages:
        file = package / "energy_uj"
        try:
            file.read_text()
        except OSError as error:
            raise NoCounterError(
                f"{file} cannot be read ({error.strerror}): it is kept for root on most systems"
            ) from error
        wraps_at = _text(package / "max_energy_range_uj")
        domains.append(Domain(_reader(file), int(wraps_at) / 1e6 if wraps_at else None))
    return Counter("RAPL package", domains)


def _reader(file: Path) -> Callable[[], float]:
    return lambda: int(file.read_text()) / 1e6


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _nvml(device: str, window: float, users: int) -> Counter:
    if window < NVML_SECONDS:
        raise NoCounterError(
            f"a window of {window:g} s is too short for a GPU's counter, which takes {NVML_SECONDS:g} s"
        )
    try:
        import pynvml
    except ImportError as error:
        raise NoCounterError(
            "NVML is read with nvidia-ml-py, which is not installed: pip install 'bakeoff[energy]'"
        ) from error
    try:
        pynvml.nvmlInit()
        handle = _handle(pynvml, device)
        found = len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        raise NoCounterError(f"NVML tells no energy of this GPU: {error}") from error
    if found > users:
        raise NoCounterError(f"the counter is of the whole GPU, which {found - users} other processes use as well")
    return Counter("NVML", [Domain(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, None)])


def _handle(pynvml: Any, device: str) -> Any:
    """Return NVML's handle of torch's device: by its identity, since the two may count GPUs differently."""
    import torch

    identity = torch.cuda.get_device_properties(torch.device(device)).uuid
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{identity}".encode())
