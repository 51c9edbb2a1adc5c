"""Rules about pictures and views: D1 to D7."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bakeoff.audit.evidence import DataProbe, Geometry, InputStatistics, NetworkProbe, Overlap, ViewProbe
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import by_value, named, percent
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

MANY_COPIES = 0.001
"""Share of the test pictures; chosen here."""

MANY_NEAR = 0.1
"""Share of a split's pictures; chosen here, above what CIFAR-10 and CIFAR-100 have by this measure: whoever splits pictures after
making many out of each has far more."""

ODD_COUNTS = 1e-3
ODD_SHARE = 0.1
UNEVEN = 1.5
MANY_CONSTANT = 0.001
"""Chosen here."""

UNLIKE_MAPS = 4.0
"""In area; chosen here."""


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
            f"Candidates see unlike shares of each picture in training: {labels[least]} {percent(enough[least])}, "
            f"{labels[most]} {percent(enough[most])}.",
            candidates=enough,
            evidence={"least": enough[least], "most": enough[most]},
            threshold=f"largest over smallest mean coverage > {UNLIKE_COVERAGE:g}",
            advice="Give all candidates views that show about the same share of the picture.",
        )


def _sliver(
    candidates: list[str], train: Geometry, evaluate: Geometry, study: ResolvedStudy, labels: Mapping[str, str]
) -> Finding:
    width, height = min(train, evaluate, key=lambda one: one.coverage).window
    return field_of_view.fires(
        Severity.ERROR,
        f"{percent(train.coverage)} of each picture reaches {named(candidates, study, labels)} in training, and "
        f"{percent(evaluate.coverage)} in evaluation: the network's {train.size}x{train.size} input is a window of "
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
    """The numbers at the network's door must be about centred and of about unit size, in training and evaluation alike."""
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
            advice=_BLACK if "padding" in threshold else _NORMALIZE,
        )


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


@rule(
    "D5",
    "copies between splits",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that the accuracies are of pictures the networks have not seen",
    needs=("data",),
    stops=True,
)
def copies(*, data: DataProbe) -> Iterator[Finding]:
    """No picture may stand in two splits."""
    for one in data.overlaps:
        if one.same:
            yield _copied(one)
        if one.near:
            yield _nearly(one, data)
    if data.contradicting:
        yield copies.fires(
            Severity.WARNING,
            f"{data.contradicting:,} pictures have an exact copy with another label.",
            evidence={"contradicting": data.contradicting},
            threshold="any",
            advice="Find out which label is right, and remove the others.",
        )


def _copied(one: Overlap) -> Finding:
    share = one.same / one.pictures
    bad = one.second == "test" and share > MANY_COPIES
    return copies.fires(
        Severity.ERROR if bad else Severity.WARNING,
        f"{one.same:,} of {one.pictures:,} {one.second} pictures ({percent(share)}) are in the {one.first} split too, pixel for pixel.",
        evidence={"same": one.same, "pictures": one.pictures, "share": share},
        threshold=f"an error above {percent(MANY_COPIES)} of the test pictures, a warning above none",
        advice=f"Remove them from the {one.first} split.",
    )


def _nearly(one: Overlap, data: DataProbe) -> Finding:
    cifar, share = data.name.startswith("cifar"), one.near / one.pictures
    known = " By eye 3.3 % of CIFAR-10's and 10 % of CIFAR-100's test pictures are (arXiv:1902.00423)."
    return copies.fires(
        Severity.WARNING if share > MANY_NEAR else Severity.NOTE,
        f"{one.near:,} of {one.pictures:,} {one.second} pictures ({percent(share)}) are in the {one.first} split too but for "
        f"compression, brightness, a pixel's shift or mirroring.{known if cifar else ''}",
        evidence={"near": one.near, "pictures": one.pictures, "share": share},
        threshold=f"colours and details that go together; a warning above {percent(MANY_NEAR)} of a split",
        advice="Report the accuracy on ciFAIR, which has them replaced, too."
        if cifar
        else "Look at them, and keep all copies of a picture in one split.",
    )


@rule(
    "D6",
    "classes and pictures",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that accuracy is one number for all classes",
    needs=("data",),
    stops=True,
)
def integrity(*, data: DataProbe) -> Iterator[Finding]:
    """Every split must have every class, in about the same shares, and pictures that show something."""
    missing = {
        split: [name for name, count in zip(data.classes, counts, strict=True) if not count]
        for split, counts in data.counts.items()
    }
    for split, absent in missing.items():
        if absent:
            yield integrity.fires(
                Severity.ERROR,
                f"{len(absent)} of {len(data.classes)} classes have no picture in the {split} split, such as '{absent[0]}'.",
                evidence={"split": split, "missing": len(absent)},
                threshold="any class without a picture",
                advice=f"Add pictures of it to the {split} split, or leave the class out everywhere.",
            )
    if not any(missing.values()):
        yield from _odd_shares(data)
        yield from _uneven(data)
    yield from _constants(data)


