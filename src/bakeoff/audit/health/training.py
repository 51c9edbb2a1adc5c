"""Rules about what training did to a network: H3 to H6."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import scipy

from bakeoff.audit.evidence import DataProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.health.seen import SeenRun, graded, of_runs, seen_runs, unseen
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import listed, rounded_percent
from bakeoff.records import Health, RunStatus
from bakeoff.spec import ResolvedStudy
from bakeoff.words import class_name

CHANCE_QUANTILE = 0.999
"""Quantile of a guessing network's accuracy. Of the binomial distribution: 13.0, 11.3 and 10.9 % of 1,000, 5,000 and
10,000 pictures of 10 classes."""

SHUFFLES = 10_000
"""Orders in which answers are dealt to the pictures, for a quantile of one in a thousand."""

CLOSE = 2.5
"""Standard deviations above chance up to which one in a thousand needs no shuffles: it lies beyond."""

COLLAPSED = 0.1
"""Share of the pictures of other classes that a network must at least call something else; chosen here."""

CLASSES_PREDICTED = 0.5
PICTURES_A_CLASS = 10
"""Classes ever predicted are counted where there are so many pictures a class; chosen here."""

DIVERGED = 4.0
"""Smoothed loss over its best so far: Lightning's learning-rate finder stops there (`lr_finder.py`)."""

WORSE = 1.05
"""Training loss of the last epoch over the first; chosen here."""

INFEASIBLE = 0.3
"""Share of a model's runs that ended in nothing; chosen here, after the Tuning Playbook's advice to move the space then."""

LEAST_STEPS = 5
"""Steps whose gradients must have been looked at before a part without any is called so; chosen here."""

DEAD = 0.4
"""Share of a layer's channels where a normalisation stands before the activation; chosen here. It centres each channel, so
that only training can switch one off: networks that learn had at most 2 % at usual rates, 16 % at one that was too high."""

DEAD_WITHOUT_NORMALISATION = 0.95
"""Share of a layer's channels where none does; chosen here. There many channels of ReLU are dead from the start (Lu et al.
2019, arXiv:1903.06733), and sound AlexNets have had 35 to 91 %: it is a note until next to nothing is left."""

SLOW, FAST = 1e-5, 1e-1
"""Relative change of a weight in a step, around the usual 1e-3; chosen here."""

LEAST_UPDATES = 3

NAMED = 3
"""Layers named in one message."""


@rule(
    "H3",
    "no better than guessing",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="that these candidates learnt anything",
    needs=("study", "labels", "runs"),
    uses=("data",),
)
def guessing(
    *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame, data: DataProbe | None
) -> Iterator[Finding]:
    """A trained network must answer better than one that guesses, and not the same for nearly every picture."""
    unscored: list[str] = []
    by_candidate = seen_runs(runs)
    for candidate, its_runs in _in_order(study, by_candidate):
        scored = [run for run in its_runs if run.health["predicted"]]
        if not scored:
            unscored.append(candidate)
            continue
        found = [(run, why) for run in scored if (why := _guesses(run, data))]
        if not found:
            continue
        touched, (worst, why) = [run for run, _ in found], found[0]
        yield guessing.fires(
            graded(touched, its_runs),
            f"{labels[candidate]}, {of_runs(touched, its_runs)}{_such_as(touched, worst)}: {why}.",
            candidates=[candidate],
            evidence={
                "runs": len(its_runs),
                "touched": len(touched),
                "seed": worst.seed,
                "accuracy": worst.health["accuracy"],
                "blank_accuracy": worst.health["blank_accuracy"],
                "largest_share": max(worst.health["predicted"]) / sum(worst.health["predicted"]),
                "classes_predicted": sum(count > 0 for count in worst.health["predicted"]),
                "pictures": sum(worst.health["labels"]),
            },
            threshold=f"the {CHANCE_QUANTILE:.1%} quantile of guessing; less than {rounded_percent(COLLAPSED)} of the other classes' pictures "
            "called something else; half of the classes never predicted; an error if it touches half of the runs",
            advice="Lower the learning rate, add a warm-up, and look at the labels and at what the network sees.",
        )
    if unscored:
        yield guessing.not_run("their runs ended before anything was scored", candidates=unscored)
    yield from unseen(guessing, study=study, labels=labels, runs=runs, seen=by_candidate)


