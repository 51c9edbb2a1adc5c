"""A study's page: joins what opens a study with what tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bakeoff.analysis.effects import effect_grids, influences
from bakeoff.analysis.per_class import ClassFacts
from bakeoff.analysis.pictures import Pictures
from bakeoff.errors import StudyError
from bakeoff.files import write_atomically
from bakeoff.report import tables
from bakeoff.report.figures import KINDS, Drawn, figures
from bakeoff.report.page import Made, Material, document, page_facts
from bakeoff.report.page.standings import standings
from bakeoff.report.page.words import shown
from bakeoff.store import Store
from bakeoff.study import Study
from bakeoff.study.folder import DATABASE
from bakeoff.study.judging import class_facts_of, of_cifar10
from bakeoff.study.pictures import shown as pictures_shown
from bakeoff.study.provenance import commands_of

TABLES = {"md": "table.md", "latex": "table.tex", "csv": "table.csv", "json": "table.json"}
"""By format, the file that a table is written to, beside the page."""

PAGE = Path("report") / "index.html"
"""Where a study's page is written, within its folder."""


def write_page(study: Study, out: Path | None = None, *, data_dir: Path | None = None) -> Path:
    """Write a study's page, and return where it is.

    Args:
        study: To tell of; it may still be running.
        out: Where to write; default `report/index.html` in the study's folder.
        data_dir: Where downloaded data sets are kept.

    Raises:
        StudyError: If the study cannot be read, or the file cannot be written.
    """
    path = study.folder / PAGE if out is None else out
    write_atomically(path, page_of(study, looked=look(study, data_dir)).encode("utf-8"))
    return path


def page_of(study: Study, *, head: str = "", top: str = "", looked: Looked | None = None) -> str:
    """Return a study's page as HTML.

    Args:
        study: To tell of.
        head: HTML for the end of its head; see `report.page.document`.
        top: HTML for the beginning of its body, likewise.
        looked: What `look` gave, if it is known already.

    Raises:
        StudyError: If the study cannot be read.
    """
    return document(page_facts(material_of(study, looked)), head=head, top=top)


def write_table(study: Study, kind: str, out: Path | None = None) -> Path:
    """Write a study's table as its page has it, and return where it is.

    Args:
        study: To tell of; it may still be running.
        kind: `md`, `latex`, `csv` or `json`.
        out: Where to write; default in `report/` in the study's folder.

    Raises:
        StudyError: If the study cannot be read, or the file cannot be written.
    """
    path = (study.folder / PAGE).with_name(TABLES[kind]) if out is None else out
    write_atomically(path, table_of(study, kind).encode("utf-8"))
    return path


def table_of(study: Study, kind: str) -> str:
    """Return a study's table as its page has it, as `md`, `latex`, `csv` or `json`.

    Raises:
        StudyError: If the study cannot be read.
    """
    found = material_of(study, Looked(classes=(), pictures=Pictures()))  # the table needs no pictures
    verdict = None if found.recommendation is None else found.recommendation.verdict
    table, name = standings(found.table, found.runs, found.epochs, verdict), shown(study.spec.name)
    formats = {
        "md": lambda: tables.to_markdown(table, name),
        "latex": lambda: tables.to_latex(table, name),
        "csv": lambda: tables.to_csv(table),
        "json": lambda: tables.to_json(table, name),
    }
    return formats[kind]()


def draw_figures(study: Study, kind: str | None = None, out: Path | None = None) -> Drawn:
    """Draw a study's figures as files, with what the paper recorded where the study is of CIFAR-10.

    Args:
        study: To tell of; it may still be running.
        kind: `png` or `svg`; default both.
        out: The folder to write to; default `report/figures` in the study's folder.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        StudyError: If the study cannot be read, has nothing to draw yet, or a file cannot be written.
    """
    folder = (study.folder / PAGE).with_name("figures") if out is None else out
    drawn = figures(
        study.runs(), study.epochs(), folder, KINDS if kind is None else [kind], of_cifar10=of_cifar10(study)
    )
    if not drawn.paths:
        raise StudyError(
            f"figures show epochs of runs, but {study.folder} holds none to show ({'; '.join(drawn.left_out)}); draw them once "
            "a run has finished an epoch: `bakeoff show` tells how far each has come"
        )
    return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What takes looking at pictures and predictions, and changes only when a run ends."""

    classes: Sequence[ClassFacts]
    pictures: Pictures


def look(study: Study, data_dir: Path | None = None) -> Looked:
    """Look at a study's pictures, and at what each candidate takes for what."""
    return Looked(classes=class_facts_of(study), pictures=pictures_shown(study, data_dir=data_dir))


def material_of(study: Study, looked: Looked | None = None) -> Material:
    """Return all that there is to tell of a study.

    Args:
        study: To tell of.
        looked: What `look` gave, if it is known already.

    Raises:
        StudyError: If it cannot be read.
    """
    try:
        found, why = study.recommend(), None
    except StudyError as error:  # what was trained is shown all the same
        found, why = None, str(error)
    runs, epochs = study.runs(), study.epochs()
    looked = looked or look(study)
    return Material(
        study=study.spec,
        version=version("bakeoff"),
        runs=runs,
        epochs=epochs,
        table=study.table(),
        recommendation=found,
        no_verdict=why,
        costs=study.costs(),
        findings=study.findings(),
        remarks=study.remarks(),
        grids=effect_grids(runs, epochs),
        influences=influences(runs, epochs),
        classes=looked.classes,
        pictures=looked.pictures,
        made=made_of(study),
    )


def made_of(study: Study) -> Made:
    """Return how a study came about, as far as anybody wrote it down."""
    with Store.open_read_only(study.folder / DATABASE) as store:
        commands = commands_of(store)
    runs, conditions = study.runs(), [cost.conditions for cost in study.costs().values()]
    times = {name: runs[name].dropna() for name in ("started_at", "finished_at")}
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
        finished=str(times["finished_at"].max()) if len(times["finished_at"]) else None,
    )
