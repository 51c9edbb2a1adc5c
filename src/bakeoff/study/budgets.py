"""Fair budgets: what an epoch of each candidate takes, measured or counted before the runs begin, and the epochs granted."""

from __future__ import annotations

import functools
import statistics
from typing import TYPE_CHECKING

from bakeoff.execution.messages import Task
from bakeoff.execution.probe import Trials
from bakeoff.records import OnStage
from bakeoff.spec import CandidateSpec, EpochCost
from bakeoff.study.costs import what_costs
from bakeoff.study.planned import Plan
from bakeoff.study.tuning import choose_numerics

if TYPE_CHECKING:
    from torch import nn

ROUNDS = 3
"""How often each candidate's throughput is measured, in turns, so that what disturbs the machine hits all alike; the
median counts."""

STAGE = "measuring throughput"


def granted(planned: Plan, on_stage: OnStage | None = None) -> Plan:
    """Give each candidate the whole epochs that the study's budget affords.

    Under `time` each is tried with the convolutions that its runs will use, in as many processes at once as runs will
    keep busy, all on the same candidate: its neighbours in the study vary, but none is then favoured by lighter ones.
    Under `flops` nothing is measured: multiply-accumulates are counted.

    Args:
        planned: A study under `time` or `flops`, as it was asked for.
        on_stage: Told of the progress of measuring.

    Raises:
        SpecError: If a warm-up would not end within the epochs granted.
        StudyError: If a trial fails.
    """
    if planned.study.protocol == "time":
        study = planned.study.granted(_measured(planned, on_stage), planned.conditions)
    else:
        study = planned.study.granted([_counted(planned, candidate) for candidate in planned.study.candidates])
    return planned.with_granted(study)


def _measured(planned: Plan, on_stage: OnStage | None) -> list[EpochCost]:
    """Return the seconds that an epoch of each candidate takes, in their order."""
    runs = {run.candidate.id: run for run in planned.study.runs()}
    numerics = choose_numerics(planned, list(runs.values()), on_stage)
    tasks: dict[tuple[object, ...], Task] = {}
    for run in runs.values():
        tasks.setdefault(what_costs(run.candidate), planned.task(run, numerics[run.id]))
    seconds: dict[tuple[object, ...], list[float]] = {key: [] for key in tasks}
    with Trials(planned.conditions.at_once, planned.threads) as trials:
        for number in range(ROUNDS):
            # Every other round in the opposite order: what slows or speeds the machine steadily then cancels out.
            for key, task in list(tasks.items())[:: 1 if number % 2 == 0 else -1]:
                seconds[key].append(trials.measure(task).seconds_a_step)
                if on_stage is not None:
                    on_stage(STAGE, sum(map(len, seconds.values())), ROUNDS * len(tasks))
    return [_epoch(planned, one, seconds[what_costs(one)]) for one in planned.study.candidates]


def _epoch(planned: Plan, candidate: CandidateSpec, seconds_a_step: list[float]) -> EpochCost:
    pictures = planned.training_pictures
    rate = min(candidate.recipe.batch_size, pictures) / statistics.median(seconds_a_step)
    spread = (max(seconds_a_step) - min(seconds_a_step)) / statistics.median(seconds_a_step)
    return EpochCost(amount=pictures / rate, images_per_second=rate, spread=spread)


def _counted(planned: Plan, candidate: CandidateSpec) -> EpochCost:
    """Return the multiply-accumulates of an epoch's training."""
    from bakeoff import cost, models  # torch is loaded by now, not when the command line starts

    @functools.cache
    def network() -> nn.Module:
        size, classes = candidate.input_size(planned.dataset.size), len(planned.dataset.classes)
        return models.build(candidate.model, classes=classes, stem=candidate.stem, size=size).module

    def macs_at(side: int | None) -> int:
        return planned.macs[candidate.id] if side is None else cost.macs(network(), side)

    return EpochCost(amount=cost.train_macs(candidate.recipe, macs_at) * planned.training_pictures)