def _such_as(touched: Sequence[SeenRun], one: SeenRun) -> str:
    return f", such as seed {one.seed}" if len(touched) > 1 else ""


def _guesses(run: SeenRun, data: DataProbe | None) -> str | None:
    """Return in which way a network's answers are those of one that guesses, or None if they are not."""
    health = run.health
    predicted, true = health["predicted"], health["labels"]
    accuracy, pictures = health["accuracy"] or 0.0, sum(true)
    # A network whose answers had nothing to do with the pictures would be right this often with the same answers.
    chance = sum(one * other for one, other in zip(predicted, true, strict=True)) / pictures**2
    top = max(range(len(predicted)), key=lambda place: predicted[place])
    name = f"'{class_name(top if data is None else data.classes[top])}'"
    blank = health["blank_accuracy"]
    if pictures - predicted[top] < COLLAPSED * (pictures - true[top]):
        return f"{name} is the answer to {rounded_percent(predicted[top] / pictures)} of {pictures:,} {health['predicted_on']} pictures"
    there = sum(count > 0 for count in true)
    few = pictures < PICTURES_A_CLASS * there
    limit = _quantile(pictures, chance)
    if chance + CLOSE * _shuffled_deviation(predicted, true) < accuracy <= limit:
        limit = min(limit, _shuffled_quantile(tuple(predicted), tuple(true)))
    if accuracy <= limit and not (few and _learnt_by_the_test(run, data, chance)):
        return (
            f"{rounded_percent(accuracy)} of {pictures:,} {health['predicted_on']} pictures are answered rightly, which guessing reaches too "
            f"(up to {rounded_percent(limit)})"
        )
    if blank is not None and blank >= accuracy:
        return f"pictures are answered no better ({rounded_percent(accuracy)}) than blank inputs ({rounded_percent(blank)})"
    answered = sum(count > 0 for count in predicted)
    if not few and answered < CLASSES_PREDICTED * there:
        return f"only {answered} of {there} classes are ever the answer"
    return None


def _learnt_by_the_test(run: SeenRun, data: DataProbe | None, chance: float) -> bool:
    """Whether the test pictures show what too few validation pictures cannot: more right answers than guessing has."""
    if data is None or run.tested is None:
        return False
    return run.tested > _quantile(sum(data.counts["test"]), chance)


def _quantile(pictures: int, chance: float) -> float:
    return float(scipy.stats.binom.ppf(CHANCE_QUANTILE, pictures, chance)) / pictures


def _shuffled_deviation(predicted: Sequence[int], true: Sequence[int]) -> float:
    """Return the standard deviation of a network's accuracy whose answers are dealt to the pictures at random.

    The variance of the trace of a table of contingency with fixed margins, whose counts are hypergeometric.
    """
    n, products = sum(true), [one * other for one, other in zip(predicted, true, strict=True)]
    squares = sum(
        product * (n - one) * (n - other) for product, one, other in zip(products, predicted, true, strict=True)
    )
    crossed = sum(products) ** 2 - sum(product**2 for product in products)
    return math.sqrt((squares + crossed) / (n**2 * max(1, n - 1))) / n


@functools.cache
def _shuffled_quantile(predicted: tuple[int, ...], true: tuple[int, ...]) -> float:
    """Return the accuracy that the same answers, dealt to the pictures at random, hardly ever exceed.

    Where classes are uneven it lies far below the binomial distribution's, which lets the number of answers vary, too.

    Args:
        predicted: Pictures that were called each class.
        true: Pictures of each class.
    """
    answers, labels = (np.repeat(np.arange(len(counts), dtype=np.int16), counts) for counts in (predicted, true))
    generator = np.random.default_rng(0)
    right = [np.count_nonzero(generator.permutation(answers) == labels) for _ in range(SHUFFLES)]
    return float(np.quantile(right, CHANCE_QUANTILE, method="higher")) / len(labels)


