"""Every algorithm computes what PyTorch's own convolution computes, in values and gradients."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from bakeoff.training.convolution import winograd
from bakeoff.training.convolution.algorithm import ALGORITHMS, LIBRARY, Algorithm, remark, serving
from bakeoff.training.convolution.depthwise import DEPTHWISE, LEAST_CHANNELS
from bakeoff.training.convolution.geometry import Axis, Geometry, Pass
from bakeoff.training.convolution.library import Library
from bakeoff.training.convolution.phases import PHASES
from bakeoff.training.convolution.tilewise import TILEWISE
from bakeoff.training.convolution.winograd import WINOGRAD

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}
"""Of the largest value: bfloat16 keeps 8 bits, and sums are rounded in another order."""


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    kernel, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    axis = Axis(draw(st.integers(1, 9)), kernel, draw(st.integers(1, 4)), draw(st.integers(0, 4)), dilation)
    assume(axis.output >= 1)
    return axis


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    groups, inputs, outputs = draw(
        st.one_of(
            st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 5)),
            st.integers(2, 6).map(lambda channels: (channels, channels, channels)),  # depthwise
            st.tuples(st.just(2), st.sampled_from([2, 4]), st.sampled_from([2, 6])),
        )
    )
    dtype = draw(st.sampled_from([torch.float32, torch.float32, torch.float64, torch.bfloat16]))
    whole = Geometry(draw(st.integers(1, 4)), inputs, outputs, groups, draw(axes()), draw(axes()), dtype)
    return whole.trimmed  # as layers compute it


def tensors(geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    shapes = geometry.input_shape, geometry.weight_shape, geometry.output_shape
    inputs, weight, gradient = (
        torch.randn(shape, generator=draws).to(geometry.dtype).to(memory_format=torch.channels_last) for shape in shapes
    )
    return inputs, weight, gradient


def square(
    batch: int, inputs: int, outputs: int, size: int, kernel: int, stride: int, padding: int, groups: int = 1
) -> Geometry:
    axis = Axis(size, kernel, stride, padding, 1)
    return Geometry(batch, inputs, outputs, groups, axis, axis, torch.float32)


def reference(geometry: Geometry) -> dict[Pass, torch.Tensor]:
    """What PyTorch gives in float64, through its own autograd."""
    inputs, weight, gradient = (tensor.double() for tensor in tensors(geometry))
    inputs.requires_grad_()
    weight.requires_grad_()
    rows, columns = geometry.rows, geometry.columns
    output = F.conv2d(
        inputs,
        weight,
        None,
        (rows.stride, columns.stride),
        (rows.padding, columns.padding),
        (rows.dilation, columns.dilation),
        geometry.groups,
    )
    output.backward(gradient)
    assert inputs.grad is not None
    assert weight.grad is not None
    return {Pass.FORWARD: output.detach(), Pass.INPUT_GRADIENT: inputs.grad, Pass.WEIGHT_GRADIENT: weight.grad}


def computed(algorithm: Algorithm, geometry: Geometry, task: Pass) -> torch.Tensor:
    inputs, weight, gradient = tensors(geometry)
    match task:
        case Pass.FORWARD:
            return algorithm.forward(inputs, weight, geometry)
        case Pass.INPUT_GRADIENT:
            return algorithm.input_gradient(gradient, weight, geometry)
        case Pass.WEIGHT_GRADIENT:
            return algorithm.weight_gradient(gradient, inputs, geometry)


def assert_conforms(geometry: Geometry, algorithms: Collection[Algorithm] = tuple(ALGORITHMS.values())) -> None:
    expected = reference(geometry)
    for task in Pass:
        for algorithm in serving(geometry, task):
            if algorithm not in algorithms:
                continue
            found = computed(algorithm, geometry, task)
            assert found.dtype is geometry.dtype
            assert found.is_contiguous(memory_format=torch.channels_last)
            scale = float(expected[task].abs().max()) or 1.0
            torch.testing.assert_close(
                found.double(),
                expected[task],
                rtol=0,
                atol=TOLERANCE[geometry.dtype] * scale,
                msg=lambda message, name=algorithm.name, task=task: f"{name}, {task}, {geometry.key}: {message}",
            )


# PyTorch's own convolution is asked for the layers of known networks alone. On odd shapes of few channels it leaves outputs
# and gradients unwritten, or writes beyond its memory (1x1 at strides of 2 and 1 from 5 to 2 channels, bfloat16; one channel of
# 6x5 pixels under 1x5 taps, float32; torch 2.14 on AVX512_BF16).
OURS = [algorithm for algorithm in ALGORITHMS.values() if not isinstance(algorithm, Library)]


SUMMED_IN_BFLOAT16 = Geometry(4, 1, 4, 1, Axis(9, 1, 1, 1, 1), Axis(7, 4, 1, 1, 1), torch.bfloat16)
"""Where `dense` was once further off than one rounding, since it added up a tap's gradient in bfloat16."""


