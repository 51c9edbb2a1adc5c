"""Energy is read where there is a counter, and the reason is told where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from bakeoff.cost.energy import NoCounterError, counter


def domain(folder: Path, name: str, what: str, microjoules: int) -> Path:
    path = folder / name
    path.mkdir()
    (path / "name").write_text(f"{what}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text("262143328850\n")
    return path / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first = domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    core = domain(tmp_path, "intel-rapl:0:0", "core", 0)
    board = domain(tmp_path, "intel-rapl:2", "psys", 0)
    gauge = counter("cpu", 1.0, 1, tmp_path)
    gauge.start()
    first.write_text("3500000")
    second.write_text("6000000")
    core.write_text("2000000")
    board.write_text("9000000")
    joules, seconds = gauge.stop()
    assert joules == pytest.approx(2.5 + 1.0)
    assert seconds > 0
    assert gauge.source == "RAPL package"


def test_a_counter_that_began_anew_is_put_right(tmp_path: Path) -> None:
    file = domain(tmp_path, "intel-rapl:0", "package-0", 262_143_000_000)
    gauge = counter("cpu", 1.0, 1, tmp_path)
    gauge.start()
    file.write_text("671150")
    assert gauge.stop()[0] == pytest.approx(0.328850 + 0.671150)


def test_a_machine_without_a_counter_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoCounterError, match="no RAPL counter"):
        counter("cpu", 1.0, 1, tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_a_counter_kept_for_root_is_told(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0", 1).chmod(0o000)
    with pytest.raises(NoCounterError, match="kept for root"):
        counter("cpu", 1.0, 1, tmp_path)


class FakeNvml(ModuleType):
    """As much of nvidia-ml-py as is used, with a GPU that says what the test wants."""

    class NVMLError(Exception): ...

    def __init__(self, processes: int, *, knows_energy: bool = True) -> None:
        super().__init__("pynvml")
        self.processes, self.knows_energy, self.millijoules = processes, knows_energy, 1000

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetHandleByUUID(self, identity: bytes) -> bytes:  # noqa: N802
        return identity

    def nvmlDeviceGetComputeRunningProcesses(self, handle: bytes) -> list[object]:  # noqa: N802
        assert handle == b"GPU-1234"
        return [object()] * self.processes

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: bytes) -> int:  # noqa: N802
        if not self.knows_energy:
            raise self.NVMLError("not supported")
        return self.millijoules


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_is_ours_alone_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(processes=2)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    gauge = counter("cuda", 10.0, 2)
    gauge.start()
    nvml.millijoules += 2500
    assert gauge.stop()[0] == pytest.approx(2.5)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_others_use_or_that_tells_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(processes=3))
    with pytest.raises(NoCounterError, match="1 other processes use"):
        counter("cuda", 10.0, 2)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(processes=1, knows_energy=False))
    with pytest.raises(NoCounterError, match="not supported"):
        counter("cuda", 10.0, 1)
    with pytest.raises(NoCounterError, match="too short"):
        counter("cuda", 1.0, 1)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NoCounterError, match=r"bakeoff\[energy\]"):
        counter("cuda", 10.0, 1)
