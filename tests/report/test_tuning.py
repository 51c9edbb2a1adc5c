"""The timings of convolutions in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bakeoff.report.tuning import tuning_table

ALGORITHMS = ("library", "planar", "matmul", "dense", "winograd")


def shown(width: int) -> str:
    known = {
        task: {name: 100.04 + 10 * place for place, name in enumerate(ALGORITHMS)}
        for task in ("forward", "input_gradient", "weight_gradient")
    }
    layers = [(f"features.{place}.block.convolution", "512>512 3x3 at 14", 10**9, known) for place in range(2)]
    choices = {"features.0.block.convolution": ("winograd", "library", "dense")}
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(tuning_table("what", layers, choices, peak=1e11))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_in_a_terminal_of(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in (*ALGORITHMS, "of peak", "512>512 3x3 at 14", "140*", "100*", "130*", "10 %"):
        assert word in text


def test_layers_of_one_shape_are_counted_and_summed() -> None:
    text = " ".join(shown(120).split())
    assert "x2" in text
    assert "600 ms library, 740 ms chosen, 60 ms at peak" in text
