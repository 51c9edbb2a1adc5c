"""A measured cost as a test tells it: steady, and fast enough to be believed."""

from __future__ import annotations

from typing import Any

from bakeoff.cost_records import Conditions, Cost, Energy, Noise, Timing


def a_cost(**changes: Any) -> Cost:
    """Return the cost of a small network on a machine at rest.

    Args:
        changes: Of figures, timing, noise and conditions alike, by their names.
    """
    values: dict[str, Any] = {
        "parameters": 1_000_000,
        "trainable": 1_000_000,
        "buffers": 1000,
        "macs": 50_000_000,
        "train_macs_per_image": 150_000_000,
        "latency_p50": 0.004,
        "latency_p95": 0.005,
        "latency_p50_interval": (0.0039, 0.0041),
        "latency_p95_interval": (0.0045, 0.006),
        "latency_calls": 200,
        "throughput": 500.0,
        "throughput_batch": 16,
        "throughput_curve": ((1, 250.0), (2, 400.0), (4, 450.0), (8, 480.0), (16, 510.0), (32, 515.0)),
        "train_throughput": 150.0,
        "train_throughput_data": 148.0,
        "loader_share": 0.013,
        "train_steps": 40,
        "activation_memory": 20_000_000,
        "peak_memory_train": 60_000_000,
        "peak_memory_inference": 6_000_000,
        "reserved_memory_train": None,
        "energy_per_image": None,
    }
    parts: dict[str, dict[str, Any]] = {
        "energy": {"source": None, "idle_watts": None, "seconds": 0.0, "reason": "this machine has no counter"},
        "timing": {
            "warm_up_calls": 10,
            "first_call": 0.0042,
            "retimed": 0.0039,
            "training": False,
            "gradients": False,
            "peak_macs_per_second": 5e10,
            "fresh_process": True,
        },
        "noise": {
            "latency_spread": 0.03,
            "latency_drift": 0.01,
            "train_spread": 0.02,
            "train_drift": -0.01,
            "load_average": 0.1,
            "busy": 0.02,
        },
        "conditions": {
            "device": "cpu",
            "processor": "a processor",
            "cores": 2,
            "threads": 1,
            "precision": "float32",
            "memory_format": "channels_last",
            "compiled": False,
            "normalization": "joined",
            "chosen_layers": 3,
            "optimizer": "adam",
            "batch_size": 64,
            "micro_batch": 64,
            "input_size": 32,
            "classes": 10,
            "versions": {"python": "3.11.9", "torch": "2.14.1", "bakeoff": "0.1.0"},
            "system": "a system",
            "effort": "full",
            "rounds": 5,
            "beside": 1,
            "date": "2026-01-01T00:00:00+00:00",
        },
    }
    for key, value in changes.items():
        owner = next((part for part in parts.values() if key in part), values)
        if key not in owner:
            raise KeyError(key)
        owner[key] = value
    return Cost(
        **values,
        energy=Energy(**parts["energy"]),
        timing=Timing(**parts["timing"]),
        noise=Noise(**parts["noise"]),
        conditions=Conditions(**parts["conditions"]),
    )
