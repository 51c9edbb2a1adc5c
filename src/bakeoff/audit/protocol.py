"""Rules about the protocol: P1 to P3 and P7; `tuning.py` has P4 to P6, `seeds.py` P8."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from bakeoff.audit import seeds, tuning
from bakeoff.audit.evidence import Baseline, DataProbe, NetworkProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.references import REFERENCES
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import named, rounded_percent
from bakeoff.records import RunStatus
from bakeoff.spec import CandidateSpec, ResolvedStudy
from bakeoff.words import plural

SAME_SPLIT = 0.5
"""Share of the validation pictures in the test set from which the two are one; chosen here."""

COMPANY = {"float32": 1e-3, "bfloat16": 3e-2}
"""Deviations by which a picture's logits may change with its batch: rounding; chosen here."""

HARDLY_LINEAR = 0.9
"""A network is broken below this share of the linear classifier's lead over chance; chosen here. Near 100 % two standard
errors are too small to decide."""

FAR_BELOW = 0.6
ENOUGH_TRAINING = 0.25
"""Share of a published accuracy's lead over chance that is too little, with so much of its training; chosen here."""


@rule(
    "P1",
    "selection on the test set",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that the accuracy of what was chosen holds for new pictures",
    needs=("study", "validated"),
    uses=("data",),
)
def selection(*, study: ResolvedStudy, validated: bool, data: DataProbe | None) -> Iterator[Finding]:
    """Pictures that choose between candidates may not be those that score them."""
    considered = len(study.candidates)
    if not validated and considered > 1:
        yield selection.fires(
            Severity.ERROR,
            f"No validation split is kept, so the test set both chooses among {considered} candidates and scores the chosen one.",
            evidence={"candidates": considered},
            threshold="more than one candidate without a validation split",
            advice="Keep one: validation = 0.1 in [data], or a `val` folder beside `train`.",
        )
    shared = (
        next((one for one in data.overlaps if (one.first, one.second) == ("validation", "test")), None)
        if data
        else None
    )
    if shared is not None and shared.same > SAME_SPLIT * shared.pictures:
        yield selection.fires(
            Severity.ERROR,
            f"{shared.same:,} of {shared.pictures:,} test pictures are in the validation split too: what chooses is what scores.",
            evidence={"same": shared.same, "pictures": shared.pictures},
            threshold=f"more than {rounded_percent(SAME_SPLIT)} of the test pictures",
            advice="Give `val` and `test` pictures of their own.",
        )
    if validated and data is None:
        yield selection.not_run("whether validation pictures are test pictures too is not known: nobody looked at them")


@rule(
    "P2",
    "headline",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any conclusion from the figures that the study quotes",
    needs=("study", "labels"),
    uses=("runs", "epochs"),
)
def headline(
    *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame | None, epochs: pd.DataFrame | None
) -> Iterator[Finding]:
    """Conclusions must be drawn from pictures that were not trained on.

    bakeoff's own tables rank by validation or test accuracy and by nothing else. What is left to see is what the
    study's author declares to quote, and runs that have no other figure.
    """
    quoted = study.audit.headline
    if quoted == "train":
        yield headline.fires(
            Severity.ERROR,
            "The study declares training accuracy as what its conclusions are drawn from; pictures that were trained on tell "
            "nothing of others.",
            evidence={"headline": quoted},
            threshold="a headline other than test or validation accuracy",
            advice="Quote test accuracy, of candidates chosen by validation accuracy.",
        )
    elif quoted == "validation" and len(study.candidates) > 1:
        yield headline.fires(
            Severity.WARNING,
            f"The study quotes validation accuracy, which also chose among {len(study.candidates)} candidates and so flatters them.",
            evidence={"headline": quoted, "candidates": len(study.candidates)},
            threshold="validation accuracy as the headline of more than one candidate",
            advice="Quote test accuracy.",
        )
    blind = [] if runs is None or epochs is None else _without_other_pictures(runs, epochs)
    if blind:
        yield headline.fires(
            Severity.ERROR,
            f"Of {named(blind, study, labels)} nothing but training accuracy was recorded.",
            candidates=blind,
            evidence={"candidates": len(blind)},
            threshold="a finished run with neither validation nor test accuracy",
            advice="Score them on the test set.",
        )