@settings(max_examples=200)
@given(geometries())
@example(SUMMED_IN_BFLOAT16)
def test_every_algorithm_of_ours_conforms_to_pytorch(geometry: Geometry) -> None:
    assert_conforms(geometry, OURS)


@st.composite
def winograd_geometries(draw: st.DrawFn) -> Geometry:
    """Those that Winograd's algorithm is for; drawn from all, they would be few."""
    kernel = draw(st.sampled_from(list(winograd.TILES)))
    rows, columns = (Axis(draw(st.integers(3, 20)), kernel, 1, draw(st.integers(0, 5)), 1) for _ in range(2))
    assume(min(rows.output, columns.output) >= 3)
    channels, outputs = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return Geometry(draw(st.integers(1, 4)), channels, outputs, 1, rows, columns, dtype)


@pytest.fixture
def _compiler() -> None:
    if (reason := remark()) is not None:
        pytest.skip(reason)


@pytest.mark.usefixtures("_compiler")
@given(winograd_geometries())
def test_winograd_conforms_to_pytorch(geometry: Geometry) -> None:
    assert all(WINOGRAD in serving(geometry, task) for task in Pass)
    assert_conforms(geometry)


@st.composite
def tilewise_geometries(draw: st.DrawFn) -> Geometry:
    """Those of whole registers of channels, with tiles that do not fill the last few."""
    geometry = draw(winograd_geometries())
    channels, outputs = (16 * draw(st.integers(1, 4)) for _ in range(2))
    return replace(geometry, batch=draw(st.integers(1, 9)), channels=channels, outputs=outputs)


@pytest.mark.usefixtures("_compiler")
@given(tilewise_geometries())
def test_winograd_tile_by_tile_conforms_to_pytorch(geometry: Geometry) -> None:
    assert all(TILEWISE in serving(geometry, task) for task in Pass)
    assert_conforms(geometry, [TILEWISE])