def _odd_shares(data: DataProbe) -> Iterator[Finding]:
    from scipy.stats import chi2_contingency  # loads slowly

    train = data.counts["train"]
    for split, counts in data.counts.items():
        if split == "train":
            continue
        odds = [
            (count / sum(counts)) / (of_train / sum(train)) - 1 for count, of_train in zip(counts, train, strict=True)
        ]
        worst = max(range(len(odds)), key=lambda place: abs(odds[place]))
        chance = float(chi2_contingency([train, counts]).pvalue)
        if chance < ODD_COUNTS and abs(odds[worst]) > ODD_SHARE:
            yield integrity.fires(
                Severity.WARNING,
                f"Classes have other shares in the {split} split than in training: '{data.classes[worst]}' is {percent(abs(odds[worst]))} "
                f"{'more' if odds[worst] > 0 else 'less'} frequent there.",
                evidence={"split": split, "p": chance, "worst_share": odds[worst]},
                threshold=f"chi-square p < {ODD_COUNTS:g} and a class's share off by more than {percent(ODD_SHARE)}",
                advice="Divide the pictures stratified by class.",
            )


def _uneven(data: DataProbe) -> Iterator[Finding]:
    train = data.counts["train"]
    ratio = max(train) / min(train)
    if ratio > UNEVEN:
        frequent, rare = (data.classes[train.index(count)] for count in (max(train), min(train)))
        yield integrity.fires(
            Severity.WARNING,
            f"Classes are uneven: '{frequent}' has {ratio:.1f} times the training pictures of '{rare}', so accuracy speaks "
            f"mostly of the frequent ones; always answering '{frequent}' gives {percent(max(train) / sum(train))}.",
            evidence={"ratio": ratio, "largest_share": max(train) / sum(train)},
            threshold=f"largest over smallest class > {UNEVEN:g}",
            advice="Look at the accuracy of each class, or at their mean (balanced accuracy), too.",
        )


def _constants(data: DataProbe) -> Iterator[Finding]:
    for split, counts in data.counts.items():
        pictures, count = sum(counts), data.constant.get(split, 0)
        if count > MANY_CONSTANT * pictures:
            yield integrity.fires(
                Severity.WARNING,
                f"{count:,} of {pictures:,} {split} pictures show a single colour.",
                evidence={"split": split, "constant": count, "pictures": pictures},
                threshold=f"more than {percent(MANY_CONSTANT)} of a split",
                advice="Look at them; such pictures are often what is left of damaged files.",
            )


@rule(
    "D7",
    "size of the last map",
    stage=Stage.BEFORE,
    severity=Severity.WARNING,
    blocks="a comparison of these candidates as the networks that were published",
    needs=("study", "labels", "networks"),
)
def last_map(
    *, study: ResolvedStudy, labels: Mapping[str, str], networks: Mapping[str, NetworkProbe]
) -> Iterator[Finding]:
    """The last feature map must have room for more than one place, and be of about one size for all candidates."""
    sides = {candidate: probe.map_side for candidate, probe in networks.items() if probe.map_side is not None}
    collapsed = [candidate for candidate, side in sides.items() if side <= 1]
    sizes = {candidate.id: candidate.input_size(study.size) for candidate in study.candidates}
    if collapsed:
        yield last_map.fires(
            Severity.WARNING,
            f"The last feature map of {named(collapsed, study, labels)} is 1x1: at inputs of "
            f"{min(sizes[one] for one in collapsed)} pixels nothing is left of where things are.",
            candidates=collapsed,
            evidence={"side": 1},
            threshold="side <= 1",
            advice='Use `stem = "small"`, or a larger `resize` with a `crop` as large, for all candidates.',
        )
    if sides and max(sides.values()) ** 2 > UNLIKE_MAPS * max(1, min(sides.values())) ** 2:
        small, large = min(sides, key=lambda one: sides[one]), max(sides, key=lambda one: sides[one])
        yield last_map.fires(
            Severity.WARNING,
            f"Candidates end in maps of unlike sizes: {labels[small]} in {sides[small]}x{sides[small]}, "
            f"{labels[large]} in {sides[large]}x{sides[large]}.",
            candidates=sides,
            evidence={"smallest": sides[small], "largest": sides[large]},
            threshold=f"largest over smallest area > {UNLIKE_MAPS:g}",
            advice="Give all candidates inputs and stems that end in maps of about one size.",
        )


RULES: tuple[Rule, ...] = (field_of_view, scale, random_evaluation, input_range, copies, integrity, last_map)
