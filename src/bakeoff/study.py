"""Plan, execute, record: the one place that joins what trains with what judges.

The driver here is the only writer of the results database; workers only tell. Every write is an upsert, so replaying
a checkpoint's history after a crash is harmless.
"""

from __future__ import annotations

import fnmatch
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import pandas as pd
from filelock import FileLock, Timeout

from bakeoff.analysis import ranking
from bakeoff.data import Dataset, prepare
from bakeoff.errors import SpecError, StudyError, near_miss
from bakeoff.execution.local import LocalExecutor
from bakeoff.execution.messages import Ended, EpochDone, Event, Failed, Started, Stepped, Stopped, Task, Warned
from bakeoff.files import write_atomically
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus, StepReport
from bakeoff.spec import DataFacts, ResolvedStudy, RunSpec, StudySpec, labels
from bakeoff.store import PlannedRun, Store

STUDY_FILE = "study.toml"
DATABASE = "results.sqlite"
SETTLED = (RunStatus.DONE, RunStatus.DIVERGED)
"""What needs no further work. A failed run is tried again by the next command."""


class Watcher(Protocol):
    """Whoever shows a study's progress."""

    def stage(self, name: str, done: int, total: int | None) -> None:
        """Something before training is under way, such as decoding."""

    def start(self, total_runs: int, labels: dict[str, str]) -> None:
        """Training begins: so many runs, with a label for each."""

    def run_started(self, run_id: str, label: str, epochs: int) -> None:
        """A worker has begun a run."""

    def step(self, run_id: str, report: StepReport) -> None:
        """An epoch has come so far."""

    def epoch(self, run_id: str, record: EpochRecord) -> None:
        """An epoch has ended."""

    def run_finished(self, run_id: str, result: RunResult) -> None:
        """A run has ended."""

    def run_failed(self, run_id: str, message: str) -> None:
        """A run ended by an error."""

    def warn(self, message: str) -> None:
        """The user should know something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study that is ready to run: pictures decoded, networks checked, nothing left to decide."""

    study: ResolvedStudy
    dataset: Dataset
    folder: Path
    device: str
    workers: int
    threads: int
    """In each worker."""

    changes: dict[str, tuple[str, ...]]
    """What was changed in each candidate's network, by candidate id."""

    parameters: dict[str, int]
    macs: dict[str, int]
    """Multiply-accumulates of one picture's forward pass, by candidate id."""

    only: tuple[str, ...] = ()
    """Patterns of candidate labels that are to run now; the others stay pending."""

    labels: dict[str, str] = field(default_factory=dict)
    """Short labels by candidate id."""

    def runs(self) -> list[RunSpec]:
        """Return the runs of this command, in order."""
        return [run for run in self.study.runs() if self.wanted(run)]

    def wanted(self, run: RunSpec) -> bool:
        """Whether a run's candidate matches `only`."""
        label = self.labels[run.candidate.id]
        return not self.only or any(fnmatch.fnmatchcase(label, f"*{pattern}*") for pattern in self.only)

    def numerics(self, run: RunSpec) -> Numerics:
        """Return what a run that starts now would decide its last bits by."""
        return Numerics(
            device=self.device,
            threads=self.threads,
            channels_last=True,
            micro_batch=run.candidate.recipe.batch_size,
        )

    def remarks(self) -> list[str]:
        """Return what the user should know before anything is trained."""
        from bakeoff.training.precision import emulated

        said = list(self.dataset.notes)
        if self.study.validation == 0 and self.dataset.validation is None:
            said.append(
                "no validation split is kept: candidates can only be told apart on the test set, which flatters the winner"
            )
        if len(self.study.seeds) == 1 and len(self.study.candidates) > 1:
            said.append("one seed: differences between candidates may be chance; add --seeds 0,1,2 to see how much")
        if emulated(self.study.precision, self.device):
            said.append(
                f"this processor has no {self.study.precision} arithmetic and imitates it slowly; --precision float32 is faster here"
            )
        return said

    def task(self, run: RunSpec, numerics: Numerics) -> Task:
        """Return a run as a worker takes it."""
        return Task(
            run=run,
            dataset=self.dataset.folder,
            numerics=numerics,
            checkpoints=self.folder / "checkpoints" / run.id,
            predictions=predictions_path(self.folder, run.id),
        )


