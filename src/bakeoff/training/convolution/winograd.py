"""Winograd's minimal filtering: a convolution of 2x2 to 5x5 taps with 2 to 5 times fewer multiplications.

A tile of TILE x TILE outputs is a small convolution, which is computed as polynomials are multiplied: evaluate inputs
and kernel at POINTS = TILE + TAPS - 1 points, multiply value by value, interpolate (Lavin & Gray 2016, "Fast Algorithms
for Convolutional Neural Networks"). Over channels the values become POINTS x POINTS matrix products. The gradients are
the transposed computations. cuDNN does the same on a GPU.

Larger tiles need fewer multiplications, unless too much of the last ones lies outside the map: which tile is best depends on
the size of the map.

The price is rounding: in float32 two to eight times the library's, more with larger tiles, with points chosen for accuracy.
Evaluation and interpolation need a C compiler, since as PyTorch calls they would take longer than they save.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from importlib import resources

import torch

from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.kernels import native

EVALUATED_AT = {
    5: (0.0, 1.0, -3 / 5, -5 / 3),
    6: (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2),
    7: (0.0, 1.0, 2 / 5, 5 / 2, -3 / 4, -4 / 3),
}
"""The points besides infinity, by how many there are in all: of small fractions those for which the rounding of products
grows least on its way to outputs and weights, found by search. That points decide it is shown by Barabasz et al. 2020, "Error
Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks"."""

TILES = {2: (4,), 3: (3, 4, 5), 4: (3, 4), 5: (2, 3)}
"""Outputs a side of the tiles there are, by taps a side of the kernel."""

TILES_FOR_WEIGHTS = {**TILES, 4: (3,), 5: (2,)}
"""Those for the gradient of the weight, whose outermost taps would be rounded most with larger tiles of more taps."""

WORTHWHILE = 0.8
"""Share of a smaller tile's multiplications that a larger one must keep below, since it rounds more."""

SOURCES = (
    ("bakeoff.training.convolution", "winograd.c"),
    ("bakeoff.training.kernels", "products.c"),
    ("bakeoff.training.convolution", "tilewise.c"),
)
"""Where the kernels' text is, in order."""

REALS = {torch.float32: "float", torch.float64: "double"}

WORKING_SET = 2**23
"""Bytes of transformed inputs and outputs at once: pictures are taken in parts that stay in the processor's cache."""

KERNELS_EACH_TIME = 4
"""Times the bytes of the transformed kernels that a part may have: all of them are fetched anew for each part."""

LARGEST_PART = 2**27
"""Bytes that a part may have for its kernels' sake; one picture may have more."""

LEAST_SIDE = 3
"""Pixels of a map's side below which a tile is mostly empty."""


