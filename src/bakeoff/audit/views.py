"""Rules about views: D1 to D4."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from bakeoff.audit.evidence import FieldOfView, InputStatistics, ViewProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import by_value, named, rounded_percent
from bakeoff.spec import ResolvedStudy

# Thresholds marked "chosen here" are bakeoff's own and were tried on healthy studies; docs/audit.md tells how.

LEAST_COVERAGE_TRAIN = 0.25
"""Chosen here. A random crop out of 1/8 padding sees 0.86 on average, a random crop of 8 % to 100 % of the area 0.54,
the centre 224 of 256 pixels 0.77; the smallest draw (0.08) would fire on healthy ones, so the mean is held against it."""

LEAST_COVERAGE_EVALUATE = 0.5
"""Chosen here."""

UNLIKE_COVERAGE = 1.5
"""Chosen here."""

SCALE_RATIOS = (0.62, 1.6)
"""Chosen here, above the 1.36 of a random resized crop against the centre 224 of 256 pixels."""

LARGEST_INPUT = 20.0
DEVIATIONS_ERROR = (0.1, 5.0)
DEVIATIONS_WARNING = (0.2, 2.0)
DEVIATION_NOTE = 0.5
"""Chosen here: pixels scaled to [0, 1] and left so have 0.2 to 0.4, which trains, if not at its best."""

FARTHEST_MEAN = 1.0
FARTHEST_MEANS_APART = 0.5
"""Chosen here."""

FARTHEST_BY_PADDING = 2.0
"""Chosen here. Black around CIFAR-10 (1/8 of padding) moves the mean by 0.27 deviations. Around striped pictures of 9 pixels,
made fainter step by step, five seeds of a small network with batch normalisation all stayed at 100 % up to a move of about 1.9,
and lay between 84 and 100 % at 2.9: it learns statistics that evaluation never shows."""


@rule(
    "D1",
    "field of view",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any statement about these candidates' networks",
    needs=("study", "labels", "views"),
    stops=True,
)
def field_of_view(
    *, study: ResolvedStudy, labels: Mapping[str, str], views: Mapping[str, ViewProbe]
) -> Iterator[Finding]:
    """The network must see enough of each picture, and all candidates about as much."""
    geometries = by_value({candidate: (view.train, view.evaluate) for candidate, view in views.items()})
    enough: dict[str, float] = {}
    for (train, evaluate), candidates in geometries.items():
        if train.coverage < LEAST_COVERAGE_TRAIN or evaluate.coverage < LEAST_COVERAGE_EVALUATE:
            yield _sliver(candidates, train, evaluate, study, labels)
        else:
            enough |= dict.fromkeys(candidates, train.coverage)
    if enough and max(enough.values()) > UNLIKE_COVERAGE * min(enough.values()):
        least, most = min(enough, key=lambda one: enough[one]), max(enough, key=lambda one: enough[one])
        yield field_of_view.fires(
            Severity.WARNING,
            f"Candidates see unlike shares of each picture in training: {labels[least]} {rounded_percent(enough[least])}, "
            f"{labels[most]} {rounded_percent(enough[most])}.",
            candidates=enough,
            evidence={"least": enough[least], "most": enough[most]},
            threshold=f"largest over smallest mean coverage > {UNLIKE_COVERAGE:g}",
            advice="Give all candidates views that show about the same share of the picture.",
        )


def _sliver(
    candidates: list[str], train: FieldOfView, evaluate: FieldOfView, study: ResolvedStudy, labels: Mapping[str, str]
) -> Finding:
    width, height = min(train, evaluate, key=lambda one: one.coverage).window
    return field_of_view.fires(
        Severity.ERROR,
        f"{rounded_percent(train.coverage)} of each picture reaches {named(candidates, study, labels)} in training, and "
        f"{rounded_percent(evaluate.coverage)} in evaluation: the network's {train.size}x{train.size} input is a window of "
        f"{width:.1f} x {height:.1f} of the picture's {study.size} x {study.size} pixels.",
        candidates=candidates,
        evidence={
            "coverage_train": train.coverage,
            "coverage_evaluate": evaluate.coverage,
            "window_width": width,
            "window_height": height,
            "picture": study.size,
            "input": train.size,
            "draws": train.draws,
        },
        threshold=f"mean coverage < {LEAST_COVERAGE_TRAIN:g} in training, < {LEAST_COVERAGE_EVALUATE:g} in evaluation",
        advice="Crop to the size that the picture is resized to, or leave the resize out. Nothing follows about the network.",
    )


@rule(
    "D2",
    "scale of training and evaluation",
    stage=Stage.BEFORE,
    severity=Severity.WARNING,
    blocks="that these candidates were tested on what they were trained for",
    needs=("study", "labels", "views"),
)
def scale(*, study: ResolvedStudy, labels: Mapping[str, str], views: Mapping[str, ViewProbe]) -> Iterator[Finding]:
    """Things must appear about as large in evaluation as in training."""
    low, high = SCALE_RATIOS
    scales = by_value({candidate: (view.train.scale, view.evaluate.scale) for candidate, view in views.items()})
    for (train, evaluate), candidates in scales.items():
        if not (train > 0 and evaluate > 0 and not low <= train / evaluate <= high):
            continue
        larger = train / evaluate
        yield scale.fires(
            Severity.WARNING,
            f"Things appear {larger:.2f} times as large in evaluation as in training to {named(candidates, study, labels)}: "
            f"one pixel of the input is {evaluate:.2f} pixels of the picture there, {train:.2f} here.",
            candidates=candidates,
            evidence={"scale_train": train, "scale_evaluate": evaluate, "ratio": larger},
            threshold=f"ratio of scales outside {low:g} to {high:g}",
            advice="Use the same resize and crop in [view.evaluate] as in [view.train], without the draws.",
        )


@rule(
    "D3",
    "random evaluation",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any validation or test accuracy of these candidates",
    needs=("study", "labels", "views"),
    stops=True,
)
def random_evaluation(
    *, study: ResolvedStudy, labels: Mapping[str, str], views: Mapping[str, ViewProbe]
) -> Iterator[Finding]:
    """A picture fetched twice in evaluation must be the same picture, bit for bit."""
    unlike = {one: view for one, view in views.items() if view.differing}
    if unlike:
        worst = max(unlike.values(), key=lambda view: view.differing / view.fetched)
        yield random_evaluation.fires(
            Severity.ERROR,
            f"{named(unlike, study, labels)}: {worst.differing} of {worst.fetched} validation and test pictures looked different "
            "when they were fetched a second time, so every score is of pictures that chance has altered.",
            candidates=unlike,
            evidence={"differing": worst.differing, "fetched": worst.fetched},
            threshold="any picture that differs",
            advice="Take `random` and `flip` out of [view.evaluate], or leave that table out for the training view without its draws.",
        )


@rule(
    "D4",
    "range of the inputs",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="any statement about these candidates' networks",
    needs=("study", "labels", "views"),
    stops=True,
)
def input_range(
    *, study: ResolvedStudy, labels: Mapping[str, str], views: Mapping[str, ViewProbe]
) -> Iterator[Finding]:
    """Inputs must be roughly centred and of roughly unit size, in training and evaluation alike."""
    seen = by_value({candidate: (view.train_inputs, view.evaluate_inputs) for candidate, view in views.items()})
    for (train, evaluate), candidates in seen.items():
        found = _worst_range(train, evaluate)
        if found is None:
            continue
        severity, what, threshold = found
        yield input_range.fires(
            severity,
            f"The inputs of {named(candidates, study, labels)} have {what}.",
            candidates=candidates,
            evidence={
                "pictures": train.pictures,
                "largest_train": train.largest,
                "largest_evaluate": evaluate.largest,
                **{f"mean_train_{place}": value for place, value in zip("rgb", train.mean, strict=True)},
                **{f"mean_evaluate_{place}": value for place, value in zip("rgb", evaluate.mean, strict=True)},
                **{f"std_train_{place}": value for place, value in zip("rgb", train.std, strict=True)},
                **{f"std_evaluate_{place}": value for place, value in zip("rgb", evaluate.std, strict=True)},
            },
            threshold=threshold,
            advice=_advice_on_range(threshold, study, candidates),
        )


def _advice_on_range(threshold: str, study: ResolvedStudy, candidates: Collection[str]) -> str:
    if "padding" in threshold:
        return _BLACK
    if all(one.normalization == "data" for one in study.candidates if one.id in candidates):
        return _OTHER_VIEW  # the pictures are normalised as they should be: it is what is cut out of them
    return _NORMALIZE


_OTHER_VIEW = "The pictures are normalised by their own mean and deviation: look at what the views cut out of them, which is unlike the whole."
_NORMALIZE = 'Set `normalize = "data"` in [view], which brings the training pictures to mean 0 and deviation 1.'
_BLACK = "Pad less or not at all: black is far from anything in these pictures, and evaluation never shows it."


def _worst_range(train: InputStatistics, evaluate: InputStatistics) -> tuple[Severity, str, str] | None:
    """Return how bad the inputs are, what is wrong with them and the threshold, or None where all is well."""
    stages = (("training", train), ("evaluation", evaluate))
    low, high = DEVIATIONS_ERROR
    for stage, inputs in stages:
        if inputs.largest > LARGEST_INPUT:
            what = f"a largest value of {inputs.largest:.3g} in {stage}"
            return Severity.ERROR, what, f"largest absolute value > {LARGEST_INPUT:g}"
        if not all(low <= one <= high for one in inputs.std):
            what = f"deviations of {_channels(inputs.std)} in {stage}"
            return Severity.ERROR, what, f"a channel's deviation outside {low:g} to {high:g}"
    low, high = DEVIATIONS_WARNING
    for stage, inputs in stages:
        if any(abs(one) > FARTHEST_MEAN for one in inputs.mean):
            return Severity.WARNING, f"means of {_channels(inputs.mean)} in {stage}", f"|mean| > {FARTHEST_MEAN:g}"
        if not all(low <= one <= high for one in inputs.std):
            what = f"deviations of {_channels(inputs.std)} in {stage}"
            return Severity.WARNING, what, f"a channel's deviation outside {low:g} to {high:g}"
    if any(abs(one - other) > FARTHEST_MEANS_APART for one, other in zip(train.mean, evaluate.mean, strict=True)):
        what = f"means of {_channels(train.mean)} in training, but {_channels(evaluate.mean)} in evaluation"
        return Severity.WARNING, what, f"means that differ by more than {FARTHEST_MEANS_APART:g}"
    if any(abs(one - other) > FARTHEST_BY_PADDING for one, other in zip(train.padding, evaluate.padding, strict=True)):
        what = f"means moved by {_channels(train.padding)} in training by the black that pictures are padded with"
        return Severity.WARNING, what, f"padding that moves a mean by more than {FARTHEST_BY_PADDING:g}"
    for stage, inputs in stages:
        if any(one < DEVIATION_NOTE for one in inputs.std):
            what = f"deviations of only {_channels(inputs.std)} in {stage}"
            return Severity.NOTE, what, f"a channel's deviation < {DEVIATION_NOTE:g}"
    return None


def _channels(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.3g}" for value in values)


RULES: tuple[Rule, ...] = (field_of_view, scale, random_evaluation, input_range)
