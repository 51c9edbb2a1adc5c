"""Adding just the seeds that would settle a finished study's verdict."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pandas as pd

from bakeoff.analysis.decision import MOST_LOOKS
from bakeoff.analysis.further_seeds import DEFAULT_MOST_SEEDS, FurtherSeeds, further_seeds
from bakeoff.errors import SpecError
from bakeoff.execution.local import EarlyWorker
from bakeoff.records import RunStatus
from bakeoff.spec import ResolvedStudy
from bakeoff.study.driver import Outcome, Watcher, execute, runs_left
from bakeoff.study.folder import Study, stored_study
from bakeoff.study.machine import makespan
from bakeoff.study.planned import Plan
from bakeoff.words import duration, plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Seeds that are added to a study at once, and why."""

    number: int
    """Counted from 1, those of earlier commands among them."""

    verdict: list[str]
    """The verdict before the round, in sentences."""

    further: FurtherSeeds
    added: dict[str, list[int]]
    """The new seeds, by candidate id; none where the rounds have come to their end."""

    labels: dict[str, str]
    """Labels of the candidates, by id."""

    seconds: float
    """What they will take, judging by the seeds that are there."""

    def sentences(self) -> list[str]:
        """Return what is added to settle the verdict, or why nothing is."""
        if not self.added:
            nothing = [
                *self.verdict,
                "Among the candidates that can be judged nothing is open: no more seeds are added.",
            ]
            return [*self.further.beyond, "No more seeds are added."] if self.further.beyond else nothing
        each = [f"{self.labels[one]} gets {_seeds_words(seeds)}" for one, seeds in self.added.items()]
        runs = plural(sum(map(len, self.added.values())), "run")
        plan = f"Round {self.number} to settle it: {'; '.join(each)} ({runs}, about {duration(self.seconds)})."
        return [*self.verdict, *self.further.beyond, plan]


def _seeds_words(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def settle(
    planned: Plan, watcher: Watcher, *, most_seeds: int = DEFAULT_MOST_SEEDS, early: EarlyWorker | None = None
) -> tuple[Study, Outcome]:
    """Run what is left of a study, then add seeds, round by round, until its verdict is settled.

    Each round adds what the verdict says would settle the open pairs of the leader, to the candidates concerned alone.
    It ends when nothing is open, when seeds within the bound would not settle what is, when the verdict has been looked
    at as often as it may be, or when runs fail. That seeds are added by what results show is written to the study's file
    before the first look, since each look must be the stricter for it; so is a round before it runs, and the same command
    goes on after anything.

    Args:
        planned: The study.
        watcher: Who is shown the progress, and told of each round before it runs and of the end.
        most_seeds: Of one candidate, those that it has among them.
        early: A worker that was started while the study was planned.

    Raises:
        SpecError: If only some candidates are to run.
        StudyError: As `execute`.
    """
    _check_all_run(planned)
    planned = replace(planned, study=planned.study.to_be_settled())
    study, outcome = execute(planned, watcher, early)
    while not (outcome.interrupted or outcome.failed):
        coming = next_round(study, planned, most_seeds)
        for sentence in coming.sentences():
            watcher.tell(sentence)
        if not coming.added:
            break
        planned = replace(planned, study=planned.study.with_further_seeds(coming.added))
        study, outcome = execute(planned, watcher, written_down=True)
    return study, outcome


def _check_all_run(planned: Plan) -> None:
    """Refuse to settle a verdict on some of the candidates.

    Raises:
        SpecError: If only some are to run.
    """
    if planned.only:
        raise SpecError(
            f"a verdict needs all candidates, but --only {', '.join(planned.only)} came with --settle; leave one of them out"
        )


def foreseen_round(planned: Plan, most_seeds: int = DEFAULT_MOST_SEEDS) -> Round | None:
    """Return the round that `settle` would begin with, without running it; None while runs of the study are left."""
    _check_all_run(planned)
    if stored_study(planned.folder) is None:
        return None
    study = Study(planned.folder)
    study.spec = study.spec.to_be_settled()  # its verdict is the one that `settle` goes by
    return None if runs_left(planned) else next_round(study, planned, most_seeds)


def next_round(study: Study, planned: Plan, most_seeds: int) -> Round:
    """Return the seeds that would settle a study's verdict as it stands now."""
    verdict, spec = study.verdict(), study.spec
    attempted = {one.id: len(spec.seeds_of(one.id)) for one in spec.candidates}
    further = further_seeds(verdict, attempted, most=most_seeds, last=len(spec.further_seeds) + 1 >= MOST_LOOKS)
    added = {one: _new_seeds(spec, one, number) for one, number in further.seeds.items()}
    return Round(
        number=len(spec.further_seeds) + 1,
        verdict=verdict.sentences(),
        further=further,
        added=added,
        labels=planned.labels,
        seconds=_foreseen_seconds(study, planned, added),
    )


def _new_seeds(spec: ResolvedStudy, candidate_id: str, number: int) -> list[int]:
    """Return the lowest seeds that a candidate does not have."""
    taken = set(spec.seeds_of(candidate_id))
    return list(itertools.islice((seed for seed in itertools.count() if seed not in taken), number))


def _foreseen_seconds(study: Study, planned: Plan, added: dict[str, list[int]]) -> float:
    """Return what new runs will take, if each takes what its candidate's finished ones took in the mean."""
    runs, epochs = study.runs(), study.epochs()
    by_run = epochs.groupby("run_id")[["seconds_train", "seconds_evaluate", "seconds_wait"]].sum().sum(axis=1)
    done = runs[runs["status"] == RunStatus.DONE].set_index("run_id")
    took: pd.Series = (by_run.reindex(done.index) + done["seconds_test"]).groupby(done["candidate_id"]).mean()
    return makespan([float(took[one]) for one, seeds in added.items() for _ in seeds], planned.workers)