@rule(
    "H4",
    "diverged",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="that these candidates were trained",
    needs=("study", "labels", "runs", "epochs"),
)
def diverged(
    *, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame, epochs: pd.DataFrame
) -> Iterator[Finding]:
    """Losses, gradients and weights must stay finite, and the loss must come down and stay there."""
    losses = {
        str(run): group.sort_values("epoch")["train_loss"].tolist()
        for run, group in epochs.groupby("run_id", sort=False)
    }
    by_candidate = seen_runs(runs)
    for candidate, its_runs in _in_order(study, by_candidate):
        broken = [(run, why) for run in its_runs if (why := _broken(run, losses.get(run.id, [])))]
        jumped = [run for run in its_runs if (run.health["worst_rise"] or 0) > DIVERGED]
        if broken:
            touched, (worst, why) = [run for run, _ in broken], broken[0]
            yield diverged.fires(
                graded(touched, its_runs),
                f"{labels[candidate]}, {of_runs(touched, its_runs)}: {why}.",
                candidates=[candidate],
                evidence=_course(worst.health) | {"runs": len(its_runs), "touched": len(touched), "seed": worst.seed},
                threshold=f"anything not finite; a smoothed loss that ends above {DIVERGED:g} times its best; a last epoch's loss above "
                f"{WORSE:g} times the first's; an error if it touches half of the runs",
                advice="Lower the learning rate, or add a warm-up.",
            )
        elif jumped:
            worst = max(jumped, key=lambda run: run.health["worst_rise"] or 0)
            yield diverged.fires(
                Severity.WARNING,
                f"{labels[candidate]}, {of_runs(jumped, its_runs)}: the smoothed training loss rose to {worst.health['worst_rise']:.3g} times its "
                f"best at step {(worst.health['worst_rise_step'] or 0) + 1:,}, and came down again.",
                candidates=[candidate],
                evidence=_course(worst.health) | {"runs": len(its_runs), "touched": len(jumped), "seed": worst.seed},
                threshold=f"a smoothed loss above {DIVERGED:g} times its best so far",
                advice="Lower the learning rate, or add a warm-up.",
            )
    yield from _infeasible(study, by_candidate)
    yield from unseen(diverged, study=study, labels=labels, runs=runs, seen=by_candidate)


def _broken(run: SeenRun, losses: Sequence[float]) -> str | None:
    """Return what ended a run's training or undid it, or None."""
    rise = run.health["last_rise"]
    if run.health["nonfinite"]:
        return f"not finite: {'; '.join(run.health['nonfinite'])}"
    if rise is not None and rise > DIVERGED:
        return f"the smoothed training loss ended at {rise:.3g} times its best"
    if len(losses) > 1 and losses[-1] > WORSE * losses[0]:
        return f"the training loss was {losses[0]:.3g} in the first epoch and {losses[-1]:.3g} in the last"
    return None


def _course(health: Health) -> dict[str, float | int | str | bool | None]:
    return {
        "nonfinite": len(health["nonfinite"]),
        "smoothed_best": health["smoothed_best"],
        "smoothed_last": health["smoothed_last"],
        "last_rise": health["last_rise"],
        "worst_rise": health["worst_rise"],
    }


