"""Algorithms are chosen by what was measured, and what was measured is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bakeoff import models
from bakeoff.training.convolution import Layer, Pass, choice, choose, layers_of, tune
from bakeoff.training.convolution.algorithm import Algorithm
from bakeoff.training.kernels import native


def layers(batch: int = 2) -> list[Layer]:
    network = models.build("resnet18", classes=4, stem="original", size=32).module
    return layers_of(network, batch=batch, size=32, dtype=torch.float32)


def test_the_layers_of_resnet18_are_found_with_their_shapes() -> None:
    found = {layer.name: layer for layer in layers(64)}
    assert len(found) == 20  # 17 on the way, 3 shortcuts
    assert str(found["conv1"].geometry) == "3>64 7x7/2 at 32"
    assert found["layer4.1.conv2"].geometry.key == "64x512x1x1>512 3x3 s1x1 p1x1 d1x1 g1 float32"
    assert found["layer2.0.downsample.0"].geometry.macs == 64 * 64 * 128 * 4 * 4
    assert found["conv1"].passes() == [Pass.FORWARD, Pass.WEIGHT_GRADIENT]  # nobody asks for the pictures' gradient
    assert found["layer1.0.conv1"].passes() == list(Pass)


class AtTwoSizes(nn.Module):
    """One layer on the mean of a map and on the map."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, (3, 5), padding=(1, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.mean((2, 3), keepdim=True)).sum((2, 3)) + self.layer(images).mean((2, 3))


def test_taps_move_that_meet_a_pixel_in_any_call_of_their_layer() -> None:
    (wide,) = layers_of(AtTwoSizes(), batch=2, size=8, dtype=torch.float32)
    assert wide.geometry.rows.size == 1
    assert wide.taps == (slice(0, 3), slice(0, 5))
    (narrow,) = layers_of(AtTwoSizes(), batch=2, size=2, dtype=torch.float32)
    assert narrow.taps == (slice(0, 3), slice(1, 4))


def test_every_algorithm_that_serves_is_timed_in_every_pass() -> None:
    timings = tune(layers()[-3:], None)
    for passes in timings.values():
        assert set(passes) == set(Pass)
        for milliseconds in passes.values():
            assert {"library", "planar", "matmul"} <= set(milliseconds)
            assert all(0 < value < 10_000 for value in milliseconds.values())


def test_the_fastest_is_chosen_and_the_library_where_nothing_is_clearly_faster() -> None:
    chosen = choose(
        {
            "one": {
                Pass.FORWARD: {"library": 1.0, "matmul": 0.97},
                Pass.INPUT_GRADIENT: {"library": 3.0, "matmul": 2.0, "dense": 1.0},
                Pass.WEIGHT_GRADIENT: {"library": 1.0, "matmul": 0.5},
            },
            "first": {Pass.FORWARD: {"library": 2.0, "planar": 1.0}, Pass.WEIGHT_GRADIENT: {"library": 1.0}},
            "none": {task: {"library": 1.0, "matmul": 1.5} for task in Pass},
        }
    )
    assert chosen == {
        "one": ["library", "dense", "matmul"],
        "first": ["planar", "library", "library"],
        "none": ["library"] * 3,
    }


class Runner:
    """An algorithm whose turns take so long, by a clock that nothing else moves; the last one again and again."""

    def __init__(self, name: str, clock: list[float], milliseconds: list[float]) -> None:
        self.name, self.clock, self.left = name, clock, milliseconds
        self.turns = -1  # the first builds

    def forward(self, *_: object) -> None:
        self.turns += 1
        self.clock[0] += (self.left.pop(0) if len(self.left) > 1 else self.left[0]) / 1e3


def race(monkeypatch: pytest.MonkeyPatch, **milliseconds: list[float]) -> tuple[dict[str, float], dict[str, int]]:
    """Time runners; return what was measured, and how many turns each had."""
    clock = [0.0]
    runners: list[Any] = [Runner(name, clock, list(taken)) for name, taken in milliseconds.items()]
    monkeypatch.setattr(choice.time, "perf_counter", lambda: clock[0])
    found = choice.measure(layers()[-1].geometry, Pass.FORWARD, runners)
    return found, {runner.name: runner.turns for runner in runners}


def test_a_turn_that_was_held_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = race(monkeypatch, library=[9, 3.0], matmul=[9, 2.0, 23.0, 2.1, 40.0, 2.05])
    assert found == pytest.approx({"library": 3.0, "matmul": 2.0})


