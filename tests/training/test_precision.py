"""Which processors compute in bfloat16, and which imitate it."""

from __future__ import annotations

import pytest
import torch

from bakeoff.training import precision
from bakeoff.training.precision import emulated


@pytest.mark.parametrize(
    ("capability", "instructions", "imitated"),
    [
        ("AVX2", "avx2 fma", True),
        ("DEFAULT", "", True),
        ("AVX512", "avx2 avx512f avx512_bf16", False),
        ("AVX512", "avx512f amx_bf16", False),
        ("AVX512", "avx2 avx512f", True),  # as of 2017
        ("AVX512", "", False),  # a system that does not tell
        ("SVE256", "fp asimd bf16", False),
    ],
)
def test_bfloat16_is_imitated_where_the_processor_has_no_instructions_for_it(
    capability: str, instructions: str, imitated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(precision, "instructions", lambda: instructions)
    assert emulated("bfloat16", "cpu") is imitated
    assert not emulated("float32", "cpu")
