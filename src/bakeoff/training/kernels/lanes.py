"""C text for kernels that compute in float32 on maps of another dtype."""

from __future__ import annotations

from importlib import resources

import torch

VALUES = {torch.float32: "#define VALUE float\n", torch.bfloat16: "#define VALUE uint16_t\n#define NARROW\n"}
"""How kernels name the numbers of a dtype."""


def source(package: str, file: str, dtype: torch.dtype, defined: str = "") -> str:
    """Return a kernel's whole C text.

    Args:
        package: That holds it.
        file: Its name there. It may use all that lanes.c defines.
        dtype: Of the maps; one of `VALUES`.
        defined: Further definitions to stand before it.
    """
    lanes = resources.files("bakeoff.training.kernels").joinpath("lanes.c").read_text(encoding="utf-8")
    kernel = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return VALUES[dtype] + defined + lanes + kernel
