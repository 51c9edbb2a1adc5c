"""A study that is read while it runs: one moment, one verdict, whatever is told of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.analysis import cube
from bakeoff.analysis.pictures import Pictures
from bakeoff.records import RunStatus
from bakeoff.report.page import page_facts
from bakeoff.report.page.standings import Row
from bakeoff.reporting import Looked, material_of, page_of, table_of
from bakeoff.store import Store
from bakeoff.study import Study
from bakeoff.study import reading as reading_module
from tests.stored import Network, bits, uneven_study

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
    assert words[0].startswith("b is better than c: ")
    assert words[-1] == "Not ranked: a: S1 too few seeds."
    assert reading.recommendation.sentences()[0].startswith("Use b: ")


def test_where_each_has_one_seed_nobody_is_ranked_and_the_networks_are_compared(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.95, 1), network("b", 0.9, 1))
    verdict, shown = study.verdict(), rows(study)
    assert verdict.ranked == ()
    assert verdict.winner is None
    assert {row.mark for row in shown.values()} == {""}
    words = verdict.sentences()
    assert words[0].startswith("There is no winner between a and b: ")
    assert words[-1] == "No candidate is ranked: S1 too few seeds."
    assert study.recommend().sentences()[0].startswith("For the time being, use a: ")


def test_one_that_is_ranked_is_compared_with_nobody(tmp_path: Path) -> None:
    study = uneven_study(tmp_path, network("a", 0.9, 3), network("b", 0.95, 1), network("c", 0.8, 0))
    words = study.verdict().sentences()
    assert words[0].startswith("Only a can be ranked, so there is nothing to compare: ")
    assert words[1:] == ["Not ranked: b: S1 too few seeds.", "Not judged: c: no seed has finished."]
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
    assert study.said is not None
    assert known == study.said[1]
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