@st.composite
def strided_geometries(draw: st.DrawFn) -> Geometry:
    """Those whose kernels reach several blocks of pixels, with pixels before the first block and behind the last."""
    stride, reached = draw(st.integers(2, 5)), draw(st.sampled_from(list(winograd.TILES)))
    kernels = st.integers((reached - 1) * stride + 1, reached * stride)
    rows, columns = (
        Axis(draw(st.integers(3, 40)), draw(kernels), stride, draw(st.integers(0, 8)), 1) for _ in range(2)
    )
    assume(min(rows.output, columns.output) >= 3)
    channels, outputs = draw(st.integers(1, 17)), draw(st.sampled_from([1, 5, 16, 32]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return Geometry(draw(st.integers(1, 4)), channels, outputs, 1, rows, columns, dtype)


OF_ANOTHER_WIDTH = Geometry(2, 3, 16, 1, Axis(9, 3, 2, 1, 1), Axis(10, 4, 2, 1, 1), torch.float32)
"""A kernel that fills its last blocks in one direction alone."""


@pytest.mark.usefixtures("_compiler")
@given(strided_geometries())
@example(OF_ANOTHER_WIDTH)
def test_winograd_over_the_phases_of_a_stride_conforms_to_pytorch(geometry: Geometry) -> None:
    assert all(PHASES in serving(geometry, task) for task in Pass)
    assert_conforms(geometry, [PHASES])


@pytest.mark.parametrize(
    ("size", "taps", "task", "tile"),
    [
        (32, 3, Pass.FORWARD, 4),
        (13, 3, Pass.FORWARD, 5),  # three tiles where smaller ones would be four
        (14, 3, Pass.WEIGHT_GRADIENT, 5),
        (6, 3, Pass.FORWARD, 3),
        (7, 3, Pass.FORWARD, 4),
        (55, 3, Pass.FORWARD, 4),  # 5 would save less than a fifth
        (27, 5, Pass.INPUT_GRADIENT, 3),
        (27, 5, Pass.WEIGHT_GRADIENT, 2),  # for its rounding
    ],
)
def test_maps_have_the_tile_that_takes_fewest_multiplications(size: int, taps: int, task: Pass, tile: int) -> None:
    assert winograd.tile_for(square(2, 16, 16, size, taps, 1, taps // 2), task) == tile


def of_tile(taps: int, tile: int, channels: int = 64) -> Geometry:
    """A geometry that is computed with a tile but for its weight's gradient, on maps of 16 pixels or more if any has it."""
    for size in (*range(16, 64), *range(4, 16)):
        geometry = square(16, channels, channels, size, taps, 1, taps // 2)
        if all(winograd.tile_for(geometry, task) == tile for task in (Pass.FORWARD, Pass.INPUT_GRADIENT)):
            return geometry
    raise AssertionError(f"no map has {tile}x{tile} tiles under {taps}x{taps} taps")


EVERY_TILE = pytest.mark.parametrize(
    ("taps", "tile"), [(taps, tile) for taps, tiles in winograd.TILES.items() for tile in tiles]
)


def growth(finite: Sequence[float], tile: int, taps: int) -> float:
    """By how much the rounding of products grows, root mean square, for random maps and kernels in one direction."""
    points = tile + taps - 1

    def evaluation(coefficients: int) -> NDArray[np.float64]:
        infinite = np.eye(coefficients)[-1:]
        return np.concatenate([np.vander(finite, coefficients, increasing=True), infinite])

    inputs = np.linalg.inv(evaluation(points)).T
    products = np.square(evaluation(taps)).sum(1) * np.square(inputs).sum(1)
    return float(np.sqrt((np.square(evaluation(tile)) * products[:, None]).sum(0).mean() / taps))


@EVERY_TILE
def test_the_points_let_rounding_grow_less_than_the_smallest_whole_ones_and_halves(taps: int, tile: int) -> None:
    points = tile + taps - 1
    ours, usual = winograd.EVALUATED_AT[points], (0.0, 1.0, -1.0, 2.0, -2.0, 0.5)[: points - 1]
    assert growth(ours, tile, taps) < growth(usual, tile, taps)


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("algorithm", [WINOGRAD, TILEWISE], ids=lambda algorithm: algorithm.name)
@EVERY_TILE
def test_winograd_rounds_as_float32_does_within_a_factor(algorithm: Algorithm, taps: int, tile: int) -> None:
    """Held against the format's own step: the library's error is half as large on one processor as on another."""
    geometry = of_tile(taps, tile)
    for task, expected in reference(geometry).items():
        error = (computed(algorithm, geometry, task).double() - expected).square().mean().sqrt()
        assert error < 32 * torch.finfo(torch.float32).eps * expected.square().mean().sqrt(), task


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("algorithm", [WINOGRAD, TILEWISE], ids=lambda algorithm: algorithm.name)
@EVERY_TILE
def test_winograd_hides_no_number_that_is_none(algorithm: Algorithm, taps: int, tile: int) -> None:
    geometry = of_tile(taps, tile, channels=16)
    inputs, weight, gradient = tensors(geometry)
    inputs[1, 2, 3, 3] = torch.nan
    output = algorithm.forward(inputs, weight, geometry)
    last = 3 + taps // 2  # of the outputs that meet it, in either direction
    assert output[1, :, max(0, last - taps + 1) : last + 1, max(0, last - taps + 1) : last + 1].isnan().all()
    assert output[0].isfinite().all()
    to_weight = algorithm.weight_gradient(gradient, inputs, geometry)
    assert to_weight[:, 2].isnan().all()
    assert to_weight[:, 3].isfinite().all()


@pytest.mark.usefixtures("_compiler")
def test_an_empty_batch_is_the_librarys() -> None:
    for geometry in (square(0, 16, 16, 8, 3, 1, 1), square(0, 3, 16, 32, 7, 2, 3)):
        assert not {WINOGRAD, TILEWISE, PHASES} & {one for task in Pass for one in serving(geometry, task)}


@pytest.mark.usefixtures("_compiler")
def test_winograd_gives_the_same_bits_each_time_whatever_the_parts_of_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geometry = square(5, 20, 12, 9, 3, 1, 1)
    outputs = []
    monkeypatch.setattr(winograd, "LARGEST_PART", 1)
    for bytes_at_once in (1, 1, 2**23):
        monkeypatch.setattr(winograd, "WORKING_SET", bytes_at_once)
        outputs.append([computed(WINOGRAD, geometry, task) for task in Pass])
    assert all(torch.equal(one, other) for one, other in zip(outputs[0], outputs[1], strict=True))
    for one, other in zip(outputs[0], outputs[2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(one.abs().max()))


@st.composite
def depthwise_geometries(draw: st.DrawFn) -> Geometry:
    """Those that the compiled depthwise algorithm is for, with more taps than it takes at once and channels of any number."""
    rows, columns = (
        Axis(draw(st.integers(1, 12)), draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(0, 5)), draw(st.integers(1, 3)))
        for _ in range(2)
    )  # fmt: skip
    assume(min(rows.output, columns.output) >= 1)
    channels = draw(st.integers(LEAST_CHANNELS, 70))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    return Geometry(draw(st.integers(1, 20)), channels, channels, channels, rows, columns, dtype)


@pytest.mark.usefixtures("_compiler")
@settings(max_examples=200)
@given(depthwise_geometries(), st.booleans())
def test_depthwise_conforms_to_pytorch(geometry: Geometry, whole: bool) -> None:
    geometry = geometry if whole else geometry.trimmed
    assert all(DEPTHWISE in serving(geometry, task) for task in Pass)
    assert_conforms(geometry, [DEPTHWISE])


def sums_of_our_own() -> list[tuple[Algorithm, Geometry]]:
    """Algorithms with geometries that they compute without the library's products."""
    tilewise = [
        (TILEWISE, replace(of_tile(taps, tile, channels=48), batch=3))
        for taps, tiles in winograd.TILES.items()
        for tile in tiles
    ]
    depthwise, stem = square(20, 40, 40, 9, 5, 2, 2, groups=40), square(3, 3, 32, 64, 11, 4, 2)
    return [(DEPTHWISE, depthwise), (TILEWISE, square(20, 48, 32, 9, 5, 1, 2)), *tilewise, (PHASES, stem)]


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(
    ("algorithm", "geometry"), sums_of_our_own(), ids=lambda one: one.key if isinstance(one, Geometry) else one.name
)
def test_compiled_sums_are_the_same_bits_with_any_number_of_threads(algorithm: Algorithm, geometry: Geometry) -> None:
    threads, outputs = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            outputs.append([computed(algorithm, geometry, task) for task in Pass])
    finally:
        torch.set_num_threads(threads)
    for others in outputs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(outputs[0], others, strict=True))


@pytest.mark.usefixtures("_compiler")
def test_depthwise_hides_no_number_that_is_none() -> None:
    geometry = square(2, 20, 20, 8, 3, 1, 1, groups=20)
    inputs, weight, gradient = tensors(geometry)
    inputs[1, 2, 3, 3] = torch.nan
    output = DEPTHWISE.forward(inputs, weight, geometry)
    assert output[1, 2, 2:5, 2:5].isnan().all()
    assert int(output.isnan().sum()) == 9
    to_weight = DEPTHWISE.weight_gradient(gradient, inputs, geometry)
    assert to_weight[2].isnan().all()
    assert int(to_weight.isnan().sum()) == 9


@pytest.mark.parametrize(
    "geometry",
    [
        square(4, 3, 16, 32, 7, 2, 3),  # ResNet's stem
        square(4, 16, 16, 1, 3, 1, 1),  # one live tap of nine
        square(4, 16, 16, 2, 3, 2, 1),  # four of nine
        square(4, 16, 16, 2, 3, 1, 1),
        square(4, 16, 16, 4, 3, 1, 1),
        square(4, 16, 8, 8, 1, 2, 0),  # a shortcut
        square(4, 16, 8, 8, 1, 1, 0),
        square(4, 8, 4, 3, 3, 1, 0),  # the whole map in one window
        square(4, 16, 16, 14, 3, 2, 1, groups=16),  # MobileNet's strided depthwise
        square(4, 24, 24, 6, 5, 1, 2, groups=24),  # EfficientNet's
        square(4, 40, 40, 6, 7, 1, 3, groups=40),  # ConvNeXt's
    ],
    ids=lambda geometry: geometry.key,
)
def test_the_layers_of_known_networks_conform(geometry: Geometry) -> None:
    assert_conforms(geometry)


def test_each_algorithm_serves_a_geometry_it_is_made_for() -> None:
    small, strided = square(2, 4, 4, 2, 3, 1, 1), square(2, 4, 4, 8, 3, 2, 1, groups=4)
    assert [algorithm.name for algorithm in serving(small, Pass.WEIGHT_GRADIENT)] == [
        "library",
        "planar",
        "matmul",
        "dense",
    ]
    assert "spread" in [algorithm.name for algorithm in serving(strided, Pass.INPUT_GRADIENT)]
    assert "spread" not in [algorithm.name for algorithm in serving(strided, Pass.FORWARD)]
    assert len(ALGORITHMS) == 9


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "live"),
    [
        (1, 3, 1, 1, range(1, 2)),
        (2, 3, 2, 1, range(1, 3)),
        (2, 3, 1, 1, range(3)),
        (8, 3, 1, 1, range(3)),
        (1, 1, 1, 0, range(1)),
    ],
)
def test_taps_that_only_meet_padding_are_dead(size: int, kernel: int, stride: int, padding: int, live: range) -> None:
    assert Axis(size, kernel, stride, padding, 1).live == live


@given(axes())
def test_dead_taps_have_no_gradient(axis: Axis) -> None:
    geometry = Geometry(2, 2, 2, 1, axis, Axis(3, 1, 1, 0, 1), torch.float64)
    gradient = reference(geometry)[Pass.WEIGHT_GRADIENT].abs().sum((0, 1, 3))
    assert all(gradient[tap] == 0 for tap in range(axis.kernel) if tap not in axis.live)


@given(geometries())
def test_living_taps_alone_give_the_same_output(geometry: Geometry) -> None:
    inputs, weight, _ = tensors(replace(geometry, dtype=torch.float64))
    rows, columns = geometry.taps
    trimmed = geometry.trimmed
    assert trimmed.output_shape == geometry.output_shape
    torch.testing.assert_close(
        LIBRARY.forward(inputs, weight[:, :, rows, columns], replace(trimmed, dtype=torch.float64)),
        LIBRARY.forward(inputs, weight, replace(geometry, dtype=torch.float64)),
    )


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "taps", "left"),
    [
        (1, 3, 1, 1, slice(1, 2), 0),
        (2, 3, 2, 1, slice(1, 3), 0),
        (2, 5, 1, 2, slice(1, 4), 1),
        (4, 3, 1, 1, slice(0, 3), 1),
    ],
)
def test_taps_that_only_meet_padding_are_trimmed(
    size: int, kernel: int, stride: int, padding: int, taps: slice, left: int
) -> None:
    geometry = square(1, 2, 2, size, kernel, stride, padding)
    assert geometry.taps == (taps, taps)
    assert (geometry.trimmed.rows.kernel, geometry.trimmed.rows.padding) == (taps.stop - taps.start, left)


def test_the_librarys_gradients_are_made_in_the_layout_of_the_maps() -> None:
    pixels = Axis(6, 1, 1, 0, 1)
    geometry = Geometry(2, 24, 8, 1, pixels, pixels, torch.float32)
    inputs, weight, gradient = (
        torch.zeros(shape).contiguous(memory_format=torch.channels_last)
        for shape in (geometry.input_shape, geometry.weight_shape, geometry.output_shape)
    )
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        LIBRARY.input_gradient(gradient, weight, geometry)
        LIBRARY.weight_gradient(gradient, inputs, geometry)
    copied = [tuple(event.input_shapes[0]) for event in profile.events() if event.name == "aten::copy_"]
    assert not {geometry.input_shape, geometry.output_shape} & set(copied)