def _without_other_pictures(runs: pd.DataFrame, epochs: pd.DataFrame) -> list[str]:
    """Return the candidates whose finished runs were scored on no pictures but those they were trained on."""
    done = runs[(runs["status"] == RunStatus.DONE) & runs["test_accuracy"].isna()]
    validated = set(epochs.loc[epochs["val_accuracy"].notna(), "run_id"])
    return list(dict.fromkeys(done.loc[~done["run_id"].isin(validated), "candidate_id"]))


@rule(
    "P3",
    "evaluation mode",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any validation or test accuracy of these candidates",
    needs=("study", "labels", "networks"),
)
def evaluation_mode(
    *, study: ResolvedStudy, labels: Mapping[str, str], networks: Mapping[str, NetworkProbe]
) -> Iterator[Finding]:
    """In evaluation a picture's scores must depend on that picture alone."""
    limit = COMPANY[study.precision]
    unsteady = [one for one, probe in networks.items() if (probe.repeat_difference or 0) > 0]
    sociable = [
        one
        for one, probe in networks.items()
        if probe.repeat_difference is not None and probe.company_difference is None
    ]
    leaking = [
        one
        for one, probe in networks.items()
        if one not in (*unsteady, *sociable)
        and ((probe.company_difference or 0) > limit or (probe.foreign_gradient or 0) > 0)
    ]
    unknown = [one for one, probe in networks.items() if probe.repeat_difference is None]
    if unsteady:
        yield evaluation_mode.fires(
            Severity.ERROR,
            f"{named(unsteady, study, labels)}: the same pictures scored twice in evaluation gave different scores; dropout "
            "or another draw is at work.",
            candidates=unsteady,
            evidence={"difference": max(networks[one].repeat_difference or 0 for one in unsteady)},
            threshold="any difference",
            advice="Have the network draw only where `self.training` is true.",
        )
    if leaking:
        worst = max(networks[one].company_difference or 0 for one in leaking)
        followed = max(networks[one].foreign_gradient or 0 for one in leaking)
        yield evaluation_mode.fires(
            Severity.ERROR,
            f"{named(leaking, study, labels)}: a picture's scores depend on the others in its batch, by {worst:.2g} standard "
            "deviations of the scores"
            f"{'' if followed == 0 else f', and have a gradient by their pixels, of {rounded_percent(followed)} of the largest'}.",
            candidates=leaking,
            evidence={"difference": worst, "gradient": followed, "pictures": networks[leaking[0]].pictures},
            threshold=f"more than {limit:g} standard deviations of the logits, or any gradient by another picture",
            advice="Have batch normalisation use its running averages in evaluation, and look for axes that were mixed up.",
        )
    if sociable:
        yield evaluation_mode.fires(
            Severity.ERROR,
            f"{named(sociable, study, labels)}: a picture has finite scores in a batch and none by itself, so they depend on the others.",
            candidates=sociable,
            evidence={"pictures": networks[sociable[0]].pictures},
            threshold="finite scores of a picture alone",
            advice="Have batch normalisation use its running averages in evaluation: one picture has no deviation.",
        )
    if unknown:
        yield evaluation_mode.not_run("its scores before training are not finite", candidates=unknown)


@dataclass(frozen=True, slots=True)
class _Reached:
    """A candidate's accuracy, the mean over finished seeds, and of what."""

    accuracy: float
    of: str
    """`test`, `validation` or `training`."""

    epochs: int

    def __str__(self) -> str:
        return f"{rounded_percent(self.accuracy)} {self.of} accuracy after {plural(self.epochs, 'epoch')}"


@rule(
    "P7",
    "implausibly low",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="that these runs show what the networks can do",
    needs=("study", "labels", "runs", "epochs", "baseline", "data"),
)
def implausibly_low(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    baseline: Baseline,
    data: DataProbe,
) -> Iterator[Finding]:
    """A network must beat a linear classifier, and not stay far below what it is known to reach."""
    chance = 1 / len(data.classes)
    unfinished = []
    accuracies = _accuracies(runs, epochs)
    for candidate in study.candidates:
        reached = _reached(candidate, accuracies)
        if reached is None:
            unfinished.append(candidate.id)
            continue
        yield from _below_linear(candidate, labels, reached, baseline, chance)
        yield from _below_published(candidate, labels, reached, data, study, chance)
    if unfinished:
        yield implausibly_low.not_run(
            f"no run of {named(unfinished, study, labels)} has finished", candidates=unfinished
        )


