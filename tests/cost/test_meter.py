"""A measuring process times what it says, in the right mode, whatever the clock shows; the clock here is a stub."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bakeoff import cost
from bakeoff.cost.effort import Span
from bakeoff.cost.messages import Work, command, span, work_from_line, work_to_line
from bakeoff.cost.meter import Meter, _served
from bakeoff.data import prepare
from bakeoff.training.memory import MemoryShortError
from tests.cost.works import a_work


class Device:
    """A clock, and a device that works on after its calls have returned, until it is waited for."""

    def __init__(self) -> None:
        self.now, self.owed = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now, self.owed = self.now + self.owed, 0.0


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def meter() -> Meter:
    meter = Meter(a_work(batch_size=8))
    meter.prepare(1)
    return meter


@pytest.fixture
def device(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(meter, "clock", device)
    monkeypatch.setattr(meter, "_wait", device.wait)
    return device


class Lazy(nn.Module):
    """A network that owes the device 3 ms a call, and 1 ms a picture."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device
        self.modes: set[tuple[bool, bool, bool]] = set()
        self.calls = 0

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.modes.add((self.training, torch.is_grad_enabled(), gc.isenabled()))
        self.device.owed += 0.003 + 0.001 * len(pictures)
        self.calls += 1
        return pictures


def test_a_device_that_works_on_after_a_call_is_waited_for(
    meter: Meter, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Lazy(device).train()
    monkeypatch.setattr(meter, "network", network)
    turn = meter.latency(Span(10, 0.02, 9.0), Span(40, 0.1, 9.0))
    assert turn.seconds == pytest.approx([0.004] * 40)
    assert turn.retimed == pytest.approx(0.004)
    assert turn.warm_up_calls == 10
    assert network.calls == 10 + 40 + 10
    assert network.modes == {(False, False, False)}, "evaluation, without gradients and garbage collection"
    assert (turn.training, turn.gradients) == (False, False)
    assert gc.isenabled()


def test_seconds_decide_where_calls_are_fast_and_the_most_seconds_where_they_are_slow(
    meter: Meter, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "network", Lazy(device))
    assert len(meter.latency(Span(1, 0.0, 1.0), Span(3, 0.1, 9.0)).seconds) == 25
    assert len(meter.latency(Span(1, 0.0, 1.0), Span(1000, 5.0, 0.1)).seconds) == 25


def test_a_batch_is_timed_after_one_call_that_does_not_count(
    meter: Meter, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Lazy(device)
    monkeypatch.setattr(meter, "network", network)
    turn = meter.forward(7, Span(4, 0.0, 1.0))
    assert turn.seconds == pytest.approx([0.010] * 4)
    assert turn.room
    assert network.calls == 5


def test_a_batch_that_does_not_fit_ends_the_search_and_other_errors_are_not_hidden(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(error: Exception) -> Any:
        def forward(_: torch.Tensor) -> None:
            raise error

        return type("Failing", (nn.Module,), {"forward": staticmethod(forward)})()

    monkeypatch.setattr(meter, "network", fails(torch.OutOfMemoryError("out of memory")))
    assert not meter.forward(2, Span(1, 0.0, 1.0)).seconds
    monkeypatch.setattr(meter, "network", fails(RuntimeError("sizes differ")))
    with pytest.raises(RuntimeError, match="sizes differ"):
        meter.forward(2, Span(1, 0.0, 1.0))


def test_no_batch_is_tried_that_would_take_more_than_half_of_the_free_memory(
    meter: Meter, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "network", Lazy(device))
    resident = iter([100, 100 + 30, 200, 200 + 20])
    monkeypatch.setattr("bakeoff.cost.meter.resident_memory", lambda: next(resident))
    monkeypatch.setattr("bakeoff.cost.meter.available_memory", lambda: 100)
    assert not meter.forward(1, Span(1, 0.0, 1.0)).room
    assert meter.forward(1, Span(1, 0.0, 1.0)).room


def test_training_steps_are_the_engines_and_what_data_takes_is_told_apart(
    meter: Meter, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(inputs: torch.Tensor, labels: torch.Tensor, number: int) -> None:
        assert inputs.shape == (8, 3, 8, 8)
        device.owed += 0.020

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            device.now += 0.005
            yield meter.inputs, meter.labels

    monkeypatch.setattr(meter.trainer, "step", step)
    monkeypatch.setattr(meter, "batches", batches())
    turn = meter.train(Span(5, 0.0, 9.0))
    assert turn.seconds == [pytest.approx([0.020] * 5)]
    assert turn.waits == [], "noise takes no time that a study would see"
    monkeypatch.setattr(meter, "work", replace(meter.work, dataset=prepare("digits").folder))
    assert meter.train(Span(3, 0.0, 9.0)).waits == pytest.approx([0.005] * 3)


def test_what_needs_no_clock_is_counted_of_the_candidates_own_network() -> None:
    work = a_work(batch_size=8)
    meter = Meter(work)
    told = meter.prepare(2)
    network = meter.trainer.network
    assert (told.parameters, told.macs) == (cost.parameters(network), cost.macs(network, 8))
    assert told.train_macs_per_image == 3 * told.macs
    assert told.batch == told.micro_batch == 8
    assert told.shares == [1.0]
    assert told.activation_memory > 8 * 3 * 64 * 4
    for peak in (told.peak_memory_train, told.peak_memory_inference):
        assert peak is None or peak >= 0
    assert told.reserved_memory_train is None
    assert meter.peak() > 1e8


def test_on_a_studys_pictures_whole_batches_come_epoch_after_epoch() -> None:
    digits = prepare("digits")
    # 40 pictures take part, 32 of them in training: two batches of 14 an epoch, and a short one
    work = a_work(digits, study={"data": {"limit": 40, "validation": 10}}, batch_size=14)
    meter = Meter(work)
    told = meter.prepare(1)
    assert told.batch == 14
    seen = [next(meter.batches)[0] for _ in range(5)]
    assert {tuple(inputs.shape) for inputs in seen} == {(14, 3, 8, 8)}
    assert not torch.equal(seen[0], seen[2]), "another epoch has another order"
    turn = meter.train(Span(3, 0.0, 60.0))
    assert len(turn.seconds[0]) == len(turn.waits) == 3


def test_early_sizes_are_each_timed_and_keep_their_shares() -> None:
    work = a_work(batch_size=8, epochs=10, early_sizes=[[4, 0.5], [6, 0.25]])
    meter = Meter(work)
    told = meter.prepare(1)
    assert told.shares == pytest.approx([0.5, 0.25, 0.25])
    sides: list[int] = []
    meter.trainer.network.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    turn = meter.train(Span(2, 0.0, 60.0))
    assert sides == [4, 6, 8, 4, 6, 8]
    assert [len(seconds) for seconds in turn.seconds] == [2, 2, 2]
    assert told.train_macs_per_image < 3 * told.macs


def test_a_step_that_does_not_fit_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from bakeoff.training.trainer import Trainer

    real = Trainer.step

    def step(self: Trainer, inputs: torch.Tensor, labels: torch.Tensor, number: int) -> torch.Tensor:
        if self.micro_batch > 2:
            raise MemoryShortError
        return real(self, inputs, labels, number)

    monkeypatch.setattr(Trainer, "step", step)
    told = Meter(a_work(batch_size=8)).prepare(1)
    assert (told.batch, told.micro_batch) == (8, 2)


def test_work_and_commands_survive_their_way_to_the_process() -> None:
    work: Work = a_work(batch_size=8)
    assert work_from_line(work_to_line(work)) == work
    assert span([3, 0.5, 2.0]) == Span(3, 0.5, 2.0)
    assert command("train", calls=Span(3, 0.5, 2.0)) == '{"do": "train", "calls": [3, 0.5, 2.0]}'


def test_an_unknown_command_is_refused(meter: Meter) -> None:
    with pytest.raises(ValueError, match="'dance'"):
        _served(meter, {"do": "dance"})
