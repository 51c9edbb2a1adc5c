"""Rules about how well and for how long networks were fitted: H7 to H9."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.audit.evidence import AbsentError, DataProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.health.curves import (
    SMOOTHED_EPOCHS,
    ValidationCurve,
    curves,
    last,
    selected,
    smoothed,
    standard_error,
    unselected,
    validation_pictures,
)
from bakeoff.audit.health.seen import seen_runs
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.settings import settings
from bakeoff.audit.words import listed, named, rounded_percent
from bakeoff.spec import CandidateSpec, ResolvedStudy
from bakeoff.words import plural

UNDERFIT = 0.10
SMALL_GAP = 0.03
"""Training accuracy above validation accuracy that counts as a small gap; chosen here."""

LEAST_EPOCHS = 6
"""Epochs in which a curve can be seen to turn; chosen here."""

BENDING_EPOCHS = 10
"""Epochs in which a curve can be seen to level out; chosen here."""

TURNED, STANDARD_ERRORS = 0.01, 3
"""How far validation accuracy must fall from its best: a point, or so many standard errors; chosen here after the
Tuning Playbook, which asks only whether it falls."""

LOSS_TURNED = 1.1
"""Validation loss at the end over its least; chosen here."""

LATE, EARLY = 0.75, 0.10
"""Shares of the epochs: the best in the last quarter asks for more of them, in the first tenth for fewer (Tuning
Playbook, on constant learning rates)."""

GAINED = 0.01
"""Accuracy gained over the last quarter (or two standard errors of a difference) before more epochs are asked for; chosen here."""

NOISE_SHARE, NOISE_LEAST = 0.1, 4
"""Share and least number of the last epochs in which the noise of the end is measured; chosen here."""

NOISY = 0.01
"""Noise in accuracy (or two standard errors) below which it decides nothing; chosen here. A deviation taken from four points lies up to
1.7 times above the true one by chance (chi-square with two degrees of freedom, 5 %)."""


@rule(
    "H7",
    "underfit",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that these candidates show what their networks can do",
    needs=("study", "labels", "runs", "epochs"),
)
def underfit(
    *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame, epochs: pd.DataFrame
) -> Iterator[Finding]:
    """What is compared must fit its training pictures about as well as the best does, or fall short for another reason.

    Fit is read from clean training accuracy: the running one is of augmented pictures and of weights that move.
    """
    known = curves(runs, epochs)
    clean = _clean_accuracies(runs)
    everyone = selected(study, known).values()
    chosen = [candidate for candidate in everyone if candidate.id in clean]
    if len(chosen) < 2:
        raise AbsentError(
            "fit is judged against the best of several things compared, and fewer than two have finished and were looked at"
        )
    best = max(chosen, key=lambda one: clean[one.id])
    for candidate in chosen:
        train, validation = clean[candidate.id], last(known[candidate.id])
        if train < clean[best.id] - UNDERFIT and train - validation < SMALL_GAP:
            yield underfit.fires(
                Severity.WARNING,
                f"{labels[candidate.id]} does not fit its training pictures: {rounded_percent(train)} of them are answered rightly at the end, "
                f"against {rounded_percent(clean[best.id])} with {labels[best.id]}, and {rounded_percent(validation)} of the validation pictures.",
                candidates=[candidate.id],
                evidence={"train": train, "best_train": clean[best.id], "validation": validation},
                threshold=f"clean training accuracy more than {100 * UNDERFIT:g} points below the best, and less than "
                f"{100 * SMALL_GAP:g} points above validation",
                advice="Train it for longer, at another rate or with less regularisation before judging; or it is too small a network.",
            )
    unmeasured = [candidate.id for candidate in everyone if candidate.id not in clean]
    if unmeasured:
        yield underfit.not_run(
            f"{named(unmeasured, study, labels)}: clean training accuracy was not measured", candidates=unmeasured
        )
    yield from unselected(underfit, study=study, labels=labels, runs=runs, known=known)


def _clean_accuracies(runs: pd.DataFrame) -> dict[str, float]:
    """Return the mean clean training accuracy of finished runs, by candidate id."""
    found = {}
    for candidate, its_runs in seen_runs(runs).items():
        known = [accuracy for run in its_runs if (accuracy := run.health["train_accuracy"]) is not None]
        if known:
            found[candidate] = float(np.mean(known))
    return found


@rule(
    "H8",
    "overfit",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that these candidates show what their networks can do",
    needs=("study", "labels", "runs", "epochs"),
    uses=("data",),
)
def overfit(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    data: DataProbe | None,
) -> Iterator[Finding]:
    """Validation accuracy must not have fallen again by the end of the runs that are compared."""
    known, pictures = curves(runs, epochs), validation_pictures(study, data)
    chosen = [candidate.id for candidate in selected(study, known).values()]
    best = {one: max(known[one], key=lambda curve: curve.accuracy[-1]) for one in chosen}
    short = [one for one in chosen if len(best[one].accuracy) < LEAST_EPOCHS]
    for one in [one for one in chosen if one not in short]:
        curve = best[one]
        if _fallen(curve, pictures) > 0:
            yield _overfitted(curve, labels, pictures)
        elif (rise := _loss_rise(curve)) > LOSS_TURNED:
            yield overfit.fires(
                Severity.NOTE,
                f"{labels[one]}: validation loss ends at {rise:.3g} times its least while accuracy does not fall; the network grows too sure.",
                candidates=[one],
                evidence={"loss_rise": rise, "seed": curve.seed},
                threshold=f"smoothed validation loss above {LOSS_TURNED:g} times its least",
                advice="Where probabilities matter, add weight decay or label smoothing, or stop earlier.",
            )
    every = [curve for its_curves in known.values() for curve in its_curves if len(curve.accuracy) >= LEAST_EPOCHS]
    others = [curve for curve in every if curve not in best.values()]
    fallen = [curve for curve in others if _fallen(curve, pictures) > 0]
    if fallen:
        yield overfit.fires(
            Severity.NOTE,
            f"{len(fallen)} of {plural(len(others), 'other run')}, beside the best of each thing compared, lost validation accuracy again "
            "before their end.",
            candidates=list(dict.fromkeys(curve.candidate for curve in fallen)),
            evidence={"runs": len(others), "overfitted": len(fallen)},
            threshold=_turning_point(),
            advice="Regularise, or train for fewer epochs, before comparing.",
        )
    if short:
        yield overfit.not_run(f"a curve of fewer than {LEAST_EPOCHS} epochs does not show a turn", candidates=short)
    yield from unselected(overfit, study=study, labels=labels, runs=runs, known=known)


def _fallen(curve: ValidationCurve, pictures: int | None) -> float:
    """Return by how much more than chance explains a run lost validation accuracy again, a negative number if not."""
    smooth = curve.smooth
    lost = float(smooth.max() - smooth[-1])
    return lost - max(TURNED, STANDARD_ERRORS * standard_error(float(smooth.max()), pictures))


def _loss_rise(curve: ValidationCurve) -> float:
    smooth = smoothed(curve.loss)
    least = float(np.nanmin(smooth))
    return float(smooth[-1]) / least if least > 0 else 1.0


def _overfitted(curve: ValidationCurve, labels: Mapping[str, str], pictures: int | None) -> Finding:
    smooth = curve.smooth
    peak = int(smooth.argmax()) + SMOOTHED_EPOCHS // 2 + 1
    return overfit.fires(
        Severity.WARNING,
        f"{labels[curve.candidate]}: in its best run validation accuracy fell from {rounded_percent(float(smooth.max()))} around epoch {peak} to "
        f"{rounded_percent(float(smooth[-1]))} at the end, epoch {len(curve.accuracy)}.",
        candidates=[curve.candidate],
        evidence={
            "best": float(smooth.max()),
            "last": float(smooth[-1]),
            "best_epoch": peak,
            "epochs": len(curve.accuracy),
            "pictures": pictures,
            "seed": curve.seed,
        },
        threshold=_turning_point(),
        advice="Regularise, or train for fewer epochs, before comparing.",
    )


def _turning_point() -> str:
    return (
        f"accuracy, averaged over {SMOOTHED_EPOCHS} epochs, below its best by more than {100 * TURNED:g} point and {STANDARD_ERRORS} "
        "standard errors"
    )


@rule(
    "H9",
    "length of training",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that the ranking would be the same with more or fewer epochs",
    needs=("study", "labels", "runs", "epochs"),
    uses=("data",),
)
def length(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    data: DataProbe | None,
) -> Iterator[Finding]:
    """The ranking must not hang on when training ended."""
    known, pictures = curves(runs, epochs), validation_pictures(study, data)
    chosen = selected(study, known)
    short = [one.id for one in chosen.values() if any(len(curve.accuracy) < BENDING_EPOCHS for curve in known[one.id])]
    if short:
        yield length.not_run(
            f"a curve of fewer than {BENDING_EPOCHS} epochs does not show where it bends", candidates=short
        )
    chosen = {name: one for name, one in chosen.items() if one.id not in short}
    for candidate in chosen.values():
        if candidate.recipe.schedule == "constant":
            yield from _best_place(candidate, known[candidate.id], labels, pictures)
    yield from _noisy_end(chosen, known, pictures)
    if len(chosen) > 1:
        yield from _at_half(study, chosen, known, labels, pictures)
    yield from unselected(length, study=study, labels=labels, runs=runs, known=known)


def _best_place(
    candidate: CandidateSpec, its_curves: Sequence[ValidationCurve], labels: Mapping[str, str], pictures: int | None
) -> Iterator[Finding]:
    """Judge where a curve at a constant rate is best: an annealed one always ends improving."""
    epochs = min(len(curve.accuracy) for curve in its_curves)
    mean = smoothed(np.mean([curve.accuracy[:epochs] for curve in its_curves], axis=0))
    place = int(mean.argmax())
    before = float(mean[math.ceil(LATE * len(mean)) - 1])
    gain = float(mean[place]) - before
    error = math.sqrt(2) * standard_error(float(mean[place]), pictures)
    evidence: dict[str, float | int | str | bool | None] = {"epochs": epochs, "best_epoch": place + 2, "gain": gain}
    if place >= LATE * len(mean) and gain > max(GAINED, 2 * error):
        yield length.fires(
            Severity.WARNING,
            f"{labels[candidate.id]} was still improving when training ended: validation accuracy gained {100 * gain:.2f} points in the "
            f"last quarter of its {epochs} epochs.",
            candidates=[candidate.id],
            evidence=evidence,
            threshold=f"constant rate, best in the last quarter, by more than {100 * GAINED:g} point and two standard errors of a difference",
            advice='Train all candidates for longer, or let the rate fall (`schedule = "cosine"`).',
        )
    elif place < EARLY * len(mean):
        yield length.fires(
            Severity.NOTE,
            f"{labels[candidate.id]} was best around epoch {place + 2} of {epochs}: most of its training changed nothing for the better.",
            candidates=[candidate.id],
            evidence=evidence,
            threshold="constant rate, best in the first tenth",
            advice="Train for fewer epochs, or let the rate fall.",
        )


def _noisy_end(
    chosen: Mapping[str, CandidateSpec], known: Mapping[str, Sequence[ValidationCurve]], pictures: int | None
) -> Iterator[Finding]:
    """Compare the noise of the last epochs with the gap between the first two of what is compared."""
    ranked = sorted(chosen.values(), key=lambda one: last(known[one.id]), reverse=True)[:2]
    if len(ranked) < 2:
        return
    first, second = (last(known[one.id]) for one in ranked)
    noise = {one.id: float(np.mean([late_noise(curve.accuracy) for curve in known[one.id]])) for one in ranked}
    worst = max(noise, key=lambda one: noise[one])
    if noise[worst] > max((first - second) / 2, NOISY, 2 * standard_error(first, pictures)):
        yield length.fires(
            Severity.WARNING,
            f"The end is noisy: from one epoch to the next validation accuracy varies by {100 * noise[worst]:.2f} points (standard deviation), "
            f"and the first two of what is compared are {100 * (first - second):.2f} points apart.",
            candidates=[one.id for one in ranked],
            evidence={"noise": noise[worst], "gap": first - second},
            threshold=f"more than half the gap, {100 * NOISY:g} point and two standard errors",
            advice='Let the learning rate fall to the end (`schedule = "cosine"`).',
        )


def late_noise(accuracy: NDArray[np.float64]) -> float:
    """Return the standard deviation of the last tenth of a curve, and of four epochs at least, around a straight line."""
    count = max(NOISE_LEAST, round(NOISE_SHARE * len(accuracy)))
    places, late = np.arange(count), accuracy[-count:]
    rest = late - np.polyval(np.polyfit(places, late, 1), places)
    return float(np.sqrt((rest**2).sum() / (count - 2)))


def _at_half(
    study: ResolvedStudy,
    chosen: Mapping[str, CandidateSpec],
    known: Mapping[str, Sequence[ValidationCurve]],
    labels: Mapping[str, str],
    pictures: int | None,
) -> Iterator[Finding]:
    """Compare the ranking with that of the same candidates trained for half as long, under a schedule of that length.

    Two at a constant rate are left out: their curves show by themselves what they would be after fewer epochs.
    """
    annealed = {name for name, one in chosen.items() if one.recipe.schedule != "constant"}
    halves = {name: _half(study, one, known) for name, one in chosen.items()}
    whole = {name: last(known[one.id]) for name, one in chosen.items()}
    half = {name: last(known[one.id]) for name, one in halves.items() if one is not None}
    for one, other in itertools.combinations(half, 2):
        if not {one, other} & annealed:
            continue
        at_half, at_end = half[one] - half[other], whole[one] - whole[other]
        noise = 2 * math.sqrt(2) * standard_error((whole[one] + whole[other]) / 2, pictures)
        if at_half * at_end < 0 and min(abs(at_half), abs(at_end)) > noise:
            winner, loser = (one, other) if at_end > 0 else (other, one)
            yield length.fires(
                Severity.WARNING,
                f"The ranking depends on the epochs: {listed([winner, loser])} are {100 * abs(at_end):.2f} points apart at the full length, "
                f"and {100 * abs(at_half):.2f} the other way round at half of it.",
                candidates=[chosen[winner].id, chosen[loser].id],
                evidence={"gap": abs(at_end), "gap_at_half": -abs(at_half), "noise": noise},
                threshold="another order at half the epochs, both gaps above two standard errors",
                advice="Say for which length of training the ranking holds, or train for longer.",
            )
    # A constant rate that was not tried for half as long leaves nothing to hold a falling one against.
    alone = any(name not in half for name in chosen if name not in annealed)
    unknown = [one.id for name, one in chosen.items() if name in annealed and (alone or name not in half)]
    if unknown:
        yield length.not_run(
            f"{named(unknown, study, labels)}: under a schedule that lets the rate fall every run ends improving, and only the same "
            "candidates at half the epochs would show whether the ranking is the same",
            candidates=unknown,
        )


def _half(
    study: ResolvedStudy, candidate: CandidateSpec, known: Mapping[str, Sequence[ValidationCurve]]
) -> CandidateSpec | None:
    """Return the finished candidate that differs only in having half the epochs, if there is one."""
    mine = settings(candidate, study.size)
    for other in study.candidates:
        theirs = settings(other, study.size)
        alike = all(mine[key] == theirs[key] for key in mine if key != "epochs")
        if alike and 2 * other.recipe.epochs == candidate.recipe.epochs and other.id in known:
            return other
    return None


RULES: tuple[Rule, ...] = (underfit, overfit, length)