class Winograd:
    """Convolutions in one group at stride 1 with a square kernel of 2 to 5 taps a side."""

    name = "winograd"

    def serves(self, geometry: Geometry, task: Pass) -> bool:
        """Whether this pass of this geometry can be computed."""
        rows, columns = geometry.rows, geometry.columns
        return (
            geometry.groups == 1
            and rows.kernel == columns.kernel
            and rows.kernel in TILES
            and rows.stride == columns.stride == rows.dilation == columns.dilation == 1
            and min(rows.output, columns.output, rows.size, columns.size) >= LEAST_SIDE
            and geometry.batch > 0
            and geometry.dtype in REALS
            and unavailable(rows.kernel, tile_for(geometry, task), geometry.dtype) is None
        )

    def forward(self, inputs: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the output, without a bias."""
        padding = geometry.rows.padding, geometry.columns.padding
        transforms = transforms_for(geometry, Pass.FORWARD)
        kernels = _evaluated(weight, transforms, turned=False)
        return self._convolved(inputs, kernels.transpose(1, 2), padding, transforms, geometry.output_shape)

    def input_gradient(self, gradient: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the inputs from that of the output: a convolution with the kernel turned round."""
        rows, columns = (axis.kernel - 1 - axis.padding for axis in (geometry.rows, geometry.columns))
        transforms = transforms_for(geometry, Pass.INPUT_GRADIENT)
        kernels = _evaluated(weight, transforms, turned=True)
        return self._convolved(gradient, kernels, (rows, columns), transforms, geometry.input_shape)

    def weight_gradient(self, gradient: torch.Tensor, inputs: torch.Tensor, geometry: Geometry) -> torch.Tensor:
        """Return the gradient of the weight from that of the output."""
        tiling = _Tiling.of(transforms_for(geometry, Pass.WEIGHT_GRADIENT), geometry.output_shape)
        padding = geometry.rows.padding, geometry.columns.padding
        values = gradient.new_empty(tiling.transforms.points**2, geometry.outputs, geometry.channels)
        for part in tiling.parts(geometry.batch, geometry.channels, geometry.outputs, values.itemsize):
            of_gradient = tiling.cut("cut_gradients", gradient[part], (0, 0)).transpose(1, 2)
            of_inputs = tiling.cut("cut_inputs", inputs[part], padding)
            torch.baddbmm(values, of_gradient, of_inputs, beta=0 if part.start == 0 else 1, out=values)
        return interpolated(values, tiling.transforms)

    def _convolved(
        self,
        maps: torch.Tensor,
        kernels: torch.Tensor,
        padding: tuple[int, int],
        transforms: Transforms,
        shape: tuple[int, int, int, int],
    ) -> torch.Tensor:
        """Return maps of a shape that kernels, of shape (points x points, channels, outputs), make of others."""
        tiling = _Tiling.of(transforms, shape)
        pixels = maps.new_empty(shape[0], *shape[2:], shape[1])
        for part in tiling.parts(shape[0], kernels.shape[1], shape[1], kernels.itemsize):
            values = torch.bmm(tiling.cut("cut_inputs", maps[part], padding), kernels)
            tiling.join(values, pixels[part])
        return pixels.permute(0, 3, 1, 2)


@cache
def unavailable(taps: int = 3, tile: int = 4, dtype: torch.dtype = torch.float32) -> str | None:
    """Return why this machine cannot compute with such kernels and tiles, or None if it can."""
    try:
        transforms_of(taps, tile, dtype)
    except native.UnavailableError as error:
        return str(error)
    return None


class Maps(ctypes.Structure):
    """`Maps` of winograd.c."""

    _fields_ = [
        (name, ctypes.c_long) for name in ("batch", "height", "width", "channels", "down", "across", "above", "before")
    ]


@dataclass(frozen=True, slots=True)
class Transforms:
    """The transforms of one size of kernel and of tile in one dtype."""

    tile: int
    """Outputs a side of a tile."""

    taps: int
    points: int
    """A side of a tile once it is transformed."""

    library: ctypes.CDLL

    def tiles(self, shape: tuple[int, int, int, int]) -> tuple[int, int]:
        """Return how many tiles cover maps of a shape, down and across."""
        return -(-shape[2] // self.tile), -(-shape[3] // self.tile)


def transforms_for(geometry: Geometry, task: Pass) -> Transforms:
    """Return the transforms by which a pass that is served is computed."""
    return transforms_of(geometry.rows.kernel, tile_for(geometry, task), geometry.dtype)


def tile_for(geometry: Geometry, task: Pass) -> int:
    """Return outputs a side of the tile by which a pass takes few multiplications."""
    taps = geometry.rows.kernel
    written = geometry.input_shape if task is Pass.INPUT_GRADIENT else geometry.output_shape
    best, *larger = (TILES_FOR_WEIGHTS if task is Pass.WEIGHT_GRADIENT else TILES)[taps]
    for tile in larger:
        if _multiplications(tile, taps, written) < WORTHWHILE * _multiplications(best, taps, written):
            best = tile
    return best


def _multiplications(tile: int, taps: int, shape: tuple[int, int, int, int]) -> int:
    """Return how many one channel of a map of a shape takes."""
    return -(-shape[2] // tile) * -(-shape[3] // tile) * (tile + taps - 1) ** 2


@cache
def transforms_of(taps: int, tile: int, dtype: torch.dtype) -> Transforms:
    """Return the transforms of kernels of so many taps a side, for tiles of so many outputs a side.

    Raises:
        native.UnavailableError: If they cannot be compiled here.
    """
    points = tile + taps - 1
    outputs, kernel = _evaluation(points, tile), _evaluation(points, taps)
    inputs = torch.linalg.inv(_evaluation(points, points)).t()
    lines = [f"#define REAL {REALS[dtype]}", f"#define TILE {tile}", f"#define TAPS {taps}", f"#define POINTS {points}"]
    matrices = {"INPUT": inputs, "OUTPUT": outputs.t(), "GRADIENT": outputs, "KERNEL": kernel, "WEIGHT": kernel.t()}
    for name, matrix in matrices.items():
        rows = ", ".join("{" + ", ".join(map(_number, row)) + "}" for row in matrix.tolist())
        lines.append(f"static const REAL {name}[{matrix.shape[0]}][{matrix.shape[1]}] = {{{rows}}};")
    texts = [resources.files(package).joinpath(name).read_text(encoding="utf-8") for package, name in SOURCES]
    library = native.load("\n".join([*lines, *texts]))
    pointer, number = ctypes.c_void_p, ctypes.c_long
    for function in (library.cut_inputs, library.cut_gradients, library.join_outputs):
        function.argtypes, function.restype = [pointer, pointer, Maps], None
    for function, numbers in (
        (library.evaluate_kernels, 3), (library.interpolate_weight, 2), (library.pack_kernels, 4), (library.unpack_kernels, 2)
    ):  # fmt: skip
        function.argtypes, function.restype = [pointer, pointer, *[number] * numbers], None
    for function, numbers in ((library.convolve, 2), (library.gather, 3)):
        function.argtypes, function.restype = [*[pointer] * 4, *[number] * numbers, Maps, Maps], None
    return Transforms(tile, taps, points, library)


def _number(value: float) -> str:
    return repr(value if abs(value) > 1e-12 else 0.0)  # an inverse's zeros, rounded


def _evaluation(points: int, coefficients: int) -> torch.Tensor:
    """Return the matrix that evaluates polynomials at all points, the last being infinity."""
    powers = torch.arange(coefficients, dtype=torch.float64)
    finite = torch.tensor(EVALUATED_AT[points], dtype=torch.float64)[:, None] ** powers
    infinite = torch.zeros(1, coefficients, dtype=torch.float64)
    infinite[0, -1] = 1
    return torch.cat([finite, infinite])


@dataclass(frozen=True, slots=True)
class _Tiling:
    """How output maps are divided into tiles."""

    transforms: Transforms
    down: int
    across: int

    @classmethod
    def of(cls, transforms: Transforms, shape: tuple[int, int, int, int]) -> _Tiling:
        return cls(transforms, *transforms.tiles(shape))

    def parts(self, batch: int, channels: int, outputs: int, size: int) -> list[slice]:
        """Return slices of the batch whose transformed maps stay in the cache, or are much larger than the kernels.

        Args:
            batch: Pictures.
            channels: Of what is read.
            outputs: Channels of what is written.
            size: Bytes of a number.
        """
        point = self.transforms.points**2 * size
        picture = point * self.down * self.across * (channels + outputs)
        room = max(WORKING_SET, min(LARGEST_PART, KERNELS_EACH_TIME * point * channels * outputs))
        step = max(1, room // picture)
        return [slice(start, min(start + step, batch)) for start in range(0, batch, step)]

    def cut(self, function: str, maps: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
        """Return the transformed tiles of maps, shape (points x points, tiles, channels)."""
        pixels = maps.permute(0, 2, 3, 1).contiguous()
        batch, _, _, channels = pixels.shape
        planes = pixels.new_empty(self.transforms.points**2, batch * self.down * self.across, channels)
        shape = Maps(*pixels.shape, self.down, self.across, *padding)
        getattr(self.transforms.library, function)(pixels.data_ptr(), planes.data_ptr(), shape)
        return planes

    def join(self, planes: torch.Tensor, pixels: torch.Tensor) -> None:
        """Write what transformed tiles stand for into maps of shape (batch, height, width, channels)."""
        shape = Maps(*pixels.shape, self.down, self.across, 0, 0)
        self.transforms.library.join_outputs(planes.data_ptr(), pixels.data_ptr(), shape)


def _evaluated(weight: torch.Tensor, transforms: Transforms, *, turned: bool) -> torch.Tensor:
    """Return kernels, perhaps turned round, at all points: shape (points x points, outputs, channels).

    Args:
        weight: Shape (outputs, channels, taps, taps).
        transforms: Of the kernels.
        turned: Whether they are turned by 180 degrees before.
    """
    outputs, channels, _, _ = weight.shape
    taps = weight.permute(0, 2, 3, 1).contiguous()
    values = taps.new_empty(transforms.points**2, outputs, channels)
    transforms.library.evaluate_kernels(taps.data_ptr(), values.data_ptr(), outputs, channels, turned)
    return values


def interpolated(values: torch.Tensor, transforms: Transforms) -> torch.Tensor:
    """Return the gradient of a weight, shape (outputs, channels, taps, taps), from that of its kernels at all points.

    Args:
        values: Shape (points x points, outputs, channels), contiguous.
        transforms: Of the kernels.
    """
    _, outputs, channels = values.shape
    shape = outputs, channels, transforms.taps, transforms.taps
    weight = torch.empty(shape, dtype=values.dtype, memory_format=torch.channels_last)
    transforms.library.interpolate_weight(values.data_ptr(), weight.data_ptr(), outputs, channels)
    return weight


WINOGRAD = Winograd()
