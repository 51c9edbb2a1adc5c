"""A study that is read while it runs: one moment, one verdict, whatever is told of it."""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.analysis import cube
from bakeoff.analysis.pictures import Pictures
from bakeoff.records import RunResult, RunStatus
from bakeoff.report.page import page_facts
from bakeoff.report.page.standings import Row
from bakeoff.reporting import Looked, material_of, page_of, table_of
from bakeoff.store import Store
from bakeoff.study import Study, predictions_path
from bakeoff.study import reading as reading_module
from bakeoff.study.folder import claimed, is_claimed
from tests.stored import Network, bits, uneven_study, write_predictions

UNSEEN = Looked(classes=(), pictures=Pictures())


def network(name: str, accuracy: float, seeds: int) -> Network:
    return Network(
        name=name, correct=bits(accuracy, seeds=seeds, seed=ord(name[0]), pictures=2000), validation=accuracy
    )


def rows(study: Study) -> dict[str, Row]:
    return {row.label: row for row in page_facts(material_of(study.reading(), UNSEEN)).standings.rows}


@pytest.mark.parametrize("finished", [*itertools.product((0, 1, 3, 5), repeat=3)][::5])
def test_who_is_not_ranked_is_no_winner_and_no_tie_and_no_advice(tmp_path: Path, finished: tuple[int, ...]) -> None:
    networks = [
        network(name, accuracy, seeds) for name, accuracy, seeds in zip("abc", (0.95, 0.9, 0.8), finished, strict=True)
    ]
    study = uneven_study(tmp_path, *networks, seeds=5)
    reading = study.reading()
    verdict, found = reading.verdict, reading.recommendation
    ranked = {one.candidate for one in verdict.ranked}
    assert ranked == {name for name, seeds in zip("abc", finished, strict=True) if seeds > 1}
    for label, row in rows(study).items():
        assert (row.rank is not None) == (label in ranked)
        assert bool(row.unranked) == (label not in ranked)
        if label not in ranked:
            assert not row.mark
            assert not [one.ties for one in verdict.candidates if one.candidate == label and one.ties]
    if ranked:
        assert {verdict.standing(one).candidate for one in (verdict.winner, found.pick, *found.ties) if one} <= ranked
        assert {verdict.standing(one).candidate for front in found.fronts.values() for one in front.on} <= ranked


def test_a_single_seed_that_leads_is_told_of_but_neither_ranked_nor_recommended(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 3), network("c", 0.8, 3))
    reading, shown = study.reading(), rows(study)
    assert {name: row.mark for name, row in shown.items()} == {"a": "", "b": "winner", "c": ""}
    assert {name: row.rank for name, row in shown.items()} == {"a": None, "b": 1, "c": 2}
    assert shown["a"].unranked == "S1 too few seeds"
    words = reading.verdict.sentences()
    assert words[0].startswith("7 of 9 runs have ended as this is written")
    assert words[1].startswith("So far b is better than c: ")
    assert words[-1] == "Not ranked: a: S1 too few seeds."
    assert reading.recommendation.sentences()[0] == words[0]
    assert reading.recommendation.sentences()[1].startswith("So far, use b: ")


def test_where_each_has_one_seed_nobody_is_ranked_and_the_networks_are_compared(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 1))
    verdict, shown = study.verdict(), rows(study)
    assert verdict.ranked == ()
    assert verdict.winner is None
    assert {row.mark for row in shown.values()} == {""}
    words = verdict.sentences()
    assert words[1].startswith("So far there is no winner between a and b: ")
    assert words[-1] == "No candidate is ranked: S1 too few seeds."
    assert study.recommend().sentences()[1].startswith("So far, use a: ")


def test_where_every_run_has_ended_but_nobody_is_ranked_the_advice_is_for_the_time_being(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 1), seeds=1)
    assert study.verdict().sentences()[0].startswith("There is no winner between a and b: ")
    assert study.recommend().sentences()[0].startswith("For the time being, use a: ")


def test_one_that_is_ranked_is_compared_with_nobody(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.9, 3), network("b", 0.95, 1), network("c", 0.8, 0))
    words = study.verdict().sentences()
    assert words[1].startswith("So far only a can be ranked, so there is nothing to compare: ")
    assert words[2:] == ["Not ranked: b: S1 too few seeds.", "Not judged: c: no seed has finished."]
    assert rows(study)["a"].mark == ""
    assert rows(study)["c"].unranked == "no seed has finished"


