"""Devices are checked by name and presence, and cores divided without overlap."""

from __future__ import annotations

import pytest
import torch

from bakeoff.errors import SpecError
from bakeoff.study.machine import divide_cores, resolve_device


def test_cores_are_divided_so_that_none_has_two_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.study.machine.usable_cores", lambda: 8)
    monkeypatch.setattr("bakeoff.study.machine.total_memory", lambda: 64 * 2**30)
    assert divide_cores(100, None, "cpu") == (8, 1)
    assert divide_cores(3, None, "cpu") == (3, 2)
    assert divide_cores(1, None, "cpu") == (1, 8)
    assert divide_cores(100, 2, "cpu") == (2, 4)
    assert divide_cores(100, 16, "cpu") == (16, 1)
    assert divide_cores(100, None, "cuda")[0] == 1
    monkeypatch.setattr("bakeoff.study.machine.total_memory", lambda: 7 * 2**30)
    assert divide_cores(100, None, "cpu") == (2, 4)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_at_all_is_refused(workers: int) -> None:
    with pytest.raises(SpecError, match=f"`workers` must be at least 1, but got {workers}; leave it out"):
        divide_cores(4, workers, "cpu")


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "auto, cpu, cuda"),
        ("cuda:x", "cuda:N"),
        ("tpu", "tpu"),
        ("cpu:0:1", "cpu:0:1"),
        ("cpu:0", "cuda:N, but got 'cpu:0'; did you mean 'cpu'"),
        ("cpu:", "but got 'cpu:'; did you mean 'cpu'"),
        ("cuda:", "cuda:N, but got 'cuda:'; did you mean 'cuda'"),
        ("cuda:\u00b2", "cuda:N"),
        ("cuda:-1", "cuda:N"),
        ("mps", "auto, cpu, cuda"),
    ],
)
def test_an_unknown_device_is_refused(device: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(SpecError, match="torch sees none"):
        resolve_device("cuda")