def predictions_path(folder: Path, run_id: str) -> Path:
    """Return where a run's test predictions are kept."""
    return folder / "predictions" / f"{run_id}.npz"


def plan(
    spec: StudySpec,
    *,
    out: Path | None = None,
    adapted: bool = False,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: Callable[[str, int, int | None], None] | None = None,
) -> Plan:
    """Find and decode the pictures, fill in every default, and check that every network can be built.

    Args:
        spec: What to compare.
        out: The study's folder; default `results/<name>`.
        adapted: Whether flags changed what a study file says: the default folder then carries the study's id, so that
            each set of flags has its own and the same flags find theirs again.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        workers: Processes at once; default one a core on the CPU as memory allows, one on a GPU.
        only: Patterns of candidate labels to run now, all if empty.
        data_dir: Where downloaded data sets are kept.
        cache_dir: Where decoded pictures are kept.
        on_stage: Told of the progress of decoding.

    Raises:
        SpecError: If something does not exist or cannot be combined.
        DataError: If the pictures cannot be used.
    """
    from bakeoff import models  # torch loads here, not when the command line starts

    for grid in spec.candidates:
        for model in [grid.model] if isinstance(grid.model, str) else grid.model:
            models.check_name(model)
    dataset = prepare(
        spec.data.source, size=spec.data.size, data_dir=data_dir, cache_dir=cache_dir, on_progress=on_stage
    )
    source = spec.data.source
    if Path(source).exists():
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": str(Path(source).resolve())})})
    study = spec.resolve(facts_of(dataset, spec.data.limit))
    folder = out or Path("results") / (f"{spec.name}-{study.id[:6]}" if adapted else spec.name)
    return plan_resolved(study, dataset, folder=folder, device=device, workers=workers, only=only)


def plan_folder(
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: Callable[[str, int, int | None], None] | None = None,
) -> Plan:
    """Plan to go on with a study from its folder alone.

    Raises:
        StudyError: If it is no study folder, or its pictures have changed.
        DataError: If its pictures cannot be found.
    """
    study = Study(folder).spec
    dataset = prepare(study.source, size=study.size, data_dir=data_dir, cache_dir=cache_dir, on_progress=on_stage)
    return plan_resolved(study, dataset, folder=folder, device=device, workers=workers, only=only)


def facts_of(dataset: Dataset, limit: int | None) -> DataFacts:
    """Return what of a data set decides a study's defaults.

    Raises:
        SpecError: If the limit leaves too few pictures of each class.
    """
    pictures, classes = len(dataset.train), len(dataset.classes)
    if limit is not None and limit < 4 * classes:
        raise SpecError(
            f"`limit` must leave at least 4 pictures of each of the {classes} classes, but got {limit}; raise it to {4 * classes}"
        )
    return DataFacts(
        fingerprint=dataset.fingerprint,
        size=dataset.size,
        train_pictures=min(pictures, limit or pictures),
        classes=classes,
        has_validation=dataset.validation is not None,
        flippable=dataset.flippable,
    )


def plan_resolved(
    study: ResolvedStudy,
    dataset: Dataset,
    *,
    folder: Path,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
) -> Plan:
    """Plan a study whose settings are all decided, as read back from its folder.

    Raises:
        SpecError: If a network cannot be built for these pictures, the device is not there, or `only` matches nothing.
    """
    from bakeoff import cost, models

    if dataset.fingerprint != study.fingerprint:
        raise StudyError(
            f"a study must go on with the pictures it began with, but those of {study.source} have changed since "
            f"(fingerprint {study.fingerprint} -> {dataset.fingerprint}); restore them, or choose another folder with --out"
        )
    device = resolve_device(device)
    changes, parameters, macs = {}, {}, {}
    for candidate in study.candidates:
        size = candidate.input_size(dataset.size)
        built = models.build(candidate.model, classes=len(dataset.classes), stem=candidate.stem, size=size)
        changes[candidate.id] = built.changes
        parameters[candidate.id] = cost.parameters(built.module)
        macs[candidate.id] = cost.macs(built.module, size)
    names = labels(study.candidates)
    workers, threads = divide_cores(len(study.runs()), workers, device)
    planned = Plan(
        study=study,
        dataset=dataset,
        folder=folder,
        device=device,
        workers=workers,
        threads=threads,
        changes=changes,
        parameters=parameters,
        macs=macs,
        only=tuple(only),
        labels=names,
    )
    if not planned.runs():
        raise SpecError(
            f"--only must match a candidate, but {', '.join(only)} matches none of: {', '.join(names.values())}{near_miss(only[0], names.values())}"
        )
    return planned


