"""What a network takes of memory: the peak above what was taken before it, and what waits for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bakeoff.execution.machine import forget_peak, peak_memory, resident_memory


class Gauge:
    """Reads peaks of memory of this process, above what it took when the gauge was made.

    On a GPU it is the memory of tensors, as torch's allocator counts it. On the CPU it is what is resident, so a process
    should measure one network only: what is freed need not go back to the system.

    Args:
        device: Where the network will be.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.restart()
        self._before = torch.cuda.memory_allocated(device) if self._gpu else resident_memory()

    @property
    def _gpu(self) -> bool:
        return self._device.type == "cuda"

    def restart(self) -> None:
        """Let the peak begin anew from what is taken now."""
        if self._gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            forget_peak()

    def peak(self) -> int | None:
        """Return the bytes of the peak since the last restart, above the beginning; None where nothing counts them."""
        most = torch.cuda.max_memory_allocated(self._device) if self._gpu else peak_memory()
        return None if most is None or self._before is None else max(0, most - self._before)

    def reserved(self) -> int | None:
        """Return the most bytes that a GPU's allocator held since the last restart; None on the CPU."""
        return torch.cuda.max_memory_reserved(self._device) if self._gpu else None


def weight_of(network: nn.Module) -> int:
    """Return the bytes of a network's parameters and buffers, shared ones once."""
    kept = {id(tensor): tensor for tensor in [*network.parameters(), *network.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in kept.values())


@contextmanager
def saved_for_backward(network: nn.Module) -> Iterator[dict[int, int]]:
    """Note what autograd keeps from forward passes for their backward passes.

    Args:
        network: Its parameters and buffers are there anyway, and are left out.

    Yields:
        Bytes by address, each piece of memory once; the batch of pictures is among them. It fills as passes are made.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
