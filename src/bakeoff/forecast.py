"""What a study will take, from a short trial of each candidate, before anything is trained."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bakeoff.execution.probe import Probe, probe
from bakeoff.records import Numerics, OnStage
from bakeoff.spec import RunSpec
from bakeoff.study import Plan, runs_left
from bakeoff.study.costs import what_costs
from bakeoff.study.machine import makespan
from bakeoff.study.tuning import choose_numerics


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateForecast:
    """What one run of a candidate will take."""

    label: str
    runs: int
    probe: Probe
    seconds: float
    """Seconds of one run: training and evaluation."""

    images_per_second: float
    parameters: int
    macs: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a study will take on this machine."""

    candidates: list[CandidateForecast]
    workers: int
    threads: int
    seconds: float
    """Seconds from start to end, the runs spread over the workers in their order."""

    memory: int | None
    """Bytes: the workers' peaks together, at their worst; None where the system has no counter."""

    disk: int
    """Bytes the study's folder will take at its fullest."""

    disk_free: int
    """Bytes free where it will lie."""


def forecast(planned: Plan, on_stage: OnStage | None = None) -> Forecast:
    """Try every candidate that has runs left for a few steps, and add up what these will take.

    Candidates that differ only in what costs no time (learning rate, schedule, decay) share a trial. Trials run one
    at a time, so the forecast is optimistic by what parallel workers take from each other.

    Args:
        planned: The study.
        on_stage: Told of the progress.

    Raises:
        StudyError: If a trial fails, or the folder's database is damaged.
    """
    runs = runs_left(planned)
    if not runs:
        return Forecast(
            candidates=[],
            workers=planned.workers,
            threads=planned.threads,
            seconds=0.0,
            memory=0,
            disk=0,
            disk_free=shutil.disk_usage(_existing(planned.folder)).free,
        )
    candidates = {run.candidate.id: run for run in runs}
    numerics = choose_numerics(planned, list(candidates.values()), on_stage)
    probes = _trials(planned, list(candidates.values()), numerics, on_stage)
    rows = [_row(planned, run, probes[what_costs(run.candidate)], runs) for run in candidates.values()]
    seconds = {run.candidate.id: row.seconds for run, row in zip(candidates.values(), rows, strict=True)}
    at_once = min(planned.workers, len(runs))
    peaks = [row.probe.peak_memory for row in rows if row.probe.peak_memory is not None]
    checkpoint = max(row.probe.checkpoint for row in rows)
    kept = sum(row.parameters * 4 * row.runs for row in rows)
    return Forecast(
        candidates=rows,
        workers=planned.workers,
        threads=planned.threads,
        seconds=makespan([seconds[run.candidate.id] for run in runs], planned.workers),
        memory=max(peaks) * at_once if len(peaks) == len(rows) else None,
        disk=kept + 2 * checkpoint * at_once + _predictions_size(planned, len(runs)),
        disk_free=shutil.disk_usage(_existing(planned.folder)).free,
    )


def _trials(
    planned: Plan, runs: list[RunSpec], numerics: dict[str, Numerics], on_stage: OnStage | None
) -> dict[tuple[object, ...], Probe]:
    """Try one run of each candidate; return what was measured by what it depends on."""
    probes: dict[tuple[object, ...], Probe] = {}
    for done, run in enumerate(runs):
        if on_stage is not None:
            on_stage("trying each candidate", done, len(runs))
        key = what_costs(run.candidate)
        if key not in probes:
            probes[key] = probe(planned.task(run, numerics[run.id]))
    if on_stage is not None:
        on_stage("trying each candidate", len(runs), len(runs))
    return probes


def _row(planned: Plan, run: RunSpec, measured: Probe, runs: list[RunSpec]) -> CandidateForecast:
    candidate, study, dataset = run.candidate, planned.study, planned.dataset
    test = len(dataset.test)
    if study.limit:
        test = round(test * study.limit / len(dataset.train))
    validation = len(dataset.validation) if dataset.validation is not None else study.validation
    recipe = candidate.recipe
    rate = _images_per_second(planned, run, measured)
    epoch = planned.training_pictures / rate + validation * measured.seconds_a_scored_picture
    return CandidateForecast(
        label=planned.labels[candidate.id],
        runs=sum(other.candidate.id == candidate.id for other in runs),
        probe=measured,
        seconds=recipe.epochs * epoch + test * measured.seconds_a_scored_picture,
        images_per_second=rate,
        parameters=planned.parameters[candidate.id],
        macs=planned.macs[candidate.id],
        changes=planned.changes[candidate.id],
    )


def _images_per_second(planned: Plan, run: RunSpec, measured: Probe) -> float:
    """Return the rate that epochs were granted by, if that was measured here, so that both say the same; else this one's."""
    budget = planned.study.budget
    if budget is not None and budget.conditions == planned.conditions:
        granted = budget.grants[planned.study.candidates.index(run.candidate)].epoch.images_per_second
        if granted is not None:
            return granted
    return min(run.candidate.recipe.batch_size, planned.training_pictures) / measured.seconds_a_step


def _predictions_size(planned: Plan, runs: int) -> int:
    pictures, classes = len(planned.dataset.test), len(planned.dataset.classes)
    return runs * pictures * (2 * classes + 24)  # float16 logits and three int64


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that exists."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder
