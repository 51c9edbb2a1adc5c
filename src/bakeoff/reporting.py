"""A study's page: joins what opens a study with what tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bakeoff.analysis.effects import effects
from bakeoff.analysis.per_class import ClassFacts
from bakeoff.analysis.pictures import Pictures
from bakeoff.analysis.verdict import Verdict
from bakeoff.errors import StudyError
from bakeoff.files import write_atomically
from bakeoff.report import tables
from bakeoff.report.figures import KINDS, Drawn, figures
from bakeoff.report.page import Made, Material, document, page_facts
from bakeoff.report.page.standings import standings
from bakeoff.report.page.words import shown
from bakeoff.store import Store
from bakeoff.study import Study
from bakeoff.study.classes import class_facts_of, of_cifar10
from bakeoff.study.folder import DATABASE
from bakeoff.study.pictures import shown as pictures_shown
from bakeoff.study.provenance import commands_of
from bakeoff.study.reading import Reading

TABLES = {"md": "table.md", "latex": "table.tex", "csv": "table.csv", "json": "table.json"}
"""By format, the file that a table is written to, beside the page."""

PAGE = Path("report") / "index.html"
"""Path of a study's page within its folder."""


def write_page(study: Study, out: Path | None = None, *, data_dir: Path | None = None) -> Path:
    """Write a study's page, and return where it is.

    Args:
        study: To tell of; it may still be running.
        out: Where to write; default `report/index.html` in the study's folder.
        data_dir: Where downloaded data sets are kept.

    Raises:
        StudyError: If the study cannot be read, or the file cannot be written.
    """
    path, reading = _place(study, study.folder / PAGE if out is None else out), study.reading()
    write_atomically(path, page_of(reading, look(reading, data_dir)).encode("utf-8"))
    return path


def page_of(reading: Reading, looked: Looked | None = None, *, head: str = "", top: str = "") -> str:
    """Return a study's page as HTML.

    Args:
        reading: The study as it stands, as `Study.reading` gives it.
        looked: What `look` gave, if it is known already.
        head: HTML for the end of its head; see `report.page.document`.
        top: HTML for the beginning of its body, likewise.

    Raises:
        StudyError: If the study cannot be read.
    """
    return document(page_facts(material_of(reading, looked)), head=head, top=top)


def write_table(study: Study, kind: str, out: Path | None = None) -> Path:
    """Write a study's table as its page has it, and return where it is.

    Args:
        study: To tell of; it may still be running.
        kind: `md`, `latex`, `csv` or `json`.
        out: Where to write; default in `report/` in the study's folder.

    Raises:
        StudyError: If the study cannot be read, or the file cannot be written.
    """
    path = _place(study, (study.folder / PAGE).with_name(TABLES[kind]) if out is None else out)
    write_atomically(path, table_of(study.reading(), kind).encode("utf-8"))
    return path


def table_of(reading: Reading, kind: str) -> str:
    """Return a study's table as its page has it, as `md`, `latex`, `csv` or `json`.

    Args:
        reading: The study as it stands, as `Study.reading` gives it.
        kind: The format.

    Raises:
        StudyError: If the study cannot be read.
    """
    verdict, _ = _verdict_or_why_not(reading)
    table = standings(reading.table, verdict, reading.progress)
    name = shown(reading.study.spec.name)
    formats = {
        "md": lambda: tables.to_markdown(table, name),
        "latex": lambda: tables.to_latex(table, name),
        "csv": lambda: tables.to_csv(table),
        "json": lambda: tables.to_json(table, name),
    }
    return formats[kind]()


def draw_figures(study: Study, kind: str | None = None, out: Path | None = None) -> Drawn:
    """Draw a study's figures as files, those of the paper among them where the study repeats some of it.

    Args:
        study: To tell of; it may still be running.
        kind: `png` or `svg`; default both.
        out: The folder to write to; default `report/figures` in the study's folder.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        StudyError: If the study cannot be read, has nothing to draw yet, or a file cannot be written.
    """
    folder = _place(study, (study.folder / PAGE).with_name("figures") if out is None else out)
    reading, kinds = study.reading(), KINDS if kind is None else [kind]
    ranked = bool(reading.ranking["rank"].notna().any())
    drawn = figures(
        reading.runs,
        reading.epochs,
        folder,
        kinds,
        of_cifar10=of_cifar10(study),
        # Of one seed each nobody is ranked, and all are shown without a rank.
        unranked=reading.unranked() if ranked else reading.excluded_by(reading.findings),
        ranked=ranked,
    )
    if not drawn.paths:
        raise StudyError(
            f"figures show epochs of runs, but {study.folder} holds none to show ({'; '.join(drawn.left_out)}); draw them once "
            "a run has finished an epoch: `bakeoff show` tells how far each has come"
        )
    return drawn


def _place(study: Study, out: Path) -> Path:
    """Return where to write, if that takes nothing away from the study."""
    if study.owns(out):
        raise StudyError(f"a report must leave the study's own files alone, but got '{out}'; give another name")
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What takes looking at pictures and predictions, and changes only when a run ends."""

    classes: Sequence[ClassFacts]
    pictures: Pictures


def look(reading: Reading, data_dir: Path | None = None) -> Looked:
    """Look at a study's pictures, and at what each candidate takes for what."""
    pictures = pictures_shown(reading, data_dir=data_dir)
    return Looked(classes=class_facts_of(reading), pictures=pictures)


def material_of(reading: Reading, looked: Looked | None = None) -> Material:
    """Return all that there is to tell of a study.

    Args:
        reading: The study as it stands, as `Study.reading` gives it.
        looked: What `look` gave, if it is known already.

    Raises:
        StudyError: If it cannot be read.
    """
    verdict, why = _verdict_or_why_not(reading)
    looked = looked or look(reading)
    return Material(
        study=reading.study.spec,
        version=version("bakeoff"),
        runs=reading.runs,
        epochs=reading.epochs,
        table=reading.table,
        recommendation=None if verdict is None else reading.recommendation,
        no_verdict=why,
        progress=reading.progress,
        costs=reading.costs,
        findings=reading.findings,
        found_before=reading.audit_result.found_before,
        remarks=reading.remarks,
        effects=effects(reading.runs, reading.ranking, _contending(verdict)),
        classes=looked.classes,
        pictures=looked.pictures,
        made=made_of(reading),
    )


def _contending(verdict: Verdict | None) -> list[str]:
    return [] if verdict is None else [one.candidate_id for one in verdict.contending]


def _verdict_or_why_not(reading: Reading) -> tuple[Verdict | None, str | None]:
    """Return the verdict, or why there is none: what was trained is shown all the same."""
    try:
        return reading.verdict, None
    except StudyError as error:
        return None, str(error)


def made_of(reading: Reading) -> Made:
    """Return how a study came about, as far as anybody wrote it down."""
    with Store.open_read_only(reading.study.folder / DATABASE) as store:
        commands = commands_of(store)
    conditions = [cost.conditions for cost in reading.costs.values()]
    times = {name: reading.runs[name].dropna() for name in ("started_at", "finished_at")}
    ended = len(times["finished_at"]) and not reading.progress.runs_left
    versions, hardware = {}, None
    if conditions:
        versions, hardware = conditions[0].versions, f"{conditions[0].processor}, {conditions[0].cores} cores"
    if commands:
        versions, hardware = commands[0].versions, commands[0].hardware
    more = f" (and {len(commands) - 1} more that went on with it)" if len(commands) > 1 else ""
    return Made(
        command=f"{commands[0].command}{more}" if commands else None,
        git=commands[0].git if commands else None,
        versions=versions,
        hardware=hardware,
        started=str(times["started_at"].min()) if len(times["started_at"]) else None,
        finished=str(times["finished_at"].max()) if ended else None,
    )