def _infeasible(study: ResolvedStudy, by_candidate: Mapping[str, Sequence[SeenRun]]) -> Iterator[Finding]:
    """Say where many of a model's runs diverged, so that its settings were sought in the wrong place."""
    for model in dict.fromkeys(candidate.model for candidate in study.candidates):
        ids = [one.id for one in study.candidates if one.model == model and one.id in by_candidate]
        its_runs = [run for one in ids for run in by_candidate[one]]
        lost = [run for run in its_runs if run.status is RunStatus.DIVERGED]
        if len(ids) > 1 and len(lost) > INFEASIBLE * len(its_runs):
            yield diverged.fires(
                Severity.WARNING,
                f"{len(lost)} of the {len(its_runs)} runs of {model} diverged: its settings were sought where many do not train.",
                candidates=ids,
                evidence={"runs": len(its_runs), "diverged": len(lost)},
                threshold=f"more than {rounded_percent(INFEASIBLE)} of a model's runs",
                advice="Move its grid, most often to lower learning rates.",
            )


@rule(
    "H5",
    "dead or frozen parts",
    stage=Stage.AFTER,
    severity=Severity.ERROR,
    blocks="that these candidates' whole networks were trained",
    needs=("study", "labels", "runs"),
)
def dead_parts(*, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame) -> Iterator[Finding]:
    """Every part of a network must be trained, and most of each layer must be in use."""
    by_candidate = seen_runs(runs)
    for candidate, its_runs in _in_order(study, by_candidate):
        frozen = [(run, why) for run in its_runs if (why := _frozen(run.health))]
        if frozen:
            touched, (worst, why) = [run for run, _ in frozen], frozen[0]
            yield dead_parts.fires(
                Severity.ERROR,
                f"{labels[candidate]}, {of_runs(touched, its_runs)}: {why}.",
                candidates=[candidate],
                evidence={
                    "runs": len(its_runs),
                    "touched": len(touched),
                    "seed": worst.seed,
                    "without_gradient": len(worst.health["without_gradient"]),
                    "not_in_optimizer": len(worst.health["not_in_optimizer"]),
                    "unmoved": None if worst.health["unmoved"] is None else len(worst.health["unmoved"]),
                },
                threshold="any trainable parameter",
                advice="Build the optimizer after the last change to the network, and look for parts that its output does not depend on.",
            )
        crippled = [run for run in its_runs if _dying(run.health, crippled=True)]
        dying = [run for run in its_runs if _dying(run.health, crippled=False)]
        if crippled:
            yield _dead(candidate, labels, crippled, its_runs, Severity.WARNING)
        elif dying:
            yield _dead(candidate, labels, dying, its_runs, Severity.NOTE)
    yield from unseen(dead_parts, study=study, labels=labels, runs=runs, seen=by_candidate)


def _dead(
    candidate: str,
    labels: Mapping[str, str],
    touched: Sequence[SeenRun],
    its_runs: Sequence[SeenRun],
    severity: Severity,
) -> Finding:
    """Say which layer has most dead channels among those that are beyond their bound."""
    layers = [(run, _dying(run.health, crippled=severity is Severity.WARNING)) for run in touched]
    worst, dead = max(layers, key=lambda one: max(one[1].values()))
    layer = max(dead, key=lambda name: dead[name])
    return dead_parts.fires(
        severity,
        f"{labels[candidate]}, {of_runs(touched, its_runs)}: {rounded_percent(dead[layer])} of the channels after {layer} are zero on all of "
        f"{worst.health['train_pictures']:,} training pictures.",
        candidates=[candidate],
        evidence={
            "runs": len(its_runs),
            "touched": len(touched),
            "seed": worst.seed,
            "layer": layer,
            "dead": dead[layer],
            "layers": len(dead),
            "pictures": worst.health["train_pictures"],
        },
        threshold=f"a warning above {rounded_percent(DEAD)} of a layer's channels behind a normalisation, above "
        f"{rounded_percent(DEAD_WITHOUT_NORMALISATION)} of another's; a note above {rounded_percent(DEAD)}",
        advice="Lower the learning rate or add a warm-up; activations that a large step has switched off do not come back.",
    )


def _dying(health: Health, *, crippled: bool) -> dict[str, float]:
    """Return the layers with more dead channels than they may have, or than go without saying, and how many they have."""
    return {
        layer: share
        for layer, share in health["dead_channels"].items()
        if share > (DEAD if not crippled or _normalises(layer, health) else DEAD_WITHOUT_NORMALISATION)
    }


