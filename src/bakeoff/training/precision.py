"""The number format of a run: chosen by the study, equal for all candidates, never changed silently."""

from __future__ import annotations

import contextlib

import torch

from bakeoff.spec import PrecisionName


def autocast(precision: PrecisionName, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context for forward passes: weights stay float32, matrix products run in `precision`."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def emulated(precision: PrecisionName, device: str) -> bool:
    """Whether this processor lacks the format and computes it the slow way (5 to 50 times slower than float32)."""
    if precision == "float32":
        return False
    if device != "cpu":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    capability = torch.backends.cpu.get_cpu_capability()
    return capability in ("DEFAULT", "NO AVX", "AVX2")
