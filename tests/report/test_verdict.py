"""Verdicts, recommendations and seed plans in a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from bakeoff.analysis.budget import Budget
from bakeoff.analysis.recommendation import recommend
from bakeoff.analysis.seed_plan import plan_seeds, spread_of
from bakeoff.analysis.verdict import judge
from bakeoff.report.verdict import (
    HEADERS,
    RecommendationTable,
    StandingsTable,
    as_json,
    seed_plan_sentences,
    seed_plan_tables,
    time_to_accuracy_table,
)
from bakeoff.study import Study
from tests.analysis.people import contender
from tests.stored import Network, bits, stored_study

HOSTILE = "[red]x[/red]\x1b[31m"


def shown(*parts: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(*parts, sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    networks = [
        Network(name="big", correct=bits(0.95, seed=1, pictures=2000), validation=0.9, costs={"latency_p95": 0.02}),
        Network(name=HOSTILE, correct=bits(0.8, seed=2, pictures=2000), validation=0.7, minutes=2),
    ]
    return stored_study(tmp_path_factory.mktemp("study"), networks)


def test_standings_show_intervals_ties_and_ranks(study: Study) -> None:
    text = shown(StandingsTable(study.verdict()))
    assert "big" in text
    assert " a " in text
    assert " b " in text
    assert " to 9" in text


def test_hostile_names_are_shown_and_not_obeyed(study: Study) -> None:
    found = study.recommend()
    for table in (
        StandingsTable(found.verdict),
        RecommendationTable(found),
        time_to_accuracy_table(study.time_to_accuracy()),
    ):
        text = shown(table)
        assert "\x1b" not in text
        assert "[red]x" in text


def test_a_recommendation_shows_what_fits_and_what_is_not_known(study: Study) -> None:
    text = shown(RecommendationTable(study.recommend(max_latency=0.05)))
    assert "use this" in text
    assert "not known" in text
    assert "?" in text
    assert "does not fit" in shown(RecommendationTable(study.recommend(max_latency=0.001)))


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_tables_fit_the_terminal(study: Study, width: int) -> None:
    text = shown(StandingsTable(study.verdict()), RecommendationTable(study.recommend()), width=width)
    assert max(map(len, text.splitlines())) <= width


def test_names_can_be_read_and_limited_costs_are_there_in_the_narrowest_terminal(study: Study) -> None:
    for table in (RecommendationTable(study.recommend(max_train_time=1e6)), StandingsTable(study.verdict())):
        assert "big" in shown(table, width=40)
        assert "95.05 %" in shown(table, width=40)
    assert HEADERS["seconds_train"] in shown(RecommendationTable(study.recommend(max_train_time=1e6)), width=40)


def test_times_to_an_accuracy_show_misses(study: Study) -> None:
    text = shown(time_to_accuracy_table(study.time_to_accuracy([0.6, 0.8])))
    assert "never (0/5)" in text
    assert "1 min (5/5)" in text
    assert "80 %" in text


def test_a_seed_plan_shows_both_directions(study: Study) -> None:
    text = shown(*seed_plan_tables(plan_seeds(0.003)))
    assert "0.50 points" in text
    assert "143" in text
    assert "over a million" in shown(*seed_plan_tables(plan_seeds(0.5, differences=[1e-6])))
    spread = spread_of(study.verdict())
    words = "\n".join(seed_plan_sentences(plan_seeds(spread.sd), spread))
    assert "standard deviation over 10 seeds of 2 candidates" in words
    assert "only more test pictures narrow that" in words
    assert "only more test pictures" not in "\n".join(seed_plan_sentences(plan_seeds(0.003), None))


def test_facts_become_json(study: Study) -> None:
    assert json.loads(as_json(study.recommend().facts()))["pick"] == "big"


def test_the_ranked_table_shows_ties_where_candidates_are_separated(study: Study, tmp_path: Path) -> None:
    from bakeoff.report.console import ranked_table

    ties = {one.candidate_id: one.ties for one in study.verdict().candidates}
    assert "ties" in shown(ranked_table(study.table(), "known", ties))
    assert "ties" not in shown(ranked_table(study.table(), "known", dict.fromkeys(ties, "a")))
    assert "ties" not in shown(ranked_table(study.table(), "known"))


def test_who_is_not_ranked_has_neither_rank_nor_ties_nor_a_place_in_the_budget() -> None:
    people = [
        contender("x", bits(0.95, seeds=1)),
        contender("y", bits(0.93, seed=2)),
        contender("z", bits(0.9, seed=3)),
    ]
    verdict = judge(people, unranked={"x": "S1 too few seeds"})
    row = next(line.split() for line in shown(StandingsTable(verdict)).splitlines() if "the x" in line)
    assert (row[2], row[-1]) == ("-", "-")
    budget = shown(RecommendationTable(recommend(verdict, {}, Budget())))
    assert "not ranked" in next(line for line in budget.splitlines() if "the x" in line)
    assert "use this" in next(line for line in budget.splitlines() if "the y" in line)