def _normalises(layer: str, health: Health) -> bool:
    """Return whether the last layer with weights before an activation normalises its channels.

    Changes are measured of all weights that are matrices or kernels: such a layer has none, or one whose size is free.
    """
    weight = f"{layer}.weight"
    return bool(health["updates"]) and (weight not in health["updates"] or weight in health["scale_free"])


def _frozen(health: Health) -> str | None:
    """Return which parts of a network were not trained, or None if all were."""
    if health["not_in_optimizer"]:
        return f"the optimizer does not hold {_some(health['not_in_optimizer'])}"
    if health["without_gradient"] and health["gradient_steps"] >= LEAST_STEPS:
        return f"{_some(health['without_gradient'])} had no gradient in the first {health['gradient_steps']} steps"
    if health["unmoved"]:
        return f"{_some(health['unmoved'])} ended bit for bit as they began"
    return None


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return listed([*names[:NAMED], *([f"{more} more parameters"] if more > 0 else [])])


@rule(
    "H6",
    "size of the steps",
    stage=Stage.AFTER,
    severity=Severity.WARNING,
    blocks="that these candidates were trained at a fitting rate",
    needs=("study", "labels", "runs"),
)
def step_size(*, study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame) -> Iterator[Finding]:
    """A step must change weights by a small part of their size, but not by next to nothing."""
    unmeasured: list[str] = []
    by_candidate = seen_runs(runs)
    for candidate, its_runs in _in_order(study, by_candidate):
        measured = [
            run.health for run in its_runs if run.health["updates"] and run.health["update_steps"] >= LEAST_UPDATES
        ]
        if not measured:
            unmeasured.append(candidate)
            continue
        change = statistics.median(statistics.median(health["updates"].values()) for health in measured)
        bound = [largest for health in measured if (largest := _change_of_bound(health)) is not None]
        if change < SLOW:
            yield _odd_step(candidate, labels, change, measured, "by next to nothing: the learning rate is too small")
        elif bound and statistics.median(bound) > FAST:
            what = "so far that it forgets what they were: the learning rate is too large"
            yield _odd_step(candidate, labels, statistics.median(bound), measured, what)
    if unmeasured:
        yield step_size.not_run(f"fewer than {LEAST_UPDATES} of their steps were measured", candidates=unmeasured)
    yield from unseen(step_size, study=study, labels=labels, runs=runs, seen=by_candidate)


def _change_of_bound(health: Health) -> float | None:
    """Return the median change of the weights whose size matters; those before batch normalisation may grow at will."""
    changes = [change for name, change in health["updates"].items() if name not in health["scale_free"]]
    return statistics.median(changes) if changes else None


def _odd_step(
    candidate: str, labels: Mapping[str, str], change: float, measured: Sequence[Health], what: str
) -> Finding:
    return step_size.fires(
        Severity.WARNING,
        f"{labels[candidate]}: a step changes the weights by {change:.2g} of their size, {what}.",
        candidates=[candidate],
        evidence={
            "change": change,
            "runs": len(measured),
            "steps": statistics.median(health["update_steps"] for health in measured),
            "scale_free": len(measured[0]["scale_free"]),
            "weights": len(measured[0]["updates"]),
        },
        threshold=f"median relative change of a step outside {SLOW:g} to {FAST:g}; the upper bound without weights before batch normalisation",
        advice="About 1e-3 is usual: " + ("raise" if change < SLOW else "lower") + " the learning rate.",
    )


def _in_order(study: ResolvedStudy, by_candidate: Mapping[str, list[SeenRun]]) -> Iterator[tuple[str, list[SeenRun]]]:
    for candidate in study.candidates:
        if candidate.id in by_candidate:
            yield candidate.id, by_candidate[candidate.id]


RULES: tuple[Rule, ...] = (guessing, diverged, dead_parts, step_size)
