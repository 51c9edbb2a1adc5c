"""C text for kernels that compute in float32 on maps of another dtype."""

from __future__ import annotations

from importlib import resources

import torch

VALUES = {torch.float32: "#define VALUE float\n", torch.bfloat16: "#define VALUE uint16_t\n#define NARROW\n"}
"""How kernels name the numbers of a dtype."""


def source(dtype: torch.dtype, *files: tuple[str, str], defined: str = "") -> str:
    """Return a kernel's whole C text.

    Args:
        dtype: Of the maps; one of `VALUES`.
        files: Packages, each with the name of a file in it. They may use all that lanes.c defines, and later ones what earlier
            ones do.
        defined: Further definitions to stand before them.
    """
    texts = [
        resources.files(package).joinpath(file).read_text(encoding="utf-8")
        for package, file in [("bakeoff.training.kernels", "lanes.c"), *files]
    ]
    return "".join([VALUES[dtype], defined, *texts])
