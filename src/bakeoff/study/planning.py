"""From a specification to a plan: pictures decoded, networks checked, nothing left to decide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bakeoff.data import KNOWN_SOURCES, Dataset, prepare
from bakeoff.data.cache import cache_root
from bakeoff.errors import SpecError, StudyError, near_miss
from bakeoff.flags import several
from bakeoff.records import OnStage
from bakeoff.spec import CandidateSpec, DataFacts, ResolvedStudy, StudySpec, content_id, labels
from bakeoff.study.budgets import granted
from bakeoff.study.folder import Study, refuse_other, stored_study
from bakeoff.study.machine import divide_cores, resolve_device
from bakeoff.study.planned import Plan
from bakeoff.study.remembered import Remembered


class Network(NamedTuple):
    """What is told of a network that can be built."""

    changes: tuple[str, ...]
    parameters: int
    macs: int


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
    on_stage: OnStage | None = None,
) -> Plan:
    """Find and decode the pictures, fill in every default, and check that every network can be built.

    A study that its folder holds already is planned as it stands there, with the epochs that were granted and the seeds
    that were added. The epochs of a new one under `time` are decided here, by measuring.

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
        on_stage: Told of the progress of decoding and measuring.

    Raises:
        SpecError: If something does not exist or cannot be combined.
        DataError: If the pictures cannot be used.
        StudyError: If the folder holds a study with other settings.
    """
    asked, dataset = _asked(spec, data_dir, cache_dir, on_stage)
    folder = out or Path("results") / (f"{spec.name}-{_short_id(asked)}" if adapted else spec.name)
    stored = stored_study(folder)
    if stored is not None:
        refuse_other(folder, stored.asked(), asked)
        # What may be other than at the first start: what is declared, what is told, and where the same pictures lie now.
        stored = stored.model_copy(update={name: getattr(asked, name) for name in ("audit", "description", "source")})
    planned = plan_resolved(
        stored or asked,
        dataset,
        folder=folder,
        cache=cache_root(cache_dir),
        device=device,
        workers=workers,
        only=only,
        tune=tune,
        costs=costs,
    )
    return planned if planned.study.decided else granted(planned, on_stage)


def plan_to_look_at(
    spec: StudySpec,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: OnStage | None = None,
) -> Plan:
    """Plan a study that is not going to be run, whatever its folder holds.

    Under `time`, whose epochs only measuring decides, it has those asked for.

    Args:
        spec: What to compare.
        data_dir: As `plan`.
        cache_dir: As `plan`.
        on_stage: As `plan`.

    Raises:
        SpecError: As `plan`.
        DataError: As `plan`.
    """
    asked, dataset = _asked(spec, data_dir, cache_dir, on_stage)
    planned = plan_resolved(asked, dataset, folder=Path("results") / spec.name, cache=cache_root(cache_dir))
    return granted(planned) if asked.protocol == "flops" else planned


def _asked(
    spec: StudySpec,
    data_dir: Path | None,
    cache_dir: Path | None,
    on_stage: OnStage | None,
) -> tuple[ResolvedStudy, Dataset]:
    """Return a study with its defaults filled in, and its pictures."""
    known = Remembered(cache_root(cache_dir))
    for grid in spec.candidates:
        for model in several(grid.model):
            known.fact(bool, ["there is a network", model], partial(_there_is, model))
    dataset = prepare(
        spec.data.source, size=spec.data.size, data_dir=data_dir, cache_dir=cache_dir, on_progress=on_stage
    )
    source = spec.data.source
    if source not in KNOWN_SOURCES and Path(source).exists():
        place = str(Path(source).resolve())
        _check_text(place)
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": place})})
    return spec.resolve(facts_of(dataset, spec.data.limit)), dataset


def _check_text(place: str) -> None:
    """Check that a path can be written into a study's file.

    Raises:
        SpecError: If it has bytes that are no UTF-8.
    """
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise SpecError(
            f"the path of a study's pictures must be UTF-8, as its file is, but got {place!r}; rename what is not, or link to it"
        ) from error


def _there_is(model: str) -> bool:
    """Return True.

    Raises:
        SpecError: If there is no network of this name.
        MissingExtraError: If it is timm's and timm is not installed.
    """
    from bakeoff import models  # torch loads here, not when the command line starts

    models.check_name(model)
    return True


def _short_id(asked: ResolvedStudy) -> str:
    """Return six digits that name what was asked for, before anything of it is measured."""
    if asked.budget is None:
        return asked.id[:6]
    return content_id([asked.id, asked.protocol, asked.budget.given])[:6]


def plan_folder(
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    only: Sequence[str] = (),
    tune: bool = True,
    despite: Sequence[str] = (),
    costs: bool = True,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: OnStage | None = None,
) -> Plan:
    """Plan to go on with a study from its folder alone.

    Args:
        folder: Of the study.
        device: As `plan`.
        workers: As `plan`.
        only: As `plan`.
        tune: As `plan`.
        costs: As `plan`.
        despite: Rules of the audit whose errors do not keep it from being trained, besides those that it names.
        data_dir: As `plan`.
        cache_dir: As `plan`.
        on_stage: As `plan`.

    Raises:
        StudyError: If it is no study folder, or its pictures have changed.
        DataError: If its pictures cannot be found.
    """
    study = Study(folder).spec
    if despite:
        insisted = dict.fromkeys(despite, "") | study.audit.despite
        study = study.model_copy(update={"audit": study.audit.model_copy(update={"despite": insisted})})
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
    if dataset.fingerprint != study.fingerprint:
        raise StudyError(
            f"a study must go on with the pictures it began with, but those of {study.source} have changed since "
            f"(fingerprint {study.fingerprint} -> {dataset.fingerprint}); restore them, or choose another folder with --out"
        )
    device = resolve_device(device)
    changes, parameters, macs = {}, {}, {}
    known, classes = Remembered(cache), len(dataset.classes)
    for candidate in study.candidates:
        size, early = candidate.input_size(dataset.size), [side for side, _ in candidate.recipe.early_sizes]
        key = ["network built", candidate.model, candidate.stem, classes, size, early]
        network = known.fact(Network, key, partial(_built, candidate, dataset))
        changes[candidate.id], parameters[candidate.id], macs[candidate.id] = network
    names = labels(study.candidates)
    # Seeds that are added later are run as the study's first were.
    workers, threads = divide_cores(len(study.asked().runs()), workers, device)
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


def _built(candidate: CandidateSpec, dataset: Dataset) -> Network:
    """Build a candidate's network, and say what it is.

    Raises:
        SpecError: If it cannot take the study's inputs.
    """
    from bakeoff import cost, models
    from bakeoff.training.threads import torch_threads

    size = candidate.input_size(dataset.size)
    with torch_threads(1):  # of one picture; another core is busy with the loading of a worker
        built = models.build(candidate.model, classes=len(dataset.classes), stem=candidate.stem, size=size)
        for side, _ in candidate.recipe.early_sizes:
            models.check_early_size(built.module, candidate.model, side)
        return Network(built.changes, cost.parameters(built.module), cost.macs(built.module, size))
