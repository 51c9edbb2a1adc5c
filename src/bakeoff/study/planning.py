"""From a specification to a plan: pictures decoded, networks checked, nothing left to decide."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.data import KNOWN_SOURCES, Dataset, prepare
from bakeoff.data.cache import cache_root
from bakeoff.errors import SpecError, StudyError, near_miss
from bakeoff.execution.messages import Task
from bakeoff.records import Numerics
from bakeoff.spec import DataFacts, ResolvedStudy, RunSpec, StudySpec, labels
from bakeoff.study.folder import Study, predictions_path
from bakeoff.study.machine import divide_cores, resolve_device


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

    cache: Path
    """Where decoded pictures and what was measured of this machine are kept."""

    tune: bool = True
    """Whether convolutions choose their algorithm by measuring; if not, all are the library's."""

    costs: bool = True
    """Whether to measure what each candidate costs, once its runs have ended."""

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

    def numerics(self, run: RunSpec, convolutions: dict[str, list[str]] | None = None) -> Numerics:
        """Return what a run that starts now would decide its last bits by, with these algorithms for its convolutions."""
        return Numerics(
            device=self.device,
            threads=self.threads,
            channels_last=True,
            micro_batch=run.candidate.recipe.batch_size,
            convolutions=convolutions or {},
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


def plan(
    spec: StudySpec,
    *,
    out: Path | None = None,
    adapted: bool = False,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    tune: bool = True,
    costs: bool = True,
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
        tune: Whether convolutions choose their algorithm by measuring on this machine.
        costs: Whether to measure what each candidate costs, once its runs have ended.
        data_dir: Where downloaded data sets are kept.
        cache_dir: Where decoded pictures and what was measured of this machine are kept.
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
    if source not in KNOWN_SOURCES and Path(source).exists():
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": str(Path(source).resolve())})})
    study = spec.resolve(facts_of(dataset, spec.data.limit))
    folder = out or Path("results") / (f"{spec.name}-{study.id[:6]}" if adapted else spec.name)
    return plan_resolved(
        study,
        dataset,
        folder=folder,
        cache=cache_root(cache_dir),
        device=device,
        workers=workers,
        only=only,
        tune=tune,
        costs=costs,
    )


def plan_folder(
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    tune: bool = True,
    costs: bool = True,
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
    return plan_resolved(
        study,
        dataset,
        folder=folder,
        cache=cache_root(cache_dir),
        device=device,
        workers=workers,
        only=only,
        tune=tune,
        costs=costs,
    )


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
    cache: Path,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    tune: bool = True,
    costs: bool = True,
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
        for side, _ in candidate.recipe.early_sizes:
            models.check_early_size(built.module, candidate.model, side)
        changes[candidate.id] = built.changes
        parameters[candidate.id] = cost.parameters(built.module)
        macs[candidate.id] = cost.macs(built.module, size)
    names = labels(study.candidates)
    workers, threads = divide_cores(len(study.runs()), workers, device)
    planned = Plan(
        study=study,
        dataset=dataset,
        folder=folder,
        cache=cache,
        tune=tune,
        costs=costs,
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
