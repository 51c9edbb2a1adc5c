"""What several commands print with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff.errors import StudyError

if TYPE_CHECKING:
    from rich.console import Console


def output() -> Console:
    """Return what results are printed to."""
    from rich.console import Console

    return Console(emoji=False)


def errors() -> Console:
    """Return what goes to standard error: errors and remarks on what was done."""
    from rich.console import Console

    return Console(stderr=True, emoji=False)


def print_sentences(sentences: list[str]) -> None:
    """Print a line for each, as text."""
    from bakeoff.words import clean

    console = output()
    for sentence in sentences:
        console.print(clean(sentence), markup=False, highlight=False)


def print_left_out(reasons: list[str]) -> None:
    """Say on standard error what was not drawn, and why."""
    from bakeoff.words import clean

    for reason in reasons:
        errors().print(clean(reason), style="yellow", markup=False, highlight=False)


def print_table(folder: Path, *, written: bool = True) -> None:
    """Print what a study has found: its ranking, its verdict, what qualifies them."""
    from bakeoff.analysis.wording import apart
    from bakeoff.report.audit import audit_report
    from bakeoff.report.console import ranked_table
    from bakeoff.report.protocol import budget_words
    from bakeoff.study import Study
    from bakeoff.words import clean

    reading, console = Study(folder).reading(), output()
    study, table = reading.study, reading.table
    try:
        verdict = reading.verdict
        ties = {one.candidate_id: one.ties for one in verdict.ranked}
        named = apart(verdict)  # by the table, below its rows
        sentences = [one for one in verdict.sentences() if one not in named]
    except StudyError as error:  # what was trained is shown all the same
        ties, sentences = {}, [*reading.progress.sentences(), f"There is no verdict: {error}."]
    console.print(ranked_table(table, study.spec.name, ties))
    print_sentences(sentences)
    took = dict(zip(table["candidate_id"], table["seconds_train"], strict=True))
    for remark in [*budget_words(study.spec, took), *reading.remarks]:
        console.print(f"- {clean(remark)}", markup=False, highlight=False)
    for line in audit_report(reading.findings, found_before=reading.audit_result.found_before):
        console.print(line)
    console.print(f"{'Written to' if written else 'Kept in'} {folder}", markup=False, highlight=False, soft_wrap=True)
