"""What decides the last bits of a study's runs, chosen before they start: the algorithms of their convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bakeoff.data.cache import cache_root
from bakeoff.errors import SpecError, near_miss
from bakeoff.execution.machine import usable_cores
from bakeoff.execution.tuner import Job, Tuned, tune
from bakeoff.records import Numerics, OnStage
from bakeoff.spec import RunSpec
from bakeoff.spec.candidate import SMALL_INPUT
from bakeoff.study.planned import Plan
from bakeoff.study.remembered import Remembered
from bakeoff.training.kernels import native

STAGE = "measuring convolutions"
FOLDER = "convolutions"
"""Folder within the cache folder."""

Choices = dict[str, list[str]]
"""By layer, the algorithms of its passes, where one is faster than the library."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is remembered of a choice."""

    choices: Choices
    kernels: list[str]
    """The compiled kernels that were there: where one is gone, perhaps it can no longer be made."""


CLASSES = 10
"""Classes of a network that is tuned outside a study. The number hardly matters: the last layer is rarely a convolution."""

LARGEST_BATCH = 512
"""Pictures at once with which convolutions are measured at most: what is fastest hardly changes beyond, and larger
batches may not fit into memory, where training would take them in parts."""


def choose_numerics(planned: Plan, runs: Sequence[RunSpec], on_stage: OnStage | None = None) -> dict[str, Numerics]:
    """Decide the numerics of runs that are about to start for the first time.

    Args:
        planned: The study.
        runs: Some of its runs.
        on_stage: Told of the progress of measuring.

    Returns:
        The numerics by run id. Runs that only differ in what does not concern a convolution have the same.

    Raises:
        StudyError: If measuring fails.
    """
    if not planned.tune or planned.device != "cpu":  # a GPU's library measures by itself
        return {run.id: planned.numerics(run) for run in runs}
    dataset = planned.dataset
    jobs = {
        run.id: job_of(
            run, classes=len(dataset.classes), picture=dataset.size, pictures=run.limit or len(dataset.train)
        )
        for run in runs
    }
    choices = choose_algorithms(list(jobs.values()), planned.threads, planned.cache, on_stage)
    return {run.id: planned.numerics(run, choices[jobs[run.id]]) for run in runs}


def choose_algorithms(
    jobs: Sequence[Job], threads: int, cache: Path, on_stage: OnStage | None = None
) -> dict[Job, dict[str, list[str]]]:
    """Choose algorithms for the convolutions of networks at work.

    Args:
        jobs: What to choose for; those that are equal are measured once.
        threads: Of the processes that will train.
        cache: Folder under which measurements are kept.
        on_stage: Told of the progress of measuring.

    Returns:
        By job, the algorithms of each layer in which one is faster than the library.

    Raises:
        StudyError: If measuring fails.
    """
    distinct, folder = list(dict.fromkeys(jobs)), cache / FOLDER
    # What was chosen from the measurements that are there now, so that nobody need build the networks to choose again.
    known, now, kernels = Remembered(folder), _stamps(folder), set(native.whole())
    found = {
        job: chosen.choices
        for job in distinct
        if (chosen := known.recall(_Chosen, _key(job, threads, now))) is not None and kernels.issuperset(chosen.kernels)
    }
    missing = [job for job in distinct if job not in found]
    if not missing:
        return found
    tuned = tune(
        missing,
        threads=threads,
        folder=folder,
        on_layer=lambda done, total: None if on_stage is None else on_stage(STAGE, done, total),
    )
    found |= {job: one.choices for job, one in zip(missing, tuned, strict=True)}
    now, there = _stamps(folder), native.whole()
    for job, choices in found.items():
        known.keep(_Chosen, _key(job, threads, now), _Chosen(choices, there))
    return found


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return the names, sizes and times of the files that hold measurements."""
    files = sorted(folder.glob("*.json"))
    return [(path.name, status.st_size, status.st_mtime_ns) for path in files if (status := path.stat())]


def _key(job: Job, threads: int, measurements: list[tuple[str, int, int]]) -> list[object]:
    """Return what decides the algorithms chosen for a job."""
    try:
        compiler = native.made_with()
    except native.UnavailableError:
        compiler = []
    return ["convolutions", asdict(job), threads, *native.arithmetic(), *compiler, measurements]


def tune_model(
    model: str,
    *,
    size: int,
    batch_size: int,
    stem: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
    anew: bool = False,
    on_stage: OnStage | None = None,
) -> Tuned:
    """Measure the convolutions of one network, and the processor's peak beside them.

    Args:
        model: Its name.
        size: Side of its input in pixels.
        batch_size: Pictures a batch.
        stem: `auto`, `original` or `small`.
        precision: `float32` or `bfloat16`.
        threads: Default all cores.
        anew: Whether to measure again what was measured before, for later studies too.
        on_stage: Told of the progress.

    Raises:
        SpecError: If there is no such network, it cannot take such pictures, or a setting is not allowed.
    """
    from bakeoff import models

    _check("stem", stem, ("auto", "original", "small"))
    _check("precision", precision, ("float32", "bfloat16"))
    if stem == "auto":
        stem = "small" if size < SMALL_INPUT else "original"
    models.check_name(model)
    models.build(model, classes=CLASSES, stem=stem, size=size)  # type: ignore[arg-type]
    job = Job(model=model, classes=CLASSES, stem=stem, size=size, batch=batch_size, precision=precision)  # type: ignore[arg-type]
    (tuned,) = tune(
        [job],
        threads=threads or usable_cores(),
        folder=cache_root(None) / FOLDER,
        peak=True,
        anew=anew,
        on_layer=lambda done, total: None if on_stage is None else on_stage(STAGE, done, total),
    )
    return tuned


def _check(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{what} must be one of {', '.join(allowed)}, but got '{value}'{near_miss(value, allowed)}")


def job_of(run: RunSpec, *, classes: int, picture: int, pictures: int) -> Job:
    """Return a run's network at work, as far as its convolutions are concerned.

    Args:
        run: The run.
        classes: Number of its classes.
        picture: Side of its pictures in pixels.
        pictures: That it is trained on, more or less.
    """
    candidate = run.candidate
    return Job(
        model=candidate.model,
        classes=classes,
        stem=candidate.stem,
        size=candidate.input_size(picture),
        batch=min(candidate.recipe.batch_size, pictures, LARGEST_BATCH),
        precision=run.precision,
    )
