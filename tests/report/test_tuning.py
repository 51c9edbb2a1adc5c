"""The timings of convolutions in a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from bakeoff.report.tuning import tuning_table

USUAL = ("library", "planar", "matmul", "dense", "winograd")
MOBILE = ("library", "planar", "matmul", "spread", "depthwise", "winograd")


def shown(
    width: int,
    algorithms: Sequence[str] = USUAL,
    used: Sequence[str] = ("winograd", "library", "dense"),
    joined: Sequence[str] = (),
) -> str:
    known = {
        task: {name: 100.04 + 10 * place for place, name in enumerate(algorithms)}
        for task in ("forward", "input_gradient", "weight_gradient")
    }
    layers = [(f"features.{place}.block.convolution", "512>512 3x3 at 14", 10**9, known) for place in range(2)]
    choices = {"features.0.block.convolution": used}
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(tuning_table("what", layers, choices, joined, peak=1e11))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_in_a_terminal_of(width: int) -> None:
    text = shown(width)
    assert "…" not in text
    for word in (*USUAL, "of peak", "512>512 3x3 at 14", "140*", "100*", "130*", "10 %"):
        assert word in text


def test_where_there_is_no_room_for_all_what_is_never_used_is_left_out_and_named() -> None:
    used = ("library", "depthwise", "matmul")
    narrow, wide = shown(80, MOBILE, used), shown(120, MOBILE, used)
    heading, row = narrow.splitlines()[2], next(line for line in narrow.splitlines() if "forward" in line)
    assert heading.split() == ["layer", "pass", "library", "matmul", "depthwise", "of", "peak"]
    assert row.split()[-6:] == ["forward", "100*", "120", "140", "10", "%"]
    assert "left out for lack of room: planar, spread, winograd" in " ".join(narrow.split())
    assert "lack of room" not in wide
    assert all(name in wide for name in MOBILE)


def test_where_what_is_used_does_not_fit_either_only_the_chosen_stands_beside_the_library() -> None:
    many = ("library", "planar", "matmul", "dense", "winograd", "tilewise", "phases", "spread")
    known = {"forward": {name: 100.04 + 10 * place for place, name in enumerate(many)}}
    layers = [(f"features.{place}.convolution", "512>512 3x3 at 14", 10**9, known) for place in range(len(many))]
    choices = {layer[0]: [name] * 3 for layer, name in zip(layers, many, strict=True)}
    layers = [(name, f"512>512 3x3 at {place}", macs, known) for place, (name, _, macs, known) in enumerate(layers)]
    console = Console(file=io.StringIO(), width=80, force_terminal=False, legacy_windows=False)
    console.print(tuning_table("what", layers, choices, [], peak=1e11))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[2].split() == ["layer", "pass", "library", "chosen", "which", "is", "of", "peak"]
    row = next(line for line in text.splitlines() if "phases" in line)
    assert row.split()[-6:] == ["forward", "100", "160*", "phases", "6", "%"]
    others = "planar, matmul, dense, winograd, tilewise, phases, spread"
    assert f"Left out for lack of room: the times of {others} where they are not chosen." in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_layers_of_one_shape_are_counted_and_summed() -> None:
    text = " ".join(shown(120).split())
    assert "x2" in text
    assert "600 ms library, 740 ms chosen, 60 ms at peak" in text


def test_a_layer_that_training_joins_with_others_is_told_apart() -> None:
    text = " ".join(shown(120, joined=["features.0.block.convolution"]).split())
    assert "140+" in text  # its forward pass, which evaluation needs
    assert "130+" not in text
    assert "100*" in text  # of the other layer of the shape
    assert "x2" not in text
    assert (
        "+ is what evaluation uses of a layer that training computes in one go with the normalisations around it"
        in text
    )
    assert "All other convolutions of a step: 300 ms library, 300 ms chosen, 30 ms at peak" in text
    assert "evaluation" not in shown(120)