def test_slow_layers_whose_turns_agree_are_timed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    found, turns = race(monkeypatch, library=[90, 60, 62], planar=[90, 75])
    assert found == pytest.approx({"library": 60, "planar": 75})
    assert turns == {"library": 2, "planar": 2}


def test_turns_that_disagree_are_repeated_until_one_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    found, turns = race(monkeypatch, library=[90, 150, 62, 60], planar=[90, 75])
    assert found == pytest.approx({"library": 60, "planar": 75})
    assert turns == {"library": 3, "planar": 3}


def test_a_machine_that_never_comes_to_rest_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found, turns = race(monkeypatch, library=[900, *(400 * 0.8**turn for turn in range(30))])
    assert turns["library"] == 4  # 400, 320, 256 and 205 ms: over a second
    assert found["library"] == pytest.approx(400 * 0.8**3)


def test_who_is_hopeless_has_no_second_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    _, turns = race(monkeypatch, library=[9, 1.0], dense=[9, 2.6])
    assert turns == {"library": 15, "dense": 1}


def test_who_was_held_up_once_is_not_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = race(monkeypatch, library=[3, 2.0], matmul=[3, 23.0, 1.8])
    assert found["matmul"] == pytest.approx(1.8)


def test_a_cache_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")  # a file in its place is written to by nobody, root included
    some = layers()[-1:]
    assert tune(some, tmp_path / "cache").keys() == {some[0].name}


def test_what_was_measured_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = layers()[-3:]
    first = tune(some, tmp_path)
    monkeypatch.setattr(choice, "measure", lambda *_: pytest.fail("measured again"))
    assert tune(some, tmp_path) == first


def test_what_was_measured_is_measured_again_and_replaced_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, asked = some = layers()[-3:]
    others = [one for one in others if one.geometry != asked.geometry]
    first = tune(some, tmp_path)
    measured: list[Pass] = []

    def measure(_: object, task: Pass, algorithms: list[Algorithm]) -> dict[str, float]:
        measured.append(task)
        return dict.fromkeys((one.name for one in algorithms), 1e-3)

    monkeypatch.setattr(choice, "measure", measure)
    again = tune([asked], tmp_path, anew=True)
    assert measured == list(Pass)
    assert again != {asked.name: first[asked.name]}
    assert tune([asked], tmp_path) == again
    assert tune(others, tmp_path) == {one.name: first[one.name] for one in others}


def test_what_was_measured_when_algorithms_were_fewer_is_measured_anew(tmp_path: Path) -> None:
    (one,) = some = layers()[-1:]
    tune(some, tmp_path)
    (file,) = tmp_path.iterdir()
    known = json.loads(file.read_text())
    for timing in known.values():
        del timing["matmul"]
    file.write_text(json.dumps(known))
    assert all("matmul" in timing for timing in tune(some, tmp_path)[one.name].values())
    assert all("matmul" in timing for timing in json.loads(file.read_text()).values())


def test_another_batch_or_thread_count_is_measured_anew(tmp_path: Path) -> None:
    tune(layers(2)[-1:], tmp_path)
    (file,) = tmp_path.iterdir()
    before = len(file.read_text())
    tune(layers(3)[-1:], tmp_path)
    assert len(file.read_text()) > before
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        tune(layers(2)[-1:], tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert len(list(tmp_path.iterdir())) == 2


def test_another_processor_of_the_same_name_or_another_compiler_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [choice.machine(1)]
    (tmp_path / "cc").touch(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    names.append(choice.machine(1))
    monkeypatch.setattr(native, "instructions", lambda: "another one's")
    names.append(choice.machine(1))
    assert len(set(names)) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": {"b": "c"}}', "\xff"])
def test_a_damaged_file_is_measured_anew(content: str, tmp_path: Path) -> None:
    some = layers()[-1:]
    tune(some, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(content, encoding="latin-1")
    assert set(tune(some, tmp_path)) == {some[0].name}
    assert tune(some, tmp_path) == tune(some, tmp_path)


@pytest.mark.parametrize("impossible", ["NaN", "Infinity", "0", "-1.0"])
def test_times_that_cannot_be_are_measured_anew(impossible: str, tmp_path: Path) -> None:
    some = layers()[-1:]
    tune(some, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(re.sub(r'("library": )[^,\n]+', rf"\g<1>{impossible}", file.read_text()))
    timings = tune(some, tmp_path)[some[0].name]
    assert all(0 < milliseconds < 1e6 for timing in timings.values() for milliseconds in timing.values())
