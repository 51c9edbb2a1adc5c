"""The facts behind the page, held against the database's tables."""

from __future__ import annotations

import io
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.analysis.pictures import Pictures
from bakeoff.analysis.statistics.intervals import seed_interval
from bakeoff.audit import Finding, Severity, State
from bakeoff.records import RunStatus
from bakeoff.report.page import PageFacts, page_facts
from bakeoff.report.page.document import document
from bakeoff.report.page.payload import payload
from bakeoff.report.page.standings import Cell
from bakeoff.report.page.trades import trades
from bakeoff.reporting import material_of
from bakeoff.study import Study
from tests.costs import a_cost
from tests.report.page.building import classes_of, material, pictures_of, resolved, views_of
from tests.stored import Network, bits, stored_study
from tests.synthetic import Run

DIVERGED, FAILED, RUNNING = RunStatus.DIVERGED, RunStatus.FAILED, RunStatus.RUNNING


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Good and costly; equally good and cheap; worse and as cheap as that; worse and costly."""
    networks = [
        Network(name="good", correct=bits(0.9, seed=1), validation=0.9, macs=100_000_000),
        Network(name="thrifty", correct=bits(0.9, seed=2), validation=0.89, macs=10_000_000),
        Network(name="poor", correct=bits(0.7, seed=3), validation=0.7, macs=10_000_000),
        Network(name="costly", correct=bits(0.6, seed=4), validation=0.6, macs=200_000_000),
    ]
    return stored_study(tmp_path_factory.mktemp("page") / "study", networks)


@pytest.fixture(scope="module")
def of_judged(judged: Study) -> PageFacts:
    return page_facts(material_of(judged.reading()))


def cell(facts: PageFacts, candidate: str, column: str) -> Cell:
    place = [one.key for one in facts.standings.columns].index(column)
    return next(row.cells[place] for row in facts.standings.rows if row.candidate_id == candidate)


# The table


def test_the_table_holds_the_rankings_numbers_in_its_order(judged: Study, of_judged: PageFacts) -> None:
    facts, table = of_judged, judged.table()
    assert [row.candidate_id for row in facts.standings.rows] == list(table["candidate_id"])
    for row in table.to_dict("records"):
        known = row["candidate_id"]
        assert cell(facts, known, "val").value == pytest.approx(row["val_accuracy"])
        assert cell(facts, known, "test").value == pytest.approx(row["test_accuracy"])
        assert cell(facts, known, "training").value == pytest.approx(row["seconds_train"])
        assert cell(facts, known, "macs").value == row["macs"]
        assert cell(facts, known, "parameters").value == row["parameters"]


def test_intervals_are_those_of_the_statistics(judged: Study, of_judged: PageFacts) -> None:
    facts, standing = of_judged, judged.verdict().standing("good")
    assert standing.interval is not None
    assert (
        cell(facts, "good", "test").note == f"{100 * standing.interval.low:.2f} to {100 * standing.interval.high:.2f}"
    )


def test_the_validation_interval_is_that_of_the_finished_seeds(tmp_path: Path) -> None:
    runs = [Run(seed=seed, val=(0.1, value)) for seed, value in enumerate((0.5, 0.6, 0.7))]
    facts = page_facts(material(tmp_path, *[replace(run, train=(0.1, 0.2)) for run in runs]))
    known = seed_interval([0.5, 0.6, 0.7])
    assert known is not None
    assert cell(facts, "alpha", "val").note == f"{100 * known.low:.2f} to {100 * known.high:.2f}"


def test_who_cannot_be_told_from_the_best_is_marked(of_judged: PageFacts) -> None:
    marks = {row.candidate_id: row.mark for row in of_judged.standings.rows}
    assert marks == {"good": "tied for best", "thrifty": "tied for best", "poor": "", "costly": ""}


def test_two_of_which_nothing_is_shown_are_not_called_tied(tmp_path: Path) -> None:
    networks = [
        Network(name=name, correct=bits(share, seed=1, seeds=2), validation=share)
        for name, share in (("a", 0.9), ("b", 0.6))
    ]
    marks = [
        row.mark for row in page_facts(material_of(stored_study(tmp_path / "s", networks).reading())).standings.rows
    ]
    assert marks == ["not told apart", "not told apart"]


def test_a_winner_is_marked_as_one(tmp_path: Path) -> None:
    networks = [
        Network(name=name, correct=bits(share, seed=1), validation=share) for name, share in (("a", 0.9), ("b", 0.6))
    ]
    marks = [
        row.mark for row in page_facts(material_of(stored_study(tmp_path / "s", networks).reading())).standings.rows
    ]
    assert marks == ["winner", ""]


def test_time_to_best_ends_with_the_best_epoch_and_counts_waiting(tmp_path: Path) -> None:
    runs = [Run(seed=0, val=(0.4, 0.8, 0.6), seconds=8), Run(seed=1, val=(0.9, 0.8, 0.7), seconds=8)]
    facts = page_facts(material(tmp_path, *runs))
    assert cell(facts, "alpha", "to_best").value == pytest.approx((20 + 10) / 2)
    assert cell(facts, "alpha", "training").value == pytest.approx(30)


def test_measured_costs_stand_in_the_table(tmp_path: Path) -> None:
    cost = a_cost()
    facts = page_facts(material(tmp_path, Run(), costs={"alpha": cost}))
    assert cell(facts, "alpha", "latency").value == pytest.approx(cost.latency_p50)
    assert cell(facts, "alpha", "throughput").value == pytest.approx(cost.throughput)


def test_a_cost_that_no_candidate_was_measured_for_has_no_column(tmp_path: Path) -> None:
    assert "latency" not in [one.key for one in page_facts(material(tmp_path, Run())).standings.columns]


# Curves


def test_curves_are_the_epoch_records_of_the_finished_seeds(tmp_path: Path) -> None:
    runs = [Run(seed=0, val=(0.1, 0.5, 0.6)), Run(seed=1, val=(0.3, 0.7, 0.8)), Run(seed=2, status=RUNNING)]
    known = material(tmp_path, *runs)
    (course,) = page_facts(known).courses
    assert (course.runs, course.complete, course.epochs) == (2, True, (1, 2, 3))
    mine = known.epochs[known.epochs["run_id"].isin(["alpha/0", "alpha/1"])]
    by_epoch = mine.groupby("epoch")["val_accuracy"]
    curve = course.curves["val_accuracy"]
    assert curve.mean == pytest.approx(list(by_epoch.mean()))
    assert (curve.low, curve.high) == (tuple(by_epoch.min()), tuple(by_epoch.max()))


def test_seconds_are_of_training_and_waiting_and_arithmetic_is_three_passes_a_picture(tmp_path: Path) -> None:
    (course,) = page_facts(material(tmp_path, Run(seconds=8, macs=1_000_000))).courses
    assert course.seconds == pytest.approx([10, 20, 30])
    assert course.macs == pytest.approx([3e6 * 640 * epoch for epoch in (1, 2, 3)])


def test_measured_arithmetic_of_training_goes_before_the_three_passes(tmp_path: Path) -> None:
    cost = replace(a_cost(), train_macs_per_image=7)
    (course,) = page_facts(material(tmp_path, Run(), costs={"alpha": cost})).courses
    assert course.macs == pytest.approx([7 * 640 * epoch for epoch in (1, 2, 3)])


def test_arithmetic_by_epoch_is_not_known_where_inputs_grow(tmp_path: Path) -> None:
    runs = [Run(candidate="alpha"), Run(candidate="beta")]
    known = material(tmp_path, *runs, costs={"alpha": a_cost()})
    known.runs["spec"].iloc[0]["candidate"]["recipe"]["early_sizes"] = [[16, 0.5]]
    facts = page_facts(known)
    assert {one.candidate_id: one.macs is None for one in facts.courses} == {"alpha": True, "beta": False}
    assert [course["macs"] is None for course in payload(facts)["courses"]].count(True) == 1
    assert "left out against arithmetic" in document(facts)


def test_without_a_finished_seed_the_longest_run_is_shown_with_its_own_seconds(tmp_path: Path) -> None:
    runs = [
        Run(seed=0, train=[0.1], val=None, status=RUNNING, seconds=80),
        Run(seed=1, val=None, status=DIVERGED, test=None, seconds=8),
    ]
    (course,) = page_facts(material(tmp_path, *runs)).courses
    assert (course.runs, course.complete, course.seconds) == (1, False, (10, 20, 30))


def test_a_curve_ends_before_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    run = Run(loss=[1.0, math.nan, 0.5], status=DIVERGED, test=None)
    (course,) = page_facts(material(tmp_path, run)).courses
    assert course.curves["train_loss"].epochs == (1,)
    assert course.curves["train_accuracy"].epochs == (1, 2, 3)


def test_the_programs_draw_the_same_numbers_to_five_digits(of_judged: PageFacts) -> None:
    drawn = payload(of_judged)
    for course, shown in zip(of_judged.courses, drawn["courses"], strict=True):
        assert drawn["candidates"][shown["c"]][0] == course.candidate_id
        assert shown["metrics"]["val_accuracy"][0] == pytest.approx(course.curves["val_accuracy"].mean, rel=1e-4)
        assert shown["seconds"] == pytest.approx(course.seconds, rel=1e-4)


# Trade-offs


def test_the_front_is_that_of_the_recommendation(judged: Study, of_judged: PageFacts) -> None:
    (trade,) = [one for one in of_judged.trades if one.cost == "macs"]
    known = judged.recommend().fronts["macs"]
    assert trade.front == known.on == ("thrifty",)
    assert {one.candidate_id: one.dominated_by for one in trade.points if one.dominated_by} == known.dominated
    assert set(known.dominated) == {"good", "poor", "costly"}
    costs = {one.candidate_id: one.cost for one in trade.points}
    assert costs == {"good": 1e8, "thrifty": 1e7, "poor": 1e7, "costly": 2e8}


def test_without_a_verdict_points_are_shown_and_no_front(tmp_path: Path) -> None:
    trade = page_facts(material(tmp_path, Run())).trades[0]
    assert trade.front == ()
    assert trade.no_front == "There is no verdict, so no front is drawn."
    assert not trade.points[0].ranked


def test_why_there_is_no_front_is_told_as_it_is(judged: Study) -> None:
    reading = judged.reading()
    found = reading.recommendation
    assert trades(reading.table, found)[0].no_front == ""
    for known, why in (
        (replace(found, fronts={}), "is known, so no front"),
        (replace(found, fronts={}, doubted={"good": "C4"}, costs={"good": {}}), "The audit doubts the"),
        (replace(found, fronts={}, verdict=replace(found.verdict, candidates=())), "No candidate is ranked"),
    ):
        assert why in trades(reading.table, known)[0].no_front


def test_a_cost_that_the_audit_doubts_is_told_from_a_candidate_that_is_not_ranked(judged: Study) -> None:
    reading = judged.reading()
    doubting = replace(reading.recommendation, doubted={"good": "C4"}, costs={"good": {}}, fronts={})
    points = {one.candidate_id: one for one in trades(reading.table, doubting)[0].points}
    assert {name: (one.ranked, one.doubted) for name, one in points.items() if name in ("good", "poor")} == {
        "good": (False, True),
        "poor": (False, False),
    }


# Classes and pictures


def test_confusion_matrices_come_best_candidate_first(tmp_path: Path) -> None:
    runs = [Run(candidate="worse", val=(0.1, 0.1, 0.1)), Run(candidate="better")]
    facts = page_facts(material(tmp_path, *runs, classes=classes_of(["x", "y"], "worse", "better")))
    assert [one.candidate_id for one in facts.classes.confusions] == ["better", "worse"]
    assert facts.classes.confusions[0].counts == ((9, 1), (1, 9))


def test_of_too_many_classes_only_the_best_candidates_are_carried(tmp_path: Path) -> None:
    names = [f"class {place}" for place in range(300)]
    runs = [Run(candidate=name, val=(0.1, 0.1, share)) for name, share in (("a", 0.9), ("b", 0.8), ("c", 0.7))]
    facts = page_facts(material(tmp_path, *runs, classes=classes_of(names, "c", "b", "a")))
    assert [one.candidate_id for one in facts.classes.confusions] == ["a", "b"]
    assert facts.classes.left_out == 1


def test_candidates_that_see_alike_share_a_row(tmp_path: Path) -> None:
    views = views_of("a", "b", "c", shades=(10, 200, 10))
    facts = page_facts(material(tmp_path, *[Run(candidate=name) for name in "abc"], pictures=Pictures(views=views)))
    assert [one.labels for one in facts.gallery.evaluation] == [("a", "c"), ("b",)]
    assert [len(one.pictures) for one in facts.gallery.training] == [8, 8]


# The audit, and how it was made


def test_findings_keep_what_they_said(tmp_path: Path) -> None:
    known = {
        "rule": "D1",
        "title": "field of view",
        "message": "it saw 2 %",
        "candidates": ("alpha",),
        "severity": Severity.ERROR,
    }
    firing = Finding(state=State.FIRES, **known, evidence={"coverage": 0.0204, "pictures": 12345, "known": True})  # type: ignore[arg-type]
    findings = [
        firing,
        replace(firing, silenced="on purpose"),
        replace(firing, state=State.NOT_RUN),
        replace(firing, state=State.PASS),
    ]
    audit = page_facts(material(tmp_path, Run(), findings=findings)).audit
    assert [len(part) for part in (audit.firing, audit.open, audit.not_run, audit.passed)] == [2, 1, 1, 1]
    assert audit.firing[0].evidence == (("coverage", "0.0204"), ("pictures", "12,345"), ("known", "yes"))
    assert audit.firing[1].silenced == "on purpose"
    assert len({one.anchor for one in (*audit.firing, *audit.not_run, *audit.passed)}) == 4


def test_what_nobody_wrote_down_is_said_not_to_be_recorded(tmp_path: Path) -> None:
    made = dict(page_facts(material(tmp_path, Run())).made)
    assert made["Command"] == made["Git"] == made["Versions"] == made["Hardware"] == "not recorded"


def test_the_files_in_the_page_are_the_databases_tables(tmp_path: Path) -> None:
    known = material(tmp_path, Run(seed=0), Run(seed=1), Run(candidate="beta"))
    held = {one.name: one.text for one in page_facts(known).downloads}
    epochs, runs, table = (pd.read_csv(io.StringIO(held[f"{name}.csv"])) for name in ("epochs", "runs", "table"))
    pd.testing.assert_frame_equal(epochs, known.epochs, check_dtype=False)
    assert list(runs["test_accuracy"]) == list(known.runs["test_accuracy"])
    assert list(table["val"]) == pytest.approx(list(known.table["val_accuracy"]))
    assert held["study.toml"] == known.study.to_toml()


# What the audit says of a verdict


def told(folder: Path, *findings: Finding) -> list[str]:
    return page_facts(material(folder, Run(), findings=findings)).audit.sentences()


def a_finding(rule: str, state: State, message: str = "") -> Finding:
    return Finding(rule=rule, title="", state=state, severity=Severity.ERROR, message=message)


def test_rules_that_were_not_run_are_never_told_as_if_they_had_passed(tmp_path: Path) -> None:
    waiting = [a_finding(f"X{place}", State.NOT_RUN, "no run has finished") for place in range(3)]
    other = a_finding("Y1", State.NOT_RUN, "costs were not measured.")
    reasons = "3: no run has finished; 1: costs were not measured"
    assert told(tmp_path) == ["The study was not audited."]
    assert told(tmp_path, *waiting, other) == [
        f"The audit has not judged yet: none of its 4 rules could be asked ({reasons})."
    ]
    assert told(tmp_path, *waiting, other, a_finding("Z1", State.PASS)) == [
        "No error or warning is open of the 1 rule that was asked.",
        f"4 of 5 rules were not run ({reasons}).",
    ]


def test_beside_an_open_error_only_what_was_not_run_is_told(tmp_path: Path) -> None:
    fires = a_finding("A1", State.FIRES)
    assert told(tmp_path, fires, a_finding("A1", State.NOT_RUN, "one candidate has no runs")) == []
    assert told(tmp_path, fires, a_finding("B1", State.NOT_RUN, "why")) == ["1 of 2 rules was not run (1: why)."]
    silenced = replace(fires, silenced="known")
    assert told(tmp_path, silenced) == ["No error or warning is open of the 1 rule that was asked."]


def test_a_study_file_in_the_page_hides_nothing_and_says_the_same(tmp_path: Path) -> None:
    study = resolved(description="a\u202eb\xa0\u200d🐎, tab\t and é")
    held = {one.name: one.text for one in page_facts(material(tmp_path, Run(), study=study)).downloads}
    assert held["study.toml"].replace("\n", "").isprintable()
    assert tomllib.loads(held["study.toml"]) == tomllib.loads(study.to_toml())


# One way to say a thing


def test_a_class_without_a_name_is_told_in_one_way_everywhere(tmp_path: Path) -> None:
    pictures = pictures_of("alpha", "beta", "9", "4")
    facts = page_facts(material(tmp_path, Run(), classes=classes_of(["9", "cat"], "alpha"), pictures=pictures))
    assert facts.classes.names == ("class 9", "cat")
    assert facts.gallery.mistakes[0].lines[:2] == ("is class 9", "taken for class 4")
    assert facts.gallery.disagreements[0].lines == ("is class 9", "alpha: class 9", "beta: class 4")


def test_no_sentence_of_the_verdict_is_said_again_as_advice(tmp_path: Path) -> None:
    networks = [
        Network(name=name, correct=bits(0.9, seed=place, pictures=500, blur=0.2), validation=0.9 - place / 100)
        for place, name in enumerate("abc")
    ]
    facts = page_facts(material_of(stored_study(tmp_path / "s", networks).reading()))
    assert len(facts.said.verdict) > 2
    sentences = [part for told in (*facts.said.verdict, *facts.said.advice) for part in re.split(r"(?<=\.) ", told)]
    assert len(set(sentences)) == len(sentences)


def test_an_interval_beside_a_p_value_is_explained_and_alone_is_not(tmp_path: Path, of_judged: PageFacts) -> None:
    assert "after Holm" not in " ".join(of_judged.said.verdict)
    assert of_judged.said.on_p_values == ""
    networks = [
        Network(name=name, correct=bits(share, seed=1), validation=share) for name, share in (("a", 0.9), ("b", 0.6))
    ]
    facts = page_facts(material_of(stored_study(tmp_path / "s", networks).reading()))
    assert "p < 0.001 after Holm, the larger of two tests" in " ".join(facts.said.verdict)
    assert "it can be above 0.05 where the interval leaves out 0" in facts.said.on_p_values
    assert page_facts(material(tmp_path / "t", Run())).said.on_p_values == ""


def test_intervals_of_accuracies_end_at_0_and_100_percent(tmp_path: Path) -> None:
    facts = page_facts(material(tmp_path, Run(seed=0, val=(0.1, 0.2, 0.98)), Run(seed=1, val=(0.1, 0.2, 0.9))))
    assert cell(facts, "alpha", "val").note.endswith("to 100.00")
