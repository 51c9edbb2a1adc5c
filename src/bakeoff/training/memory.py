"""When memory runs out."""

from __future__ import annotations

import torch


class MemoryShortError(Exception):
    """A step did not fit into memory."""


def memory_is_short(error: Exception) -> bool:
    """Whether an error says that memory ran out, on the CPU (whose allocator raises RuntimeError) or a GPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