def _accuracies(runs: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean accuracies over finished seeds, best kind first, by candidate id."""
    done = runs.loc[runs["status"] == RunStatus.DONE, ["run_id", "candidate_id", "test_accuracy"]]
    last = epochs.sort_values("epoch").groupby("run_id")[["val_accuracy", "train_accuracy"]].tail(1)
    last = last.assign(run_id=epochs.loc[last.index, "run_id"])
    means = done.merge(last, on="run_id", how="left").drop(columns="run_id").groupby("candidate_id").mean()
    names = {"test_accuracy": "test", "val_accuracy": "validation", "train_accuracy": "training"}
    rows = means.rename(columns=names).to_dict("index")
    return {str(one): {str(of): float(value) for of, value in row.items()} for one, row in rows.items()}


def _reached(candidate: CandidateSpec, accuracies: Mapping[str, Mapping[str, float]]) -> _Reached | None:
    for of, accuracy in accuracies.get(candidate.id, {}).items():
        if not math.isnan(accuracy):
            return _Reached(float(accuracy), of, candidate.recipe.epochs)
    return None


def _below_linear(
    candidate: CandidateSpec, labels: Mapping[str, str], reached: _Reached, baseline: Baseline, chance: float
) -> Iterator[Finding]:
    linear, pictures = baseline.accuracy, baseline.test_pictures
    error = math.sqrt((linear * (1 - linear) + reached.accuracy * (1 - reached.accuracy)) / pictures)
    if reached.accuracy >= linear - 2 * error:
        return
    broken = linear > chance and (reached.accuracy - chance) / (linear - chance) < HARDLY_LINEAR
    yield implausibly_low.fires(
        Severity.ERROR if broken else Severity.NOTE,
        f"{labels[candidate.id]} has {reached}: less than a linear classifier on the raw pixels, which has "
        f"{rounded_percent(linear)} (trained on {baseline.train_pictures:,} pictures, scored on {pictures:,}).",
        candidates=[candidate.id],
        evidence={
            "accuracy": reached.accuracy,
            "of": reached.of,
            "linear": linear,
            "standard_error": error,
            "chance": chance,
        },
        threshold=f"two standard errors below it; an error below {rounded_percent(HARDLY_LINEAR)} of what it is above chance",
        advice="Suspect the pipeline first (the view, the learning rate), then the number of epochs, and the network last.",
    )


def _below_published(
    candidate: CandidateSpec,
    labels: Mapping[str, str],
    reached: _Reached,
    data: DataProbe,
    study: ResolvedStudy,
    chance: float,
) -> Iterator[Finding]:
    known = REFERENCES.get((data.name, candidate.model))
    if known is None or study.limit is not None:
        return
    share = (reached.accuracy - chance) / (known.accuracy - chance)
    training = candidate.recipe.epochs / known.epochs
    if share >= FAR_BELOW:
        return
    yield implausibly_low.fires(
        Severity.ERROR if training >= ENOUGH_TRAINING else Severity.NOTE,
        f"{labels[candidate.id]} has {reached}; {known.accuracy:.2%} "
        f"is published for this network on {data.name} after {plural(known.epochs, 'epoch')} ({known.source}).",
        candidates=[candidate.id],
        evidence={
            "accuracy": reached.accuracy,
            "published": known.accuracy,
            "share": share,
            "share_of_epochs": training,
        },
        threshold=f"below {FAR_BELOW:g} of it above chance; a note with less than {rounded_percent(ENOUGH_TRAINING)} of its epochs",
        advice="Compare the view, the stem and the recipe with the published ones.",
    )


RULES: tuple[Rule, ...] = (selection, headline, evaluation_mode, *tuning.RULES, implausibly_low, *seeds.RULES)
