"""How far a study has come, and what that makes of its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakeoff.analysis.progress import Progress, progress_of
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.records import RunStatus
from tests.analysis.people import contender
from tests.stored import bits
from tests.synthetic import Run, frames

RUNNING = Progress(runs=20, ended=15, at_work=True)


def test_a_run_has_ended_however_it_ended(tmp_path: Path) -> None:
    runs, _ = frames(tmp_path, *(Run(seed=seed, status=status, test=None) for seed, status in enumerate(RunStatus)))
    progress = progress_of(runs)
    assert (progress.runs, progress.ended, progress.runs_left) == (5, 3, 2)


@pytest.mark.parametrize(
    ("at_work", "end"),
    [
        (True, ", while `bakeoff run` is at work on the rest."),
        (False, ", and nobody is at work on the rest: the same command goes on with it."),
        (None, "; the same command goes on with the rest."),
    ],
)
def test_what_is_left_is_told_with_who_works_on_it(at_work: bool | None, end: str) -> None:
    (said,) = Progress(runs=1200, ended=1100, at_work=at_work).sentences()
    assert said == f"1,100 of 1,200 runs have ended as this is written{end}"


def test_once_every_run_has_ended_nothing_is_said() -> None:
    assert Progress(runs=3, ended=3, at_work=True).sentences() == []
    assert Progress().sentences() == []


def verdicts(progress: Progress) -> list[Verdict]:
    """One of each kind of verdict."""
    best, middle, twin = (
        contender(name, bits(accuracy, seed=seed))
        for seed, (name, accuracy) in enumerate({"best": 0.95, "middle": 0.93, "twin": 0.9295}.items())
    )
    single = contender("single", bits(0.9, seeds=1, seed=9))
    compared = [
        [best, middle],
        [middle, twin],
        [single, best],
        [best, middle, twin],
        [middle, twin, single],
        [best],
        [],
    ]
    return [judge(those, progress=progress) for those in compared]


def test_while_runs_are_left_a_verdict_holds_so_far_and_its_evidence_is_the_same() -> None:
    for ended, running in zip(verdicts(Progress(runs=20, ended=20)), verdicts(RUNNING), strict=True):
        first, *others = ended.sentences()
        progress, provisional, *same = running.sentences()
        assert progress == RUNNING.sentences()[0]
        assert same == others
        assert provisional.removeprefix("So far ").casefold() == first.casefold()
        assert provisional.startswith("So far ")
        assert running.facts()["runs_left"] == 5
        assert ended.facts()["runs_left"] == 0
        assert running.facts()["pairs"] == ended.facts()["pairs"]


def test_a_name_is_spelt_as_it_is_after_so_far() -> None:
    verdict = judge([contender("A", bits(0.95, seed=1)), contender("B", bits(0.9, seed=2))], progress=RUNNING)
    assert verdict.sentences()[1].startswith("So far the A is better than the B: ")
