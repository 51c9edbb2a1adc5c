"""Progress of a study while it runs: live lines on a terminal, plain ones elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bakeoff.records import EpochRecord, RunResult, RunStatus, StepReport
from bakeoff.words import clean, duration, percent, plural, speed

PLAIN_EVERY = 10.0
"""Seconds between plain lines of one stage."""

PLAIN_EPOCH_EVERY = 60.0
"""Seconds without a plain line of a run after which one tells how far its epoch has come."""


@dataclass(slots=True)
class _Line:
    """What is shown of a run under way."""

    label: str
    epochs: int
    started: float
    done_at_start: int = 0
    epochs_done: int = 0
    report: StepReport | None = None
    said: float = 0.0
    """When its last plain line was written."""

    @property
    def share(self) -> float:
        """How much of the run is done, in [0, 1]."""
        report = self.report
        within = report.step / report.steps if report and report.epoch == self.epochs_done + 1 and report.steps else 0.0
        return (self.epochs_done + within) / self.epochs

    def seconds_left(self, now: float) -> float | None:
        """Extrapolated from what this session has done of the run; None before there is anything to go by."""
        gained = self.share - self.done_at_start / self.epochs
        return None if gained <= 0 else (now - self.started) * (1 - self.share) / gained


@dataclass(slots=True)
class _Stage:
    name: str
    started: float
    said: float = 0.0


@dataclass(slots=True)
class _State:
    lines: dict[str, _Line] = field(default_factory=dict)
    total: int = 0
    ended: int = 0
    done_before: float = 0.0
    """What earlier sessions had done of the runs that have ended, in runs."""

    started: float = 0.0
    stage: _Stage | None = None
    stage_words: str = ""

    def seconds_left(self, now: float) -> float | None:
        """Extrapolated from what this session has done of all runs, taken as equally long; None before it did any."""
        lines = list(self.lines.values())
        share = (self.ended + sum(line.share for line in lines)) / self.total
        before = self.done_before + sum(line.done_at_start / line.epochs for line in lines)
        gained = share - before / self.total
        return None if gained <= 0 else (now - self.started) * (1 - share) / gained


class StudyProgress:
    """Shows a study's progress on standard error. Use it as a context.

    Args:
        console: Where to write; default: standard error.
        quiet: Show nothing but warnings.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._state = _State()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def stage(self, name: str, done: int, total: int | None) -> None:
        """Show how far something before training has come, with its rate."""
        now, state = time.monotonic(), self._state
        if state.stage is None or state.stage.name != name:
            state.stage = _Stage(name, now)
        finished = done == total
        elapsed = now - state.stage.started
        rate = f" ({done / elapsed:,.0f}/s)" if elapsed > 0.5 and done >= elapsed else ""
        of = f" of {total:,}" if total is not None else ""
        state.stage_words = "" if finished else f"{name}: {done:,}{of}{rate}"
        if self._live is None and (now - state.stage.said > PLAIN_EVERY or finished) and elapsed > 0.5:
            state.stage.said = now
            self._say(f"{name}: {done:,}{of}{rate}")

    def start(self, total_runs: int, labels: dict[str, str]) -> None:
        """Show that training begins, of another round perhaps."""
        self._state = _State(total=total_runs, started=time.monotonic())
        if self._live is None and total_runs:
            self._say(f"{plural(total_runs, 'run')} to train")

    def run_started(self, run_id: str, label: str, epochs: int) -> None:
        """Show a run from now on."""
        now = time.monotonic()
        self._state.lines[run_id] = _Line(label, epochs, now, said=now)

    def step(self, run_id: str, report: StepReport) -> None:
        """Take note of how far an epoch has come, and tell it where there is no live line and the epoch is long."""
        line, now = self._state.lines.get(run_id), time.monotonic()
        if line is None:
            return
        if line.report is None:
            line.done_at_start = line.epochs_done
            line.started = now
        line.report = report
        if self._live is None and now - line.said > PLAIN_EPOCH_EVERY:
            parts = [
                f"{line.label}: epoch {report.epoch}/{line.epochs}",
                f"step {report.step} of {report.steps}",
                f"train {report.loss:.4f} {percent(report.accuracy)}",
                f"{speed(report.images_per_second)} images/s",
            ]
            self._say_of(line, parts, now)

    def epoch(self, run_id: str, record: EpochRecord) -> None:
        """Show that an epoch has ended."""
        line = self._state.lines.get(run_id)
        if line is None:
            return
        line.epochs_done = record.epoch
        if self._live is not None:
            return
        seconds = record.seconds_train + record.seconds_wait
        parts = [
            f"{line.label}: epoch {record.epoch}/{line.epochs}",
            f"train {record.train_loss:.4f} {percent(record.train_accuracy)}",
            "" if record.val_loss is None else f"validation {record.val_loss:.4f} {percent(record.val_accuracy)}",
            f"{speed(record.images / seconds)} images/s" if seconds else "",
        ]
        self._say_of(line, parts, time.monotonic())

    def run_finished(self, run_id: str, result: RunResult) -> None:
        """Show how a run ended."""
        label = self._end(run_id)
        if result.status is RunStatus.DONE and result.test_accuracy is not None:
            ended = f"({self._state.ended} of {self._state.total} runs)"
            self._say(f"{label}: done, test {percent(result.test_accuracy)} {ended}")
        else:
            self._say(f"{label}: {result.status} ({result.message})", style="yellow")

    def run_failed(self, run_id: str, message: str) -> None:
        """Show that a run ended by an error."""
        self._say(f"{self._end(run_id)}: failed ({message})", style="red")

    def tell(self, message: str) -> None:
        """Show a sentence."""
        self._say(message)

    def warn(self, message: str) -> None:
        """Show what the user should know, even when quiet."""
        self._console.print(Text(clean(message), style="yellow"), soft_wrap=True)

    def _end(self, run_id: str) -> str:
        self._state.ended += 1
        line = self._state.lines.pop(run_id, None)
        if line is None:
            return run_id
        self._state.done_before += line.done_at_start / line.epochs
        return line.label

    def _say_of(self, line: _Line, parts: list[str], now: float) -> None:
        left = line.seconds_left(now)
        line.said = now
        self._say(", ".join(part for part in [*parts, f"{duration(left)} left" if left else ""] if part))

    def _say(self, words: str, style: str = "") -> None:
        if not self._quiet:
            self._console.print(Text(clean(words), style=style), soft_wrap=True)

    def _render(self) -> Group:
        state, now = self._state, time.monotonic()
        parts: list[Text | Table] = []
        if state.stage_words:
            parts.append(Text(clean(state.stage_words)))
        if state.lines:
            table = Table.grid(padding=(0, 2))
            table.add_column(no_wrap=True, overflow="ellipsis", min_width=6)
            for _ in range(6):
                table.add_column(no_wrap=True, overflow="ellipsis")
            for line in list(state.lines.values()):
                table.add_row(*_cells(line, now))
            parts.append(table)
        if state.total:
            words = f"{state.ended} of {state.total} runs, {duration(now - state.started)} so far"
            left = state.seconds_left(now)
            parts.append(Text(words + ("" if left is None else f", about {duration(left)} left"), style="dim"))
        return Group(*parts)


def _cells(line: _Line, now: float) -> list[Text | ProgressBar]:
    cells: list[Text | ProgressBar] = [Text(clean(line.label)), ProgressBar(total=1.0, completed=line.share, width=16)]
    if line.report is None:
        return [*cells, Text("starting")]
    report, left = line.report, line.seconds_left(now)
    cells.append(Text(f"epoch {report.epoch}/{line.epochs}"))
    cells.append(Text(f"loss {report.loss:.3f}"))
    cells.append(Text(percent(report.accuracy)))
    cells.append(Text(f"{speed(report.images_per_second)}/s"))
    cells.append(Text("" if left is None else f"{duration(left)} left"))
    return cells
