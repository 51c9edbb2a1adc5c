"""Noise is told with its numbers, and no contradiction between multiply-accumulates and latency is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.analysis.costs import contradictions, noise_of, remarks, unlike
from bakeoff.cost.samples import quantile, spread
from tests.costs import a_cost


def test_a_steady_measurement_has_nothing_to_tell() -> None:
    assert noise_of(a_cost()) == []
    assert remarks({"one": a_cost(), "other": a_cost(macs=80_000_000, latency_p50=0.006)}) == []
    assert remarks({}) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latency_calls": 58}, "58 calls are too few"),
        ({"latency_spread": 0.23}, "latency spread by 23 %"),
        ({"latency_drift": -0.11}, "latency drifted by -11 %"),
        ({"train_spread": 0.21}, "training steps spread by 21 %"),
        ({"train_drift": 0.12}, "training steps drifted by +12 %"),
        ({"latency_p95": 0.0064}, "one latency in twenty took 1.6 times the median"),
        ({"busy": 0.6}, "others took 60 % of the processors"),
        ({"busy": None, "load_average": 1.5}, "the load average was 1.5 on 2 cores"),
    ],
)
def test_each_kind_of_noise_is_told_with_its_number(changes: dict[str, float], said: str) -> None:
    (reason,) = noise_of(a_cost(**changes))
    assert said in reason
    assert f"Timings are noisy: net ({reason})" in remarks({"net": a_cost(**changes)})[0]


def test_a_few_steps_have_no_spread_to_tell_of() -> None:
    assert noise_of(a_cost(train_steps=11, train_spread=0.5, train_drift=0.5)) == []
    assert len(noise_of(a_cost(train_steps=12, train_spread=0.5, train_drift=0.5))) == 2


def test_values_at_the_threshold_are_not_noise() -> None:
    steady = a_cost(
        latency_calls=59,
        latency_p95=0.006,
        latency_spread=0.20,
        latency_drift=-0.10,
        train_spread=0.20,
        train_drift=0.10,
        busy=0.5,
    )
    assert noise_of(steady) == []
    assert noise_of(a_cost(busy=None, load_average=1.0)) == []
    assert noise_of(a_cost(busy=None, load_average=None)) == []


def test_a_load_that_the_study_itself_left_behind_is_no_noise_where_others_were_seen_to_rest() -> None:
    assert noise_of(a_cost(load_average=2.0, busy=0.01)) == []


def test_candidates_that_share_a_measurement_are_told_of_together() -> None:
    shared = a_cost(latency_spread=0.4)
    costs = {"one": shared, "other": shared} | {str(place): a_cost(latency_drift=place) for place in range(1, 4)}
    (said,) = remarks(costs)
    assert "noisy: one, other (latency spread by 40 %); 1 (latency drifted by +100 %); 2 (" in said
    assert "and 1 more." in said


def test_a_pause_in_every_tenth_call_is_seen_though_the_quartiles_do_not_see_it() -> None:
    calls = [0.004 + 0.005 * (place % 10 == 9) for place in range(200)]
    disturbed = a_cost(
        latency_p50=quantile(calls, 0.5), latency_p95=quantile(calls, 0.95), latency_spread=spread(calls)
    )
    assert disturbed.noise.latency_spread == 0.0
    assert noise_of(disturbed) == ["one latency in twenty took 2.2 times the median"]


def test_a_clear_contradiction_is_told_as_one() -> None:
    costs = {
        "plain": a_cost(macs=500_000_000, latency_p50=0.004, latency_p50_interval=(0.0039, 0.0041)),
        "depthwise": a_cost(macs=50_000_000, latency_p50=0.008, latency_p50_interval=(0.0078, 0.0082)),
    }
    (pair,) = contradictions(costs)
    assert (pair.fewer, pair.more, pair.unsure) == ("depthwise", "plain", False)
    assert (pair.macs, pair.latency) == (10.0, 2.0)
    (said,) = remarks(costs)
    assert "plain has 10 times the multiply-accumulates of depthwise, yet depthwise took 2 times as long" in said
    assert "noise" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_spread": 1.2},
        {"latency_drift": -1.1},
        {"latency_p50_interval": (0.003, 0.009)},
        {"latency_p50_interval": (None, None)},
    ],
)
def test_a_contradiction_that_noise_could_explain_says_so(changes: dict[str, object]) -> None:
    costs = {
        "plain": a_cost(macs=500_000_000, latency_p50=0.004),
        "depthwise": a_cost(
            **{"macs": 50_000_000, "latency_p50": 0.008, "latency_p50_interval": (0.0078, 0.0082)} | changes  # type: ignore[arg-type]
        ),
    }
    (pair,) = contradictions(costs)
    assert pair.unsure
    assert any("noise could explain this" in said for said in remarks(costs))


def test_latencies_within_a_tenth_are_not_told_apart() -> None:
    costs = {
        "plain": a_cost(macs=500_000_000, latency_p50=0.0040, latency_p50_interval=(0.00399, 0.00401)),
        "depthwise": a_cost(macs=50_000_000, latency_p50=0.0043, latency_p50_interval=(0.00429, 0.00431)),
    }
    assert contradictions(costs)[0].unsure


@given(
    macs=st.lists(st.integers(10**6, 10**9), min_size=2, max_size=5),
    latencies=st.lists(st.floats(1e-4, 1.0), min_size=5, max_size=5),
)
def test_every_pair_in_opposite_orders_is_found_and_no_other(macs: list[int], latencies: list[float]) -> None:
    costs = {str(place): a_cost(macs=one, latency_p50=latencies[place]) for place, one in enumerate(macs)}
    found = {(pair.fewer, pair.more) for pair in contradictions(costs)}
    for one, first in costs.items():
        for other, second in costs.items():
            opposite = second.macs >= 1.1 * first.macs and first.latency_p50 > second.latency_p50
            assert ((one, other) in found) == opposite


def test_many_contradictions_are_counted_and_not_listed() -> None:
    costs = {str(place): a_cost(macs=10**6 * 2**place, latency_p50=1.0 / 2**place) for place in range(5)}
    said = remarks(costs)
    assert len(said) == 4
    assert "Of 7 more pairs" in said[-1]


def test_costs_under_unlike_conditions_are_told() -> None:
    costs = {"one": a_cost(), "other": a_cost(threads=2), "third": a_cost(device="a GPU")}
    assert unlike(costs) == ["device", "threads"]
    assert "different conditions (device, threads)" in remarks(costs)[0]
    assert unlike({"one": a_cost(), "other": a_cost(batch_size=8, input_size=64)}) == []
