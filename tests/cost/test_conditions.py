"""How busy others keep the machine is read from the system's ticks."""

from __future__ import annotations

from pathlib import Path

from bakeoff.cost.conditions import ProcessorTime, processor_time


def test_all_but_idling_and_waiting_for_disks_is_work(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    #                     user nice system idle iowait irq softirq steal guest guest_nice
    stat.write_text("cpu  100  10   50     800  40     1   2       7     60    0\ncpu0 1 2 3\n")
    before = processor_time(stat)
    assert before == ProcessorTime(worked=100 + 10 + 50 + 1 + 2 + 7, total=1010)
    stat.write_text("cpu  110  10   55     870  40     1   2       22    60    0\n")
    after = processor_time(stat)
    assert after is not None
    assert after.busy_since(before) == 0.3  # 10 + 5 + 15 of 100: what another virtual machine took is work, too
    assert before.busy_since(before) is None


def test_a_system_that_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert processor_time(tmp_path / "nothing") is None
