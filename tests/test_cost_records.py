"""What is stored of a candidate's cost reads back as it was."""

from __future__ import annotations

import json

import pytest

from bakeoff.cost_records import Cost
from tests.costs import a_cost


def test_a_cost_reads_back_as_it_was_written() -> None:
    cost = a_cost(
        energy_per_image=0.02, source="NVML", idle_watts=60.0, reason=None, latency_p95_interval=(0.004, None)
    )
    assert Cost.from_json(json.loads(json.dumps(cost.to_json()))) == cost


def test_keys_that_others_rely_on_are_there() -> None:
    assert a_cost().to_json().keys() >= {
        "latency_p50", "latency_p95", "throughput", "throughput_batch", "train_throughput", "peak_memory_train",
        "peak_memory_inference", "activation_memory", "energy_per_image", "parameters", "macs", "train_macs_per_image",
        "noise", "conditions",
    }  # fmt: skip


def test_what_a_later_version_adds_is_left_out_and_what_is_missing_is_told() -> None:
    plain = a_cost().to_json()
    plain["carbon"] = plain["noise"]["wind"] = 1.0
    assert Cost.from_json(plain) == a_cost()
    del plain["noise"]["busy"]
    with pytest.raises(ValueError, match="busy"):
        Cost.from_json(plain)
    with pytest.raises(ValueError, match="energy"):
        Cost.from_json({"latency_p50": 0.1})


def test_a_number_that_is_not_finite_is_no_cost() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        a_cost(latency_p50=float("nan")).to_json()


def test_conditions_differ_in_what_forbids_comparing_and_not_in_what_is_part_of_a_candidate() -> None:
    one = a_cost().conditions
    assert one.differences(a_cost(batch_size=32, input_size=224, optimizer="sgd", effort="quick").conditions) == []
    assert one.differences(a_cost(threads=2, precision="bfloat16").conditions) == [
        "threads: 1 -> 2",
        "precision: float32 -> bfloat16",
    ]