def resolve_device(wanted: str) -> str:
    """Return the device to train on.

    Raises:
        SpecError: If it is unknown or not there.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise SpecError(
            f"the device must be auto, cpu, cuda or cuda:N, but got '{wanted}'{near_miss(wanted, ['auto', 'cpu', 'cuda'])}"
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise SpecError(f"the device '{wanted}' needs a CUDA GPU, but torch sees none; use --device cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise SpecError(
            f"the device '{wanted}' must exist, but torch sees {torch.cuda.device_count()} GPUs, counted from 0"
        )
    return wanted


def divide_cores(runs: int, workers: int | None, device: str) -> tuple[int, int]:
    """Return how many processes to use and how many threads in each, so that no core has two jobs.

    One process with one thread a core trains small networks faster than one process with all cores, as long as there
    are as many runs.
    """
    cores = usable_cores()
    if workers is None:
        workers = 1 if device != "cpu" else min(cores, runs, max(1, total_memory() // MEMORY_A_WORKER))
    return workers, max(1, cores // workers)


MEMORY_A_WORKER = 3 * 2**30
"""Bytes allowed for each process when their number is chosen: torch itself and a batch of 64 at 224 pixels."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int:
    """Return the machine's memory in bytes, or a plenty where it cannot be asked for."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 2**40


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command that ran a study ended."""

    interrupted: bool
    failed: int
    """Runs that ended by an error."""


