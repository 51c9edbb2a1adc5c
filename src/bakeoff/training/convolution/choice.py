"""Measuring the algorithms on the layers of a network, and choosing among them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from bakeoff.errors import StudyError
from bakeoff.files import write_atomically
from bakeoff.models.trial import trace
from bakeoff.spec import content_id
from bakeoff.training.convolution.algorithm import LIBRARY, Algorithm, serving
from bakeoff.training.convolution.geometry import Geometry, Pass, Taps
from bakeoff.training.convolution.layer import choosable_layers
from bakeoff.training.kernels import native

ROUNDS = 15
"""Turns that each algorithm has at most once it is built, by turns with the others."""

LEAST_ROUNDS = 2
SECONDS = 0.1
"""Seconds for which one pass of one geometry is measured, unless `LEAST_ROUNDS` takes longer."""

LONGEST_SECONDS = 1.0
"""Seconds for which it is measured where turns disagree, as on a machine that is busy with something else."""

CONFIRMED = 1.1
"""A fastest turn counts as confirmed by another that took at most so many times as long."""

HOPELESS = 2.5
"""An algorithm that took so many times as long as the fastest, when it was built and in the turn after, has no more."""

CLEARLY = 0.95
"""Share of the library's time that another must keep below: within the noise, PyTorch's own way stays."""

VERSION = 7
"""Version of the algorithms and of how they are timed: raised so that what was measured before is measured again."""

Timings = dict[Pass, dict[str, float]]
"""Milliseconds by pass and algorithm: the fastest of its turns, since what else goes on only ever makes one slower."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of a network at work."""

    name: str
    geometry: Geometry
    """The geometry of the network's first call; what is measured is its `trimmed` work."""

    taps: Taps
    """Rows and columns of the kernel that meet a pixel in any call."""

    first: bool
    """Whether its input is the pictures themselves, so that nobody asks for their gradient."""

    def passes(self) -> list[Pass]:
        """Return what a training step asks of it."""
        return [task for task in Pass if not (self.first and task is Pass.INPUT_GRADIENT)]


def layers_of(network: nn.Module, *, batch: int, size: int, dtype: torch.dtype) -> list[Layer]:
    """Return the convolutions of a network that algorithms can be chosen for, in order of execution.

    A layer that is called several times in one pass is measured at its first call.

    Args:
        network: On any device; it is not changed.
        batch: Pictures at once.
        size: Side of the input in pixels.
        dtype: Of the arithmetic.
    """
    found: dict[str, Layer] = {}
    layers = choosable_layers(network)

    def note(name: str, layer: nn.Module, inputs: torch.Size, output: torch.Size) -> None:
        if name not in layers:
            return
        geometry = Geometry.of(layers[name], torch.Size((batch, *inputs[1:])), dtype)
        if name in found:
            found[name] = replace(found[name], taps=_both(found[name].taps, geometry.taps))
        else:
            found[name] = Layer(name, geometry, geometry.taps, first=not found and inputs[1] == 3)

    trace(network, size, note)
    return list(found.values())


def _both(one: Taps, other: Taps) -> Taps:
    """Return the fewest rows and columns that hold those of both."""
    rows, columns = (
        slice(min(mine.start, yours.start), max(mine.stop, yours.stop)) for mine, yours in zip(one, other, strict=True)
    )
    return rows, columns


def tune(
    layers: list[Layer],
    folder: Path | str | None,
    on_layer: Callable[[int, int], None] = lambda done, total: None,
    *,
    anew: bool = False,
) -> dict[str, Timings]:
    """Measure every algorithm on every layer, in this process and with its threads.

    Args:
        layers: As `layers_of` gives them.
        folder: Where what was measured on this machine is kept and found again, or None to measure anew.
        on_layer: Told how many layers are done, of how many.
        anew: Whether what was measured before is measured again, and replaced.

    Returns:
        The timings by name of the layer.
    """
    known = _Measured(folder, torch.get_num_threads())
    if anew:
        known.forget(layers)
    for done, layer in enumerate(layers):
        on_layer(done, len(layers))
        known.measure(layer)
    known.save()
    on_layer(len(layers), len(layers))
    return known.timings(layers)


def recall(layers: list[Layer], folder: Path, threads: int) -> dict[str, Timings] | None:
    """Return what `tune` would return in a process with so many threads if it had nothing to measure, else None."""
    known = _Measured(folder, threads)
    return known.timings(layers) if all(known.knows(layer) for layer in layers) else None


def choose(timings: Mapping[str, Timings]) -> dict[str, list[str]]:
    """Return the algorithms of each layer: the fastest, and the library where none is clearly faster.

    Returns:
        By name of the layer, the algorithms for the forward pass, the input's and the weight's gradient.
    """
    return {name: [_fastest(passes.get(task)) for task in Pass] for name, passes in timings.items()}


def _fastest(milliseconds: Mapping[str, float] | None) -> str:
    if milliseconds is None:
        return LIBRARY.name
    name = min(milliseconds, key=lambda name: milliseconds[name])
    return name if milliseconds[name] < CLEARLY * milliseconds[LIBRARY.name] else LIBRARY.name


