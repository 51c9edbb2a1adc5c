"""Candidates are measured by turns in processes of their own, and one that fails takes no other with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.cost import turns
from bakeoff.cost.effort import QUICK, Span
from bakeoff.cost.turns import Unmeasured, measure
from bakeoff.cost_records import Cost
from tests.cost.works import a_work

TINY = replace(
    QUICK,
    rounds=2,
    warm_up=Span(10, 0.0, 1.0),
    latency=Span(36, 0.0, 1.0),
    train=Span(2, 0.0, 1.0),
    batch=Span(2, 0.0, 0.2),
    largest_batch=4,
)


@pytest.fixture(scope="module")
def measured() -> tuple[list[Cost | Unmeasured], list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []
    fine = a_work(batch_size=8)
    lost = a_work(batch_size=8, folder=Path("nowhere"))
    found = measure([fine, lost], TINY, lambda *told: progress.append(told))
    return found, progress


def test_a_tiny_network_is_measured_from_end_to_end(measured: tuple[list[Cost | Unmeasured], object]) -> None:
    cost, _ = measured[0]
    assert isinstance(cost, Cost)
    assert cost.latency_calls == 72
    assert 0 < cost.latency_p50 <= cost.latency_p95 < 1
    low, high = cost.latency_p50_interval
    assert low is not None
    assert high is not None
    assert low <= cost.latency_p50 <= high
    assert [batch for batch, _ in cost.throughput_curve][:2] == [1, 2]
    assert cost.throughput_batch in dict(cost.throughput_curve)
    assert cost.throughput > 0
    assert cost.train_throughput > 0
    assert cost.train_steps == 4
    assert (cost.train_throughput_data, cost.loader_share) == (None, None)
    assert cost.timing.warm_up_calls >= 3
    assert not cost.timing.training
    assert not cost.timing.gradients
    where = cost.conditions
    assert (where.device, where.threads, where.batch_size, where.input_size, where.beside) == ("cpu", 1, 8, 8, 1)
    assert where.versions["torch"]
    if cost.peak_memory_train is not None:
        # the weights, their gradients and Adam's two moments, and no other network's: torch alone takes 200 MB
        assert 4 * 4 * cost.parameters < cost.peak_memory_train < 100e6
        assert cost.peak_memory_inference is not None
        assert cost.peak_memory_inference < cost.peak_memory_train
    assert (cost.energy_per_image is None) == (cost.energy.reason is not None)


def test_a_cost_survives_its_way_through_json(measured: tuple[list[Cost | Unmeasured], object]) -> None:
    cost, _ = measured[0]
    assert isinstance(cost, Cost)
    assert Cost.from_json(cost.to_json()) == cost


def test_a_candidate_that_fails_is_told_with_its_last_words(
    measured: tuple[list[Cost | Unmeasured], object],
) -> None:
    _, lost = measured[0]
    assert isinstance(lost, Unmeasured)
    assert "nowhere" in lost.reason


def test_progress_ends_at_its_whole(measured: tuple[object, list[tuple[int, int]]]) -> None:
    progress = measured[1]
    assert progress[0] == (0, 8)
    assert progress[-1] == (8, 8)
    assert [done for done, _ in progress] == list(range(9))


def test_no_more_processes_are_alive_at_once_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, expected in ((None, 8), (100 * 2**30, 8), (7 * 2**30, 2), (2**30, 1)):
        monkeypatch.setattr(turns, "available_memory", lambda free=free: free)
        assert turns._together() == expected
    groups: list[int] = []
    monkeypatch.setattr(turns, "available_memory", lambda: 7 * 2**30)
    monkeypatch.setattr(turns._Turns, "run", lambda self: groups.append(len(self._works)) or [])
    measure([a_work()] * 5, TINY)
    assert groups == [2, 2, 1]
