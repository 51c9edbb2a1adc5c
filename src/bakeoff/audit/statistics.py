"""The rules on the statistics of a comparison, S1 to S6: each gathers its evidence and hands it to a check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from bakeoff.analysis.decision import Decision
from bakeoff.analysis.ranking import training_seconds
from bakeoff.analysis.seed_plan import SeedSpread, spread_of
from bakeoff.analysis.verdict import Verdict
from bakeoff.audit.evidence import DataProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.selection_checks import s6_winners_curse
from bakeoff.audit.settings import subjects
from bakeoff.audit.statistics_checks import s1_seeds, s2_claims, s3_resolution, s4_stability, s5_multiplicity
from bakeoff.audit.words import named
from bakeoff.errors import StudyError
from bakeoff.records import ENDED, RunStatus
from bakeoff.spec import ResolvedStudy


@rule(
    "S1",
    "too few seeds",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="which candidate is better",
    needs=("study", "labels"),
    uses=("runs", "epochs"),
)
def seeds(
    *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame | None, epochs: pd.DataFrame | None
) -> Iterator[Finding]:
    """Every candidate must have several seeds: those that finished, or before training those that are planned."""
    counts = {candidate.id: len(study.seeds_of(candidate.id)) for candidate in study.candidates}
    seconds, without = None, []
    if runs is not None and epochs is not None and (len(epochs) or runs["status"].isin(ENDED).any()):
        done = runs[runs["status"] == RunStatus.DONE].groupby("candidate_id").size()
        counts = {str(one): int(count) for one, count in done.items()}
        seconds = _seconds_per_run(runs, epochs)
        without = _ended_for_nothing(runs)
    yield s1_seeds(seeds, seeds=counts, labels=labels, seconds_per_run=seconds)
    if without and len(counts) > 1:
        yield seeds.not_run(f"no seed of {named(without, study, labels)} finished", candidates=without)


def _ended_for_nothing(runs: pd.DataFrame) -> list[str]:
    """Return the candidates whose runs have all ended without one that finished."""
    by_candidate = runs.groupby("candidate_id", sort=False)["status"]
    return [str(one) for one, status in by_candidate if status.isin(ENDED).all() and RunStatus.DONE not in set(status)]


def _seconds_per_run(runs: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, float]:
    done = runs[runs["status"] == RunStatus.DONE]
    spent = training_seconds(epochs).groupby(epochs["run_id"]).sum()
    return {str(one): float(spent.reindex(group).mean()) for one, group in done.groupby("candidate_id")["run_id"]}


@rule(
    "S2",
    "gap within noise",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that one candidate is better than another",
    needs=("study", "verdict"),
)
def claims(*, study: ResolvedStudy, verdict: Verdict) -> Iterator[Finding]:
    """No candidate may be called better without the evidence."""
    yield s2_claims(claims, verdict=verdict, claims=_claimed(study, verdict))


def _claimed(study: ResolvedStudy, verdict: Verdict) -> list[tuple[str, str]] | None:
    """Return the pairs, the better one first, of which one is called better by what the study draws conclusions from.

    Test accuracies: bakeoff's own words call better whom the verdict calls so, and no other. Validation accuracies: the
    first by them is called better than the best of whatever else is compared. Training accuracies: None.
    """
    if study.audit.headline == "train":
        return None
    if study.audit.headline == "test" or verdict.ranked_by != "val":
        return [
            (pair.comparison.first, pair.comparison.second)
            for pair in verdict.pairs
            if pair.decision is Decision.BETTER
        ]
    order = [one.candidate_id for one in verdict.candidates]
    if not order:
        return []
    compared = [{candidate.id for candidate in group} for group in subjects(study).values()]
    bests = [next((one for one in order if one in group), order[0]) for group in compared]
    return [(order[0], best) for best in bests if best != order[0]]


@rule(
    "S3",
    "resolution",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that candidates without a winner are alike",
    needs=("study", "verdict"),
)
def resolution(*, study: ResolvedStudy, verdict: Verdict) -> Iterator[Finding]:
    """The seeds must be able to show the difference that was said to count."""
    spread = _spread(verdict)
    yield s3_resolution(
        resolution,
        seeds=min((one.seeds for one in verdict.candidates), default=None),
        sd=None if spread is None else spread.sd,
        picture_margin=None if spread is None else spread.picture_margin,
        candidates=len(verdict.candidates),
        difference=study.audit.smallest_difference,
        verdict=verdict,
    )


def _spread(verdict: Verdict) -> SeedSpread | None:
    """Return how far seeds lie apart, as `bakeoff power` has it, or None where that is not known."""
    try:
        return spread_of(verdict)
    except StudyError:
        return None


@rule(
    "S4",
    "unstable seeds",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that the mean tells what to expect of the next seed",
    needs=("study", "labels", "verdict"),
)
def stability(*, study: ResolvedStudy, labels: Mapping[str, str], verdict: Verdict) -> Iterator[Finding]:
    """Seeds must not lie farther apart than chance explains."""
    yield s4_stability(
        stability,
        accuracies={one.candidate_id: one.test_accuracies for one in verdict.candidates},
        noise={one.candidate_id: one.noise for one in verdict.candidates if one.noise is not None},
        chances={one.candidate_id: one.seed_chances for one in verdict.candidates},
        labels=labels,
        seeds={one.candidate_id: one.seed_numbers for one in verdict.candidates},
    )
    unseen = [one.candidate_id for one in verdict.candidates if one.seeds >= 3 and one.noise is None]
    few = [one.candidate_id for one in verdict.candidates if one.seeds < 3]
    if len(unseen) + len(few) < len(verdict.candidates):
        if unseen:
            names = named(unseen, study, labels)
            yield stability.not_run(f"the predictions of seeds of {names} are missing", candidates=unseen)
        if few:
            yield stability.not_run(f"fewer than three seeds of {named(few, study, labels)} finished", candidates=few)


@rule(
    "S5",
    "multiple comparisons",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that a pair differs",
    needs=("study", "verdict"),
)
def multiplicity(*, study: ResolvedStudy, verdict: Verdict) -> Iterator[Finding]:
    """Pairs that are called different must be so among all pairs that were tested."""
    claimed = _claimed(study, verdict)
    if claimed is None:
        yield multiplicity.not_run("conclusions are drawn from training accuracy, on which there is no verdict")
    else:
        yield s5_multiplicity(multiplicity, verdict=verdict, claims=claimed)


@rule(
    "S6",
    "winner's curse",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="the accuracy of the winner",
    needs=("labels", "verdict"),
    uses=("data",),
)
def winners_curse(*, labels: Mapping[str, str], verdict: Verdict, data: DataProbe | None) -> Iterator[Finding]:
    """The winner must do on the test set as it did on validation."""
    validation = {one.candidate_id: one.validation_accuracies for one in verdict.candidates}
    counts = data.counts if data is not None else {}
    yield s6_winners_curse(
        winners_curse,
        test={one.candidate_id: one.test_accuracies for one in verdict.candidates},
        validation=validation if verdict.ranked_by == "val" else None,
        test_pictures=sum(counts["test"]) if "test" in counts else None,
        validation_pictures=sum(counts["validation"]) if "validation" in counts else None,
        labels=labels,
    )


RULES: tuple[Rule, ...] = (seeds, claims, resolution, stability, multiplicity, winners_curse)
