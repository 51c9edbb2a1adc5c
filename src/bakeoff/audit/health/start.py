"""Rules about where training begins: H1 and H2."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from bakeoff.audit.evidence import AbsentError, DataProbe, NetworkProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.health.seen import seen_runs
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.records import OneBatch
from bakeoff.spec import ResolvedStudy
from bakeoff.words import plural

HIGH_ERROR = 10.0
"""torchvision's mnasnet0_5, which is sound, begins at 7.1 times ln C on 8-pixel digits: its last layer is drawn wide."""

HIGH_WARNING = 1.5
LOW = 0.8
"""Bounds of the first loss as multiples of ln C, each widened by 1 / sqrt(pictures); chosen here."""

FEW_CLASSES = 10
"""With fewer classes than this, the first loss may lie as far above ln C as with ten. Answers drawn at random add about half
their variance to the loss, whatever the number of classes, while ln C shrinks."""


@rule(
    "H1",
    "loss at the start",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any statement about these candidates' networks",
    needs=("study", "labels", "networks", "data"),
    uses=("runs",),
    stops=True,
)
def initial_loss(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    networks: Mapping[str, NetworkProbe],
    data: DataProbe,
    runs: pd.DataFrame | None,
) -> Iterator[Finding]:
    """Before it has learnt anything a network must be about as wrong as one that guesses: a loss of ln C."""
    guess = math.log(len(data.classes))
    trained = _starts_of_runs(runs)
    for candidate in study.candidates:
        starts = trained.get(candidate.id, [])
        if candidate.id in networks:
            starts = [(networks[candidate.id].initial_loss, networks[candidate.id].pictures), *starts]
        if not starts:
            continue
        # One start of several may be odd by chance; what is broken is broken in each.
        loss, pictures = sorted(starts, key=lambda one: math.inf if one[0] is None else one[0])[len(starts) // 2]
        found = _judged(loss, pictures, guess)
        if found is None:
            continue
        severity, threshold, advice = found
        guessing = f"that of guessing among {len(data.classes)} classes"
        told = (
            f"a loss that is not finite; {guessing} is {guess:.3g}"
            if loss is None
            else f"a loss of {loss:.3g}, {loss / guess:.3g} times {guessing} ({guess:.3g})"
        )
        yield initial_loss.fires(
            severity,
            f"{labels[candidate.id]} begins with {told}.",
            candidates=[candidate.id],
            evidence={
                "loss": loss,
                "guessing": guess,
                "ratio": None if loss is None else loss / guess,
                "pictures": pictures,
            },
            threshold=threshold,
            advice=advice,
        )


def _starts_of_runs(runs: pd.DataFrame | None) -> dict[str, list[tuple[float | None, int]]]:
    """Return the first loss of each run that was looked at from its beginning, and of how many pictures."""
    try:
        seen = {} if runs is None else seen_runs(runs)
    except AbsentError:
        return {}
    return {
        candidate: [
            (run.health["initial_loss"], pictures) for run in its_runs if (pictures := run.health["initial_pictures"])
        ]
        for candidate, its_runs in seen.items()
    }


def _judged(loss: float | None, pictures: int, guess: float) -> tuple[Severity, str, str] | None:
    slack = 1 / math.sqrt(pictures)
    high = "Check the scale of the inputs and how the last layer begins."
    if loss is None:
        return Severity.ERROR, "a loss that is not finite", high
    if loss > (HIGH_ERROR + slack) * guess:
        return Severity.ERROR, f"more than {HIGH_ERROR + slack:.2f} times ln C on {pictures} pictures", high
    if loss < (LOW - slack) * guess:
        threshold = f"less than {LOW - slack:.2f} times ln C on {pictures} pictures"
        return (
            Severity.ERROR,
            threshold,
            "Look for labels that leak into the inputs, or a loss that is wrongly averaged.",
        )
    much = guess + (HIGH_WARNING - 1 + slack) * max(guess, math.log(FEW_CLASSES))
    if loss > much:
        return Severity.WARNING, f"more than {much:.3g} on {pictures} pictures", high
    return None


@rule(
    "H2",
    "one batch by heart",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any statement about these candidates' networks",
    needs=("study", "labels", "one_batch"),
    stops=True,
)
def one_batch_by_heart(
    *, study: ResolvedStudy, labels: Mapping[str, str], one_batch: Mapping[str, OneBatch]
) -> Iterator[Finding]:
    """A network must be able to learn a handful of pictures by heart."""
    for candidate in study.candidates:
        tried = one_batch.get(candidate.id)
        if tried is None or tried.learnt:
            continue
        loss = "a loss that is not finite" if tried.loss is None else f"a loss of {tried.loss:.3g}"
        yield one_batch_by_heart.fires(
            Severity.ERROR,
            f"{labels[candidate.id]} did not learn {tried.pictures} pictures by heart: at best {tried.accuracy:.0%} of them, with "
            f"{loss}, after {tried.steps} steps of Adam at {tried.learning_rate:g}, the best of {plural(tried.attempts, 'attempt')}.",
            candidates=[candidate.id],
            evidence={
                "pictures": tried.pictures,
                "accuracy": tried.accuracy,
                "loss": tried.loss,
                "steps": tried.steps,
                "learning_rate": tried.learning_rate,
                "attempts": tried.attempts,
            },
            threshold="all right, with a loss below 0.1 ln C",
            advice="Mend the network, its loss or its labels before tuning anything: a part may be cut off from the gradient.",
        )


RULES: tuple[Rule, ...] = (initial_loss, one_batch_by_heart)
