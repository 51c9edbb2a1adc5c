"""Gathering what the audit looks at, from the pictures and networks that a study is about to use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from bakeoff.audit.evidence import DataProbe, NetworkProbe, Probes, ViewProbe
from bakeoff.data import Dataset
from bakeoff.data.splits import SplitIndices, split_indices
from bakeoff.records import OneBatch, OnStage, Repeat
from bakeoff.spec import RunSpec
from bakeoff.study.evidence.pictures import baseline, data_probe
from bakeoff.study.planned import Plan
from bakeoff.study.remembered import Remembered

if TYPE_CHECKING:
    from bakeoff.study.evidence.networks import NetworkProber
    from bakeoff.study.evidence.views import ViewProber

__all__ = ["baseline", "by_heart", "gather", "repeated"]

STAGE = "looking at pictures and views"


def gather(planned: Plan, on_stage: OnStage | None = None) -> Probes:
    """Measure a planned study's views, networks and pictures; nothing is trained.

    What an earlier study has measured of the same is remembered.

    Args:
        planned: The study.
        on_stage: Told of the progress.
    """
    tell = on_stage or (lambda name, done, total: None)
    runs, known = _first_runs(planned), Remembered(planned.cache)
    some = next(iter(runs.values()))
    look = _Look(planned.dataset, some)
    of = [planned.dataset.fingerprint, some.limit, some.validation, some.split_seed]
    data = known.fact(
        DataProbe,
        ["pictures", planned.dataset.name, planned.dataset.flippable, *of],
        lambda: look.at_pictures(lambda done, total: tell("looking for copies of pictures", done, total)),
    )
    views, networks = {}, {}
    for done, (candidate, run) in enumerate(runs.items()):
        tell(STAGE, done, len(runs))
        views[candidate] = known.fact(ViewProbe, ["views", *of, *_seen(run)], partial(look.at_views, run))
        networks[candidate] = known.fact(NetworkProbe, ["network", *of, *_decides(run)], partial(look.at_network, run))
    tell(STAGE, len(runs), len(runs))
    return Probes(views=views, networks=networks, data=data)


class _Look:
    """What measures a study's pictures, views and networks; torch loads with the first that is asked for."""

    def __init__(self, dataset: Dataset, run: RunSpec) -> None:
        self._dataset, self._run = dataset, run

    def at_pictures(self, on_progress: Callable[[int, int], None]) -> DataProbe:
        return data_probe(self._dataset, self._indices, on_progress)

    def at_views(self, run: RunSpec) -> ViewProbe:
        return self._views.probe(run.candidate)

    def at_network(self, run: RunSpec) -> NetworkProbe:
        return self.networks.probe(run)

    @cached_property
    def _indices(self) -> SplitIndices:
        return split_indices(self._dataset, self._run)

    @cached_property
    def _views(self) -> ViewProber:
        from bakeoff.study.evidence.views import ViewProber

        return ViewProber(self._dataset, self._indices)

    @cached_property
    def networks(self) -> NetworkProber:
        from bakeoff.study.evidence.networks import NetworkProber

        return NetworkProber(self._dataset, self._indices)


def _seen(run: RunSpec) -> list[object]:
    """Return what decides a run's views of its pictures."""
    candidate = run.candidate.model_dump(mode="json")
    return [candidate[name] for name in ("train_view", "evaluate_view", "normalization")]


def _decides(run: RunSpec) -> list[object]:
    """Return what decides the network that a run begins with, and what it is shown."""
    candidate = run.candidate
    early = candidate.recipe.model_dump(mode="json")["early_sizes"]
    return [candidate.model, candidate.stem, *_seen(run), early, run.precision, run.seed]


def by_heart(planned: Plan, on_stage: OnStage | None = None) -> dict[str, OneBatch]:
    """Have a fresh copy of each candidate's network learn a few pictures by heart; seconds to minutes for each.

    Args:
        planned: The study.
        on_stage: Told of the progress.

    Returns:
        What came of it, by candidate id.
    """
    tell = on_stage or (lambda name, done, total: None)
    runs, found = _first_runs(planned), {}
    prober = _Look(planned.dataset, next(iter(runs.values()))).networks
    for done, (candidate, run) in enumerate(runs.items()):
        tell("learning one batch by heart", done, len(runs))
        found[candidate] = prober.learn_by_heart(run, planned.device)
    tell("learning one batch by heart", len(runs), len(runs))
    return found


def repeated(planned: Plan, on_stage: OnStage | None = None) -> dict[str, Repeat]:
    """Take the first steps of a run of each candidate again; seconds to minutes for each that trains in a way of its own.

    Convolutions are PyTorch's own here: those chosen by measuring would have to be measured first.

    Args:
        planned: The study.
        on_stage: Told of the progress.

    Returns:
        What came of it, by candidate id; candidates that differ in nothing but numbers of their recipe share it.
    """
    from bakeoff.training.repeat import repeat_start

    tell = on_stage or (lambda name, done, total: None)
    runs, found, known = _first_runs(planned), {}, {}
    for done, (candidate, run) in enumerate(runs.items()):
        tell("taking first steps again", done, len(runs))
        one = run.candidate
        key = (one.model, one.stem, one.train_view, str(one.normalization), one.recipe.optimizer, one.recipe.batch_size)
        if key not in known:
            known[key] = repeat_start(run, planned.dataset, planned.numerics(run))
        found[candidate] = known[key]
    tell("taking first steps again", len(runs), len(runs))
    return found


def _first_runs(planned: Plan) -> dict[str, RunSpec]:
    """Return a run of each candidate, by its id."""
    study = planned.study
    return {candidate.id: study.run_of(candidate, study.seeds[0]) for candidate in study.candidates}