def test_a_reading_stays_as_it_was_while_the_study_goes_on(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.9, 2), network("b", 0.8, 2))
    reading = study.reading()
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        store.mark(reading.runs["run_id"].iloc[0], RunStatus.FAILED, message="x")
    assert reading.table["done"].tolist() == [2, 2]
    assert [one.seeds for one in reading.verdict.candidates] == [2, 2]
    assert sorted(study.table()["done"]) == [1, 2]


def test_the_page_of_a_running_study_says_first_how_far_it_has_come_and_who_works_at_it(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="on Windows nobody can ask whether a folder is claimed")
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 3))
    with claimed(tmp_path):
        page = page_of(study.reading(), UNSEEN)
    first = "4 of 6 runs have ended as this is written, while <code>bakeoff run</code> is at work on the rest."
    assert page.count(first) == 1
    main = page[page.index("<main") :]
    assert main.index(first) < main.index("So far only b can be ranked") < main.index("So far, use b")
    assert "Use b" not in main


def test_a_running_study_is_told_of_although_there_is_no_verdict(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 3), network("b", 0.9, 2))
    write_predictions(
        predictions_path(tmp_path, f"{study.spec.candidates[1].id}/0"), bits(0.9, seeds=1, pictures=300)[0]
    )
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        accuracy = float(bits(0.9, seeds=1, pictures=300).mean())
        result = RunResult(status=RunStatus.DONE, test_loss=0.1, test_accuracy=accuracy, seconds_test=1.0, message=None)
        store.finish(f"{study.spec.candidates[1].id}/0", result)
    said = page_facts(material_of(study.reading(), UNSEEN)).said
    assert said.verdict[0].startswith("There is no verdict: ")
    assert said.progress[0].startswith("5 of 6 runs have ended")


def test_the_tables_of_a_running_study_say_so(tmp_path: Path) -> None:
    reading = uneven_study(tmp_path, network("a", 0.95, 2), network("b", 0.9, 3)).reading()
    for kind in ("md", "latex"):
        assert "5 of 6 runs have ended as this is written" in table_of(reading, kind)
    assert json.loads(table_of(reading, "json"))["runs_left"] == 1


def test_asking_whether_a_folder_is_claimed_changes_nothing_and_keeps_nobody_from_claiming_it(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="on Windows nobody can ask whether a folder is claimed")
    assert is_claimed(tmp_path) is False
    assert not list(tmp_path.iterdir())
    with claimed(tmp_path):
        assert is_claimed(tmp_path) is True
    assert is_claimed(tmp_path) is False
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / "lock")
    assert is_claimed(tmp_path / "other") is False  # it does not wait for somebody to write into the pipe
    with (tmp_path / "lock").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(asking, fcntl.LOCK_UN)).start()
        with claimed(tmp_path):
            pass


def test_the_written_tables_leave_out_of_the_ranking_whom_the_page_does(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 3))
    told = table_of(study.reading(), "md")
    assert "Not ranked: a: S1 too few seeds." in told
    assert "Winner" not in told
    assert "told apart" not in told


def test_the_page_compares_no_settings_of_whom_the_audit_left_out(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 3), network("c", 0.8, 3))
    told = page_facts(material_of(study.reading(), UNSEEN)).effects
    assert told.left_out == "Not compared here, as the audit left them out of the ranking: a (S1 too few seeds)."
    assert told.left_out in page_of(study.reading(), UNSEEN)


def test_table_and_parts_of_it_agree(tmp_path: Path) -> None:
    reading = uneven_study(tmp_path, network("a", 0.95, 2), network("b", 0.9, 3)).reading()
    pd.testing.assert_frame_equal(reading.table[reading.ranking.columns], reading.ranking)


def test_predictions_are_read_and_candidates_compared_once_for_all_that_the_page_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 3), network("b", 0.9, 3))
    known = study.findings()
    assert study.audit_result is not None
    assert known == study.audit_result[1]
    read: list[Path] = []
    judged: list[object] = []
    real_read, real_judge = cube.load_correct, reading_module.judge
    monkeypatch.setattr(cube, "load_correct", lambda path: read.append(path) or real_read(path))
    monkeypatch.setattr(
        reading_module, "judge", lambda *given, **more: judged.append(given) or real_judge(*given, **more)
    )
    reading = study.reading()
    page_facts(material_of(reading, UNSEEN))
    table_of(reading, "md")
    assert len(read) == 6
    assert len(judged) == 1