class Study:
    """A study folder: what was compared, and what came of it."""

    def __init__(self, folder: Path) -> None:
        """Open a study folder.

        Raises:
            StudyError: If it is not one, or another version of bakeoff made it.
        """
        self.folder = folder
        path = folder / STUDY_FILE
        if not path.is_file():
            raise StudyError(
                f"a study folder must hold {STUDY_FILE}, but {folder} has none; give the folder that `bakeoff run` named"
            )
        try:
            self.spec = ResolvedStudy.from_toml(path.read_text(encoding="utf-8"), where=str(path))
        except (SpecError, OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{path} cannot be read back: {error}") from error

    def _frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        with Store.open_read_only(self.folder / DATABASE) as store:
            return store.runs_frame(), store.epochs_frame()

    def runs(self) -> pd.DataFrame:
        """Return one row a run."""
        return self._frames()[0]

    def epochs(self) -> pd.DataFrame:
        """Return one row an epoch record."""
        return self._frames()[1]

    def table(self) -> pd.DataFrame:
        """Return one row a candidate, best first: accuracies over seeds, and costs."""
        return ranking.rank(*self._frames())

    def curves(self) -> pd.DataFrame:
        """Return the epoch records in long form: candidate, seed, epoch and the metrics."""
        return ranking.curves(*self._frames())

    def remarks(self) -> list[str]:
        """Return what a reader of the table must know of how it came about."""
        return ranking.remarks(*self._frames())

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"


def execute(planned: Plan, watcher: Watcher) -> tuple[Study, Outcome]:
    """Run what is left of a study, and record it.

    Ctrl-C (or SIGTERM) lets every run save itself within a step and ends early; the same command goes on. A second
    one ends at once.

    Raises:
        StudyError: If the folder holds other settings, is in use, or cannot be written to.
    """
    with _claimed(planned.folder):
        _write_study_file(planned)
        with Store.create_or_open(planned.folder / DATABASE) as store:
            return Study(planned.folder), _drive(planned, store, watcher)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold a study folder for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        with lock:
            yield
    except Timeout as error:
        raise StudyError(
            f"a study folder takes one `bakeoff run` at a time, but another process is running {folder}; wait for it or stop it"
        ) from error
    except PermissionError as error:
        raise StudyError(
            f"{folder} must be writable, but {error.strerror}; choose another folder with --out"
        ) from error
    except OSError as error:
        raise StudyError(f"{folder} cannot be used as a study folder: {error}; choose another with --out") from error


def _write_study_file(planned: Plan) -> None:
    path = planned.folder / STUDY_FILE
    if path.exists():
        before = Study(planned.folder).spec
        differing = before.differences(planned.study)
        if differing:
            shown = "\n  ".join(differing[:12] + ([f"and {len(differing) - 12} more"] if len(differing) > 12 else []))
            raise StudyError(
                f"{planned.folder} holds a study with other settings:\n  {shown}\nchoose another folder with --out, or undo the change"
            )
        return
    strangers = sorted(
        entry.name for entry in planned.folder.iterdir() if entry.name != "lock" and not entry.name.startswith(".")
    )
    if strangers:
        raise StudyError(
            f"a new study needs an empty folder, but {planned.folder} holds {', '.join(strangers[:5])}; choose another with --out"
        )
    write_atomically(path, planned.study.to_toml().encode())


def _drive(planned: Plan, store: Store, watcher: Watcher) -> Outcome:
    store.add_runs(_planned_rows(planned))
    statuses = store.statuses()
    left = [run for run in planned.runs() if statuses[run.id] not in SETTLED]
    tasks = []
    for run in left:
        numerics = store.numerics(run.id) or planned.numerics(run)
        store.set_numerics(run.id, numerics)
        tasks.append(planned.task(run, numerics))
    names = {run.id: f"{planned.labels[run.candidate.id]} seed {run.seed}" for run in planned.study.runs()}
    by_id = {run.id: run for run in left}
    watcher.start(len(left), {run.id: names[run.id] for run in left})
    executor = LocalExecutor(planned.workers, planned.threads)
    failed, stopped = 0, False
    with _stop_on_signal(executor) as asked:
        for event in executor.run(tasks):
            failed += isinstance(event, Failed)
            stopped = stopped or isinstance(event, Stopped)
            _record(event, store)
            _show(event, watcher, names, by_id)
    remaining = any(
        status not in (*SETTLED, RunStatus.FAILED) for run_id, status in store.statuses().items() if run_id in by_id
    )
    return Outcome(interrupted=bool(asked) and (stopped or remaining), failed=failed)


def _planned_rows(planned: Plan) -> Iterator[PlannedRun]:
    for run in planned.study.runs():
        candidate = run.candidate
        yield PlannedRun(
            run_id=run.id,
            candidate_id=candidate.id,
            label=planned.labels[candidate.id],
            model=candidate.model,
            seed=run.seed,
            spec_json=run.model_dump_json(),
            parameters=planned.parameters[candidate.id],
            macs=planned.macs[candidate.id],
            changes=planned.changes[candidate.id],
        )


def _record(event: Event, store: Store) -> None:
    match event:
        case Started(run_id):
            store.mark(run_id, RunStatus.RUNNING)
        case EpochDone(run_id, record):
            store.record_epoch(run_id, record)
        case Ended(run_id, result):
            store.finish(run_id, result)
        case Stopped(run_id):
            store.mark(run_id, RunStatus.PENDING)
        case Failed(run_id, message, _, fatal=True):
            store.mark(run_id, RunStatus.PENDING)
            raise StudyError(message)
        case Failed(run_id, message, traceback):
            store.mark(run_id, RunStatus.FAILED, message=message, traceback=traceback)


def _show(event: Event, watcher: Watcher, names: dict[str, str], runs: dict[str, RunSpec]) -> None:
    match event:
        case Started(run_id):
            watcher.run_started(run_id, names[run_id], runs[run_id].candidate.recipe.epochs)
        case Stepped(run_id, report):
            watcher.step(run_id, report)
        case EpochDone(run_id, record):
            watcher.epoch(run_id, record)
        case Ended(run_id, result):
            watcher.run_finished(run_id, result)
        case Failed(run_id, message):
            watcher.run_failed(run_id, message)
        case Warned(run_id, message):
            watcher.warn(f"{names[run_id]}: {message}")


@contextmanager
def _stop_on_signal(executor: LocalExecutor) -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; the second ends the process as usual.

    Yields:
        The signals that came, in a list that fills as they come.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        executor.stop()

    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals can only be handled in the main thread; elsewhere the caller has its own way to stop
        return
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
