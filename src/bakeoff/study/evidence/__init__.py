"""Gathering what the audit looks at, from the pictures and networks that a study is about to use."""

from __future__ import annotations

from collections.abc import Callable

from bakeoff.audit.evidence import Probes
from bakeoff.records import OneBatch, Repeat
from bakeoff.spec import RunSpec
from bakeoff.study.evidence.networks import NetworkProber
from bakeoff.study.evidence.pictures import baseline, data_probe
from bakeoff.study.evidence.views import ViewProber
from bakeoff.study.planned import Plan
from bakeoff.training.repeat import repeat_start
from bakeoff.training.setup import split_indices

__all__ = ["baseline", "by_heart", "gather", "repeated"]

STAGE = "looking at pictures and views"


def gather(planned: Plan, on_stage: Callable[[str, int, int | None], None] | None = None) -> Probes:
    """Measure a planned study's views, networks and pictures; nothing is trained.

    Args:
        planned: The study.
        on_stage: Told of the progress.
    """
    tell = on_stage or (lambda name, done, total: None)
    dataset, runs = planned.dataset, _first_runs(planned)
    indices = split_indices(dataset, next(iter(runs.values())))
    views, networks = ViewProber(dataset, indices), NetworkProber(dataset, indices)
    data = data_probe(dataset, indices, lambda done, total: tell("looking for copies of pictures", done, total))
    found_views, found_networks = {}, {}
    for done, (candidate, run) in enumerate(runs.items()):
        tell(STAGE, done, len(runs))
        found_views[candidate] = views.probe(run.candidate)
        found_networks[candidate] = networks.probe(run)
    tell(STAGE, len(runs), len(runs))
    return Probes(views=found_views, networks=found_networks, data=data)


def by_heart(planned: Plan, on_stage: Callable[[str, int, int | None], None] | None = None) -> dict[str, OneBatch]:
    """Have a fresh copy of each candidate's network learn a few pictures by heart; seconds to minutes for each.

    Args:
        planned: The study.
        on_stage: Told of the progress.

    Returns:
        What came of it, by candidate id.
    """
    tell = on_stage or (lambda name, done, total: None)
    dataset, runs = planned.dataset, _first_runs(planned)
    prober = NetworkProber(dataset, split_indices(dataset, next(iter(runs.values()))))
    found = {}
    for done, (candidate, run) in enumerate(runs.items()):
        tell("learning one batch by heart", done, len(runs))
        found[candidate] = prober.learn_by_heart(run, planned.device)
    tell("learning one batch by heart", len(runs), len(runs))
    return found


def repeated(planned: Plan, on_stage: Callable[[str, int, int | None], None] | None = None) -> dict[str, Repeat]:
    """Take the first steps of a run of each candidate again; seconds to minutes for each that trains in a way of its own.

    Convolutions are PyTorch's own here: those chosen by measuring would have to be measured first.

    Args:
        planned: The study.
        on_stage: Told of the progress.

    Returns:
        What came of it, by candidate id; candidates that differ in nothing but numbers of their recipe share it.
    """
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
