"""The number format of a run: chosen by the study, equal for all candidates, never changed silently."""

from __future__ import annotations

import contextlib

import torch

from bakeoff.spec import PrecisionName
from bakeoff.training.kernels.native import instructions

BFLOAT16 = {"avx512_bf16", "amx_bf16"}
"""Instructions that compute in bfloat16, as Linux names them; older processors with AVX-512 have none of them."""


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
    if capability in ("DEFAULT", "NO AVX", "AVX2"):
        return True
    known = set(instructions().split())  # empty where the system does not tell
    return capability.startswith("AVX512") and bool(known) and known.isdisjoint(BFLOAT16)