class _Measured:
    """What has been measured on this machine with these versions and threads, kept in a file."""

    def __init__(self, folder: Path | str | None, threads: int) -> None:
        self._path = None if folder is None else Path(folder) / f"{machine(threads)}.json"
        self._known = _read(self._path)
        self._forgotten: set[str] = set()
        self._new = False

    def knows(self, layer: Layer) -> bool:
        """Whether all passes of a layer have been measured."""
        return all(self._has(layer.geometry.trimmed, task) for task in layer.passes())

    def _has(self, geometry: Geometry, task: Pass) -> bool:
        names = {algorithm.name for algorithm in serving(geometry, task)}
        return set(self._known.get(_key(geometry, task), {})) == names

    def forget(self, layers: list[Layer]) -> None:
        """Let layers be measured again."""
        self._forgotten = {_key(layer.geometry.trimmed, task) for layer in layers for task in layer.passes()}
        for key in self._forgotten:
            self._known.pop(key, None)

    def measure(self, layer: Layer) -> None:
        """Time the algorithms of a layer's passes, unless that is known."""
        work = layer.geometry.trimmed
        for task in layer.passes():
            if not self._has(work, task):
                self._known[_key(work, task)] = measure(work, task, serving(work, task))
                self._new = True

    def timings(self, layers: list[Layer]) -> dict[str, Timings]:
        """Return what is known of layers."""
        return {
            layer.name: {task: self._known[_key(layer.geometry.trimmed, task)] for task in layer.passes()}
            for layer in layers
        }

    def save(self) -> None:
        if self._path is not None and self._new:
            # What another process has measured meanwhile is kept: the first measurement of a pass is the one that stays, unless
            # another was asked for, or that was made when algorithms were fewer.
            for key, timing in _read(self._path).items():
                of_all = timing.keys() == self._known.get(key, timing).keys()
                if of_all and key not in self._forgotten:
                    self._known[key] = timing
            try:
                write_atomically(self._path, json.dumps(self._known, indent=1).encode())
            except StudyError:
                return  # a cache that others share may be read-only: then it is measured again the next time


def _key(geometry: Geometry, task: Pass) -> str:
    return f"{geometry.key} {task}"


def _read(path: Path | None) -> dict[str, dict[str, float]]:
    """Return what was measured before; nothing where the file is missing or damaged, since it can be measured again."""
    try:
        content = {} if path is None else json.loads(path.read_bytes())
        known = {
            str(key): {str(name): float(value) for name, value in timing.items()} for key, timing in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {key: timing for key, timing in known.items() if all(0 < value < math.inf for value in timing.values())}


def machine(threads: int) -> str:
    """Return a name for all that decides which algorithm is fastest: processor, compiler, versions, threads."""
    try:
        compiler = native.made_with()
    except native.UnavailableError:
        compiler = []
    words = [
        native.processor(),
        content_id([*native.arithmetic(), *compiler]),  # processors of one name may differ in their instructions
        torch.backends.cpu.get_cpu_capability(),
        f"torch {torch.__version__}",
        f"{threads} threads",
        f"v{VERSION}",
    ]
    return "".join(letter if letter.isalnum() or letter in ".+" else "-" for letter in "_".join(words))


def measure(geometry: Geometry, task: Pass, algorithms: list[Algorithm]) -> dict[str, float]:
    """Time algorithms on one pass, by turns, on random numbers.

    Returns:
        Milliseconds by name, the fastest of each one's turns.
    """
    inputs, weight, gradient = _tensors(geometry)

    def once(algorithm: Algorithm) -> float:
        started = time.perf_counter()
        if task is Pass.FORWARD:
            algorithm.forward(inputs, weight, geometry)
        elif task is Pass.INPUT_GRADIENT:
            algorithm.input_gradient(gradient, weight, geometry)
        else:
            algorithm.weight_gradient(gradient, inputs, geometry)
        return 1e3 * (time.perf_counter() - started)

    with torch.no_grad():
        # The first turn builds what is built once: primitives, tables.
        taken = {algorithm.name: [once(algorithm)] for algorithm in algorithms}
        began = time.perf_counter()
        for turn in range(ROUNDS):
            racing = [algorithm for algorithm in algorithms if not _hopeless(taken, algorithm.name)]
            for algorithm in racing:
                taken[algorithm.name].append(once(algorithm))
            seconds = time.perf_counter() - began
            confirmed = all(_confirmed(taken[algorithm.name]) for algorithm in racing)
            if turn + 1 >= LEAST_ROUNDS and seconds > (SECONDS if confirmed else LONGEST_SECONDS):
                break
    return {name: min(milliseconds) for name, milliseconds in taken.items()}


def _hopeless(taken: Mapping[str, list[float]], name: str) -> bool:
    """Whether an algorithm was so much slower than the fastest that it has no more turns."""
    best = min(min(one) for one in taken.values())
    return len(taken[name]) > 1 and min(taken[name]) > HOPELESS * best


def _confirmed(milliseconds: list[float]) -> bool:
    """Whether the fastest of an algorithm's turns was no fluke, and no stall hides what it can do."""
    fastest, second, *_ = sorted(milliseconds)
    return second <= CONFIRMED * fastest


def _tensors(geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    shapes = (geometry.input_shape, geometry.weight_shape, geometry.output_shape)
    inputs, weight, gradient = (
        torch.randn(shape, generator=draws).to(geometry.dtype).contiguous(memory_format=torch.channels_last)
        for shape in shapes
    )
    return inputs, weight, gradient
