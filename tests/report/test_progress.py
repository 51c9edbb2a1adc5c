"""Progress: plain lines where there is no terminal, live lines where there is one, at any width."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from bakeoff.records import EpochRecord, RunResult, RunStatus, StepReport
from bakeoff.report import progress as progress_module
from bakeoff.report.progress import StudyProgress
from tests.synthetic import Run

DONE = RunResult(status=RunStatus.DONE, test_loss=0.3, test_accuracy=0.9, seconds_test=1.0, message=None)


def console(*, terminal: bool = False, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=25, legacy_windows=False)


def written(shown: Console) -> str:
    return shown.file.getvalue()  # type: ignore[attr-defined]


def report(step: int, steps: int = 10, epoch: int = 1, loss: float = 1.5) -> StepReport:
    return StepReport(epoch=epoch, step=step, steps=steps, loss=loss, accuracy=0.5, images_per_second=1234.0)


def record(epoch: int = 1, val: float | None = 0.6) -> EpochRecord:
    made = Run().records()[0]
    return replace(made, epoch=epoch, val_accuracy=val, val_loss=None if val is None else 1.25)


def test_without_a_terminal_each_epoch_and_each_end_is_one_plain_line() -> None:
    shown = console()
    with StudyProgress(shown) as progress:
        progress.start(2, {"a": "alpha seed 0", "b": "beta seed 0"})
        progress.run_started("a", "alpha seed 0", 2)
        for step in range(1, 11):
            progress.step("a", report(step))
        progress.epoch("a", record(1))
        progress.epoch("a", record(2, val=None))
        progress.run_finished("a", DONE)
        progress.run_started("b", "beta seed 0", 2)
        progress.run_failed("b", "no more memory")
    lines = written(shown).splitlines()
    assert len(lines) == 5
    assert lines[0] == "2 runs to train"
    assert lines[1].startswith(
        "alpha seed 0: epoch 1/2, train 1.0000 50.00 %, validation 1.2500 60.00 %, 51.2 images/s"
    )
    assert "validation" not in lines[2]
    assert lines[3] == "alpha seed 0: done, test 90.00 % (1 of 2 runs)"
    assert lines[4] == "beta seed 0: failed (no more memory)"


def test_another_round_counts_its_own_runs_and_is_told_between() -> None:
    shown = console()
    with StudyProgress(shown) as progress:
        for number in (1, 2):
            progress.tell(f"round {number}\x1b")
            progress.start(number, {"a": "alpha"})
            progress.run_started("a", "alpha", 1)
            progress.run_finished("a", DONE)
    lines = written(shown).splitlines()
    assert lines[3:] == [r"round 2\x1b", "2 runs to train", "alpha: done, test 90.00 % (1 of 2 runs)"]


def test_without_a_terminal_a_long_epoch_tells_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    shown = console()
    with StudyProgress(shown) as progress:
        progress.run_started("a", "alpha", 1)
        for step in range(1, 11):
            progress.step("a", report(step))
            now[0] += 25.0
    lines = written(shown).splitlines()
    assert len(lines) == 3  # after 75, 150 and 225 seconds
    assert lines[0] == "alpha: epoch 1/1, step 4 of 10, train 1.5000 50.00 %, 1,234 images/s, 1 min 52 s left"


def test_plain_lines_are_not_wrapped_at_the_width() -> None:
    shown = console(width=20)
    with StudyProgress(shown) as progress:
        progress.run_started("a", "a rather long label of a candidate", 1)
        progress.epoch("a", record())
    assert len(written(shown).splitlines()) == 1


def test_a_diverged_run_says_where() -> None:
    shown = console()
    ended = RunResult(
        status=RunStatus.DIVERGED, test_loss=None, test_accuracy=None, seconds_test=0.0, message="nan at step 7"
    )
    with StudyProgress(shown) as progress:
        progress.run_started("a", "alpha", 1)
        progress.run_finished("a", ended)
    assert written(shown) == "alpha: diverged (nan at step 7)\n"


def test_a_stage_tells_its_end_and_seldom_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    shown = console()
    with StudyProgress(shown) as progress:
        for done in range(1001):
            progress.stage("decoding", done, 1000)
            now[0] += 0.03  # 30 s in all
    lines = written(shown).splitlines()
    assert 2 <= len(lines) <= 7
    assert lines[-1] == "decoding: 1,000 of 1,000 (33/s)"


def test_warnings_are_shown_even_when_quiet_and_nothing_else_is() -> None:
    shown = console(terminal=True)
    with StudyProgress(shown, quiet=True) as progress:
        progress.stage("decoding", 1, 1)
        progress.start(1, {"a": "alpha"})
        progress.run_started("a", "alpha", 1)
        progress.epoch("a", record())
        progress.run_finished("a", DONE)
        progress.warn("one seed")
    assert "one seed" in written(shown)
    assert "alpha" not in written(shown)


@pytest.mark.parametrize("width", [1, 5, 20, 40, 80, 200])
def test_a_terminal_of_any_width_shows_a_line_a_run_and_a_total(width: int) -> None:
    shown = console(terminal=True, width=width)
    with StudyProgress(shown) as progress:
        progress.stage("decoding", 5, 10)
        progress.start(3, {})
        for name in ("a", "b"):
            progress.run_started(name, f"{name}: a label [red]\x1b[5m of some length", 4)
        progress.step("a", report(0))
        progress.step("a", report(5))
        progress.epoch("a", record(1))
        progress.step("a", report(5, epoch=2, loss=float("nan")))
        picture = shown.render_lines(progress._render(), shown.options)
        text = "\n".join("".join(segment.text for segment in line) for line in picture)
        assert all(sum(segment.cell_length for segment in line) <= width for line in picture)
        if width >= 200:
            assert "epoch 2/4" in text
            assert "1,234/s" in text
            assert "left" in text
            assert "0 of 3 runs" in text
            assert r"[red]\x1b[5m" in text
        if width >= 80:
            assert len(picture) == 3  # two runs and the total
        progress.run_finished("a", DONE)
        progress.run_failed("b", "gone")


def test_time_left_is_extrapolated_from_this_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    shown = console(terminal=True, width=200)
    with StudyProgress(shown) as progress:
        progress.start(1, {})
        progress.run_started("a", "alpha", 10)
        progress.epoch("a", record(8))  # replayed from the checkpoint
        progress.step("a", report(0, epoch=9))
        now[0] = 60.0
        progress.epoch("a", record(9))
        assert progress._state.lines["a"].seconds_left(now[0]) == pytest.approx(60)
        assert progress._state.seconds_left(now[0]) == pytest.approx(60)


def test_time_left_of_a_study_forgets_no_earlier_session_once_a_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with StudyProgress(console(terminal=True, width=200)) as progress:
        progress.start(2, {})
        progress.run_started("a", "alpha", 10)
        progress.epoch("a", record(9))  # replayed from the checkpoint
        progress.step("a", report(0, epoch=10))
        now[0] = 60.0
        progress.run_finished("a", DONE)
        progress.run_started("b", "beta", 10)
        progress.step("b", report(0))
        now[0] = 120.0
        progress.epoch("b", record(1))
        # Two epochs took 120 seconds, and nine are left.
        assert progress._state.seconds_left(now[0]) == pytest.approx(540)


def test_news_of_an_unknown_run_does_no_harm() -> None:
    with StudyProgress(console()) as progress:
        progress.step("x", report(1))
        progress.epoch("x", record())
        progress.run_failed("x", "gone")


def test_an_epoch_without_steps_does_no_harm() -> None:
    with StudyProgress(console(terminal=True)) as progress:
        progress.start(1, {})
        progress.run_started("a", "alpha", 1)
        progress.step("a", report(0, steps=0))
        progress._render()


def test_ten_thousand_steps_take_no_time_worth_speaking_of() -> None:
    with StudyProgress(console(terminal=True)) as progress:
        progress.start(1, {})
        progress.run_started("a", "alpha", 1)
        begun = time.process_time()
        for step in range(10_000):
            progress.step("a", report(step, steps=10_000))
    assert time.process_time() - begun < 1.0  # 0.1 ms a step, against some 10 ms of the quickest training step


def test_an_exception_leaves_the_terminal_in_order() -> None:
    shown = console(terminal=True)

    def fail() -> None:
        with StudyProgress(shown) as progress:
            progress.start(1, {})
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert written(shown).rindex("\x1b[?25h") > written(shown).rindex("\x1b[?25l")  # the cursor is shown again
