"""What the machine is like while costs are measured: how busy others keep it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
"""Linux: processor time since the start, by kind, of all processors together (proc(5))."""

IDLE_FIELDS = (3, 4)
"""Fields of its first line that count idle time: idle, and waiting for a disk. All others are work, other virtual machines'
included."""

COUNTED_FIELDS = 8
"""Fields that count; beyond them stands the time of guests, which is in them already."""


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Processor time of the whole machine, in the system's ticks."""

    worked: int
    total: int

    def busy_since(self, before: ProcessorTime) -> float | None:
        """Return the share of the time since then in which processors worked; None if no tick has passed."""
        total = self.total - before.total
        return None if total <= 0 else (self.worked - before.worked) / total


def processor_time(stat: Path = STAT) -> ProcessorTime | None:
    """Return the machine's processor time so far; None where the system does not tell."""
    if not stat.exists():
        return None
    ticks = [int(field) for field in stat.read_text().splitlines()[0].split()[1 : 1 + COUNTED_FIELDS]]
    return ProcessorTime(sum(ticks) - sum(ticks[field] for field in IDLE_FIELDS), sum(ticks))


def load_average() -> float | None:
    """Return how many processes ran or waited over the last minute; None on Windows."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
