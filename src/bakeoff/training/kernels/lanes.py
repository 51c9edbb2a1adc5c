"""C text for kernels that compute in float32 on maps of another dtype."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import torch

VALUES = {torch.float32: "#define VALUE float\n", torch.bfloat16: "#define VALUE uint16_t\n#define NARROW\n"}
"""How kernels name the numbers of a dtype."""


def source(files: Mapping[str, str], dtype: torch.dtype, defined: str = "") -> str:
    """Return a kernel's whole C text.

    Args:
        files: Packages, each with the name of the file that it holds, in order. They may use all that lanes.c defines, and
            later ones what earlier ones do.
        dtype: Of the maps; one of `VALUES`.
        defined: Further definitions to stand before it.
    """
    texts = [
        resources.files(package).joinpath(file).read_text(encoding="utf-8")
        for package, file in [("bakeoff.training.kernels", "lanes.c"), *files.items()]
    ]
    return "".join([VALUES[dtype], defined, *texts])
