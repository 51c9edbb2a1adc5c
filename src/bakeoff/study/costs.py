"""What the candidates of a study cost, measured once its runs have ended; and what any network costs by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bakeoff.cost_records import Cost, known_costs
from bakeoff.data.cache import cache_root
from bakeoff.execution.machine import usable_cores
from bakeoff.records import Numerics, OnStage, RunStatus
from bakeoff.spec import CandidateSpec, DataFacts, RunSpec, StudySpec
from bakeoff.store import Store
from bakeoff.study.machine import resolve_device
from bakeoff.study.planned import Plan, compiled_normalization
from bakeoff.study.tuning import choose_algorithms, job_of

if TYPE_CHECKING:
    from bakeoff.cost.messages import Work
    from bakeoff.cost.turns import Unmeasured

STAGE = "measuring costs"


def what_costs(candidate: CandidateSpec) -> tuple[object, ...]:
    """Return what of a candidate decides its time and memory: candidates with the same share a measurement."""
    recipe = candidate.recipe
    return (
        candidate.model,
        candidate.stem,
        candidate.train_view,
        candidate.evaluate_view,
        recipe.optimizer,
        recipe.momentum > 0,
        recipe.batch_size,
        recipe.early_sizes,
    )


def measure_costs(planned: Plan, store: Store, *, on_stage: OnStage, warn: Callable[[str], None]) -> None:
    """Measure in short what the candidates with a finished run cost, and store it; what is known stays.

    Where something was missing, and what is known was measured under other conditions (another processor, other
    threads), that is measured again, so that a study's costs can be compared.

    Args:
        planned: The study. All its processes rest.
        store: Its results.
        on_stage: Told of the progress.
        warn: Told which candidate could not be measured, and why.
    """
    known = known_costs(store.costs())
    runs = _finished(planned, store)
    new = _measured(planned, store, [run for run in runs if run.candidate.id not in known], on_stage, warn)
    if new:
        now = next(iter(new.values())).conditions
        stale = {name for name, cost in known.items() if cost.conditions.differences(now)}
        _measured(planned, store, [run for run in runs if run.candidate.id in stale], on_stage, warn)


def _finished(planned: Plan, store: Store) -> list[RunSpec]:
    """Return a run of each candidate that has one whose training came to an end."""
    statuses = store.statuses()
    ended = [run for run in planned.study.runs() if statuses.get(run.id) in (RunStatus.DONE, RunStatus.DIVERGED)]
    return list({run.candidate.id: run for run in reversed(ended)}.values())[::-1]


def _measured(
    planned: Plan, store: Store, runs: Sequence[RunSpec], on_stage: OnStage, warn: Callable[[str], None]
) -> dict[str, Cost]:
    """Measure the candidates of runs, those that cost the same once; store and return what they cost, by candidate id."""
    alike: dict[tuple[object, ...], list[RunSpec]] = {}
    works: dict[tuple[object, ...], Work] = {}
    for run in runs:
        work = _work(planned, store, run)
        key = (*what_costs(run.candidate), work.numerics.micro_batch)
        alike.setdefault(key, []).append(run)
        works.setdefault(key, work)
    found: dict[str, Cost] = {}
    for key, cost in zip(works, _short(list(works.values()), on_stage), strict=True):
        for run in alike[key]:
            if isinstance(cost, Cost):
                found[run.candidate.id] = cost
                store.set_costs(run.candidate.id, cost.to_json())
            else:
                warn(f"what {planned.labels[run.candidate.id]} costs could not be measured: {cost.reason}")
    return found


def _short(works: list[Work], on_stage: OnStage) -> list[Cost | Unmeasured]:
    if not works:
        return []
    from bakeoff.cost.effort import QUICK
    from bakeoff.cost.turns import measure

    return measure(works, QUICK, lambda done, total: on_stage(STAGE, done, total))


def _work(planned: Plan, store: Store, run: RunSpec) -> Work:
    """Return a candidate as it was trained, with this command's device and threads."""
    from bakeoff.cost.messages import Work

    numerics = store.numerics(run.id) or planned.numerics(run)
    epochs = store.epochs_frame()
    micro_batches = epochs.loc[epochs["run_id"] == run.id, "micro_batch"]
    return Work(
        run=run,
        numerics=replace(
            numerics,
            device=planned.device,
            threads=planned.threads,
            micro_batch=int(micro_batches.min()) if len(micro_batches) else numerics.micro_batch,
            convolutions=numerics.convolutions if planned.device == "cpu" else {},
            normalization=numerics.normalization if planned.device == "cpu" else "library",
        ),
        dataset=planned.dataset.folder,
        classes=len(planned.dataset.classes),
        picture=planned.dataset.size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A network by itself, and what it costs."""

    model: str
    changes: tuple[str, ...]
    """What the small-input rule changed in it, in words."""

    cost: Cost | None
    reason: str | None
    """Why it could not be measured."""


def profile(
    models: Sequence[str],
    *,
    size: int = 224,
    classes: int = 10,
    batch_size: int = 64,
    stem: str = "auto",
    precision: str = "float32",
    optimizer: str = "adam",
    device: str = "auto",
    threads: int | None = None,
    rounds: int | None = None,
    quick: bool = False,
    tune: bool = True,
    on_stage: OnStage = lambda name, done, total: None,
) -> list[Profiled]:
    """Measure what networks cost by themselves, by turns.

    Args:
        models: Their names.
        size: Side of their input in pixels.
        classes: Number of their outputs.
        batch_size: Pictures a step of training.
        stem: `auto`, `original` or `small`.
        precision: `float32` or `bfloat16`.
        optimizer: Of the training figures.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: Default all cores.
        rounds: Turns of each network; default as the effort has it. As much is measured in all.
        quick: Whether to measure in short.
        tune: Whether convolutions choose their algorithm for training by measuring, and normalisation is compiled, as in
            a study; if not, all is PyTorch's.
        on_stage: Told of the progress.

    Returns:
        One entry a network, in the order given.

    Raises:
        SpecError: If there is no such network, it cannot take such pictures, or a setting is not allowed.
        StudyError: If measuring the convolutions fails.
    """
    from bakeoff.cost.effort import FULL, QUICK
    from bakeoff.cost.messages import Work
    from bakeoff.cost.turns import measure

    names = list(dict.fromkeys(models))
    runs = _runs(names, size, classes, batch_size, stem, precision, optimizer)
    changes = [_changes(run.candidate, classes, size) for run in runs]
    device, threads = resolve_device(device), threads or usable_cores()
    chosen = _algorithms(runs, classes, size, threads, on_stage) if tune and device == "cpu" else [{} for _ in runs]
    normalization = "joined" if tune and compiled_normalization(device, cache_root(None)) else "library"
    numerics = [
        Numerics(
            device=device,
            threads=threads,
            channels_last=True,
            micro_batch=batch_size,
            convolutions=convolutions,
            normalization=normalization,
        )
        for convolutions in chosen
    ]
    works = [
        Work(run=run, numerics=decided, dataset=None, classes=classes, picture=size)
        for run, decided in zip(runs, numerics, strict=True)
    ]
    effort = QUICK if quick else FULL
    found = measure(
        works, effort if rounds is None else effort.in_rounds(rounds), lambda done, total: on_stage(STAGE, done, total)
    )
    return [_profiled(*one) for one in zip(names, changes, found, strict=True)]


def _runs(
    models: list[str], size: int, classes: int, batch_size: int, stem: str, precision: str, optimizer: str
) -> list[RunSpec]:
    """Return a run of each network in a study that has nothing but noise for pictures."""
    from bakeoff.models import check_name

    for name in models:
        check_name(name)
    study: dict[str, Any] = {
        "stem": stem,
        "precision": precision,
        "recipe": {"batch_size": batch_size, "optimizer": optimizer},
        "candidates": [{"model": models}],
    }
    facts = DataFacts(
        fingerprint="noise",
        size=size,
        train_pictures=batch_size,
        classes=classes,
        has_validation=True,
        flippable=True,
    )
    return StudySpec.from_mapping(study, where="the command").resolve(facts).runs()


def _changes(candidate: CandidateSpec, classes: int, size: int) -> tuple[str, ...]:
    from bakeoff import models

    return models.build(candidate.model, classes=classes, stem=candidate.stem, size=size).changes


def _algorithms(
    runs: list[RunSpec], classes: int, size: int, threads: int, on_stage: OnStage
) -> list[dict[str, list[str]]]:
    """Return the algorithms that each network's convolutions choose by measuring."""
    jobs = [job_of(run, classes=classes, picture=size, pictures=run.candidate.recipe.batch_size) for run in runs]
    chosen = choose_algorithms(jobs, threads, cache_root(None), on_stage)
    return [chosen[job] for job in jobs]


def _profiled(model: str, changes: tuple[str, ...], found: Cost | Unmeasured) -> Profiled:
    if isinstance(found, Cost):
        return Profiled(model=model, changes=changes, cost=found, reason=None)
    return Profiled(model=model, changes=changes, cost=None, reason=found.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """A layer, and its multiply-accumulates for one picture: by formula, and as torch counts them."""

    name: str
    kind: str
    """`depthwise`, `pointwise`, `convolution`, `linear` or `product`."""

    numbers: str
    """The formula of its kind with its numbers; empty for a product."""

    by_formula: int | None
    counted: int
    ratio: float | None
    """Ratio of a depthwise layer and the pointwise one behind it to the convolution that they stand for: 1/N + 1/D_K². It
    stands with the pointwise layer."""

    ratio_counted: float | None


def layers_of(model: str, *, size: int = 224, classes: int = 10, stem: str = "auto") -> list[LayerRow]:
    """Return the layers of a network with their multiply-accumulates; nothing is timed.

    Raises:
        SpecError: If there is no such network, or it cannot take such pictures.
    """
    from bakeoff import cost, models
    from bakeoff.cost import formulas

    (run,) = _runs([model], size, classes, 1, stem, "float32", "adam")
    network = models.build(model, classes=classes, stem=run.candidate.stem, size=size).module
    layers = cost.layers(network, size)
    pairs = {pair.pointwise.name: pair for pair in formulas.separable(layers)}
    return [
        LayerRow(
            name=layer.name,
            kind=layer.kind.value,
            numbers=formulas.in_numbers(layer),
            by_formula=formulas.by_formula(layer),
            counted=layer.macs,
            ratio=pairs[layer.name].ratio if layer.name in pairs else None,
            ratio_counted=pairs[layer.name].counted if layer.name in pairs else None,
        )
        for layer in layers
    ]
