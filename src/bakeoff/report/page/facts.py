"""All that the page shows, as facts: what is drawn from them changes none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bakeoff.analysis.effects import Effects
from bakeoff.report.page.classes import Classes, Gallery, class_facts, gallery
from bakeoff.report.page.conclusions import Conclusions, conclusions_of
from bakeoff.report.page.curves import Course, courses
from bakeoff.report.page.downloads import Download, downloads
from bakeoff.report.page.findings import Audit, audit_facts
from bakeoff.report.page.material import Material
from bakeoff.report.page.origin import origin_facts
from bakeoff.report.page.standings import Standings, standings
from bakeoff.report.page.trades import Trade, trades
from bakeoff.report.page.words import shown
from bakeoff.report.protocol import budget_words, protocol_words
from bakeoff.words import clean, plural


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What the page shows, section by section, in its order."""

    name: str
    version: str
    """Version of the bakeoff that drew the page."""

    description: str
    summary: str
    """How much was compared, in a line."""

    said: Conclusions
    protocol: str
    """What candidates got equal shares of."""

    standings: Standings
    remarks: tuple[str, ...]
    looks: Mapping[str, int]
    """By candidate id, its place in the study, which decides its colour: ranks change while a study runs."""

    courses: tuple[Course, ...]
    """Curves in the order of the table."""

    trades: tuple[Trade, ...]
    effects: Effects
    classes: Classes
    gallery: Gallery
    audit: Audit
    made: tuple[tuple[str, str], ...]
    downloads: tuple[Download, ...]


def page_facts(material: Material) -> PageFacts:
    """Return all that the page of a study shows.

    Args:
        material: What is known of it.
    """
    study, table, found = material.study, material.table, material.recommendation
    order = [str(one) for one in table["candidate_id"]]
    labels = dict(zip(order, (str(one) for one in table["candidate"]), strict=True))
    took = dict(zip(table["candidate_id"], table["seconds_train"], strict=True))
    ranked = standings(table, None if found is None else found.verdict, material.progress)
    return PageFacts(
        name=shown(study.name),
        version=material.version,
        description=clean(study.description),
        summary=_summary(material),
        said=conclusions_of(found, material.no_verdict, material.progress),
        protocol=protocol_words(study),
        standings=ranked,
        remarks=tuple(clean(one) for one in [*budget_words(study, took)[1:], *material.remarks]),
        looks={one: place for place, one in enumerate(material.runs["candidate_id"].unique())},
        courses=tuple(courses(material.runs, material.epochs, order, _training_macs(material))),
        trades=tuple(trades(table, found)),
        effects=replace(
            material.effects,
            caveat=clean(material.effects.caveat),
            left_out=clean(material.effects.left_out),
            nothing=clean(material.effects.nothing),
        ),
        classes=class_facts(material.classes, order),
        gallery=gallery(material.pictures, order),
        audit=audit_facts(material.findings, labels, material.found_before),
        made=tuple(origin_facts(material)),
        downloads=tuple(downloads(material, ranked)),
    )


def _summary(material: Material) -> str:
    runs = material.runs
    done = int((runs["status"] == "done").sum())
    parts = (
        plural(len(material.table), "candidate"),
        f"{done} of {plural(len(runs), 'run')} finished",
        f"on {shown(material.study.source)}",
        f"{material.study.size} pixels",
    )
    return ", ".join(parts)


def _training_macs(material: Material) -> dict[str, int]:
    return {one: cost.train_macs_per_image for one, cost in material.costs.items()}
