"""Rules about pictures, and about what is left of them in a network: D5 to D7; `views.py` has D1 to D4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import scipy

from bakeoff.audit import views
from bakeoff.audit.evidence import DataProbe, NetworkProbe, Overlap
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import named, rounded_percent
from bakeoff.spec import ResolvedStudy
from bakeoff.words import class_name

# Thresholds marked "chosen here" are bakeoff's own and were tried on healthy studies; docs/audit.md tells how.

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
"""How many times larger in area one last map may be than another; chosen here."""


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
            advice="Find out which label is right, and remove the others; `bakeoff data FOLDER --copies` names them.",
        )


def _copied(one: Overlap) -> Finding:
    share = one.same / one.pictures
    bad = one.second == "test" and share > MANY_COPIES
    return copies.fires(
        Severity.ERROR if bad else Severity.WARNING,
        f"{one.same:,} of {one.pictures:,} {one.second} pictures ({rounded_percent(share)}) are in the {one.first} split too, pixel for pixel.",
        evidence={"same": one.same, "pictures": one.pictures, "share": share},
        threshold=f"an error above {rounded_percent(MANY_COPIES)} of the test pictures, a warning above none",
        advice=f"Remove them from the {one.first} split; `bakeoff data FOLDER --copies` names them.",
    )


def _nearly(one: Overlap, data: DataProbe) -> Finding:
    cifar, share = data.name.startswith("cifar"), one.near / one.pictures
    known = " By eye 3.3 % of CIFAR-10's and 10 % of CIFAR-100's test pictures are (arXiv:1902.00423)."
    return copies.fires(
        Severity.WARNING if share > MANY_NEAR else Severity.NOTE,
        f"{one.near:,} of {one.pictures:,} {one.second} pictures ({rounded_percent(share)}) are in the {one.first} split too but for "
        f"compression, brightness, a pixel's shift or mirroring.{known if cifar else ''}",
        evidence={"near": one.near, "pictures": one.pictures, "share": share},
        threshold=f"colours and details that go together; a warning above {rounded_percent(MANY_NEAR)} of a split",
        advice="Report the accuracy on ciFAIR, which has them replaced, too."
        if cifar
        else "Look at them (`bakeoff data FOLDER --copies`), and keep all copies of a picture in one split.",
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
                f"{len(absent)} of {len(data.classes)} classes have no picture in the {split} split, such as '{class_name(absent[0])}'.",
                evidence={"split": split, "missing": len(absent)},
                threshold="any class without a picture",
                advice=f"Add pictures of it to the {split} split, or leave the class out everywhere.",
            )
    if not any(missing.values()):
        yield from _odd_shares(data)
        yield from _uneven(data)
    yield from _constants(data)


def _odd_shares(data: DataProbe) -> Iterator[Finding]:
    train = data.counts["train"]
    for split, counts in data.counts.items():
        if split == "train":
            continue
        odds = [
            (count / sum(counts)) / (of_train / sum(train)) - 1 for count, of_train in zip(counts, train, strict=True)
        ]
        worst = max(range(len(odds)), key=lambda place: abs(odds[place]))
        if abs(odds[worst]) <= ODD_SHARE:
            continue
        name = class_name(data.classes[worst])
        chance = float(scipy.stats.chi2_contingency([train, counts]).pvalue)
        if chance < ODD_COUNTS:
            yield integrity.fires(
                Severity.WARNING,
                f"Classes have other shares in the {split} split than in training: '{name}' is {rounded_percent(abs(odds[worst]))} "
                f"{'more' if odds[worst] > 0 else 'less'} frequent there.",
                evidence={"split": split, "p": chance, "worst_share": odds[worst]},
                threshold=f"chi-square p < {ODD_COUNTS:g} and a class's share off by more than {rounded_percent(ODD_SHARE)}",
                advice="Divide the pictures stratified by class.",
            )


def _uneven(data: DataProbe) -> Iterator[Finding]:
    train = data.counts["train"]
    ratio = max(train) / min(train)
    if ratio > UNEVEN:
        frequent, rare = (class_name(data.classes[train.index(count)]) for count in (max(train), min(train)))
        yield integrity.fires(
            Severity.WARNING,
            f"Classes are uneven: '{frequent}' has {ratio:.1f} times the training pictures of '{rare}', so accuracy speaks "
            f"mostly of the frequent ones; always answering '{frequent}' gives {rounded_percent(max(train) / sum(train))}.",
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
                threshold=f"more than {rounded_percent(MANY_CONSTANT)} of a split",
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


RULES: tuple[Rule, ...] = (*views.RULES, copies, integrity, last_map)
