"""A study's candidates are measured once its runs have ended, once each, and a network by itself like them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bakeoff
from bakeoff.cost import turns
from bakeoff.cost.effort import FULL, QUICK, Effort
from bakeoff.cost.messages import Work
from bakeoff.cost.turns import Unmeasured
from bakeoff.cost_records import Cost
from bakeoff.errors import SpecError
from bakeoff.records import RunStatus
from bakeoff.store import Store
from bakeoff.study import Outcome, Plan, Study
from bakeoff.study.costs import measure_costs, profile
from tests.costs import a_cost
from tests.study.tiny import Notes, run_tiny, tiny_plan

ONE_EPOCH = {"recipe": {"epochs": 1, "batch_size": 35}, "seeds": [0]}


class Measuring:
    """Stands for the measuring processes, and keeps what it is asked."""

    def __init__(self, *answers: Cost | Unmeasured | BaseException) -> None:
        self.asked: list[list[Work]] = []
        self.efforts: list[Effort] = []
        self.answers = list(answers)

    def __call__(self, works: Sequence[Work], effort: Effort, on_progress: Any) -> list[Cost | Unmeasured]:
        self.asked.append(list(works))
        self.efforts.append(effort)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return [answer] * len(works)


def measuring(monkeypatch: pytest.MonkeyPatch, *answers: Cost | Unmeasured | BaseException) -> Measuring:
    stub = Measuring(*answers)
    monkeypatch.setattr(turns, "measure", stub)
    return stub


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two candidates that differ in what costs nothing, trained and not measured."""
    study, _, _ = run_tiny(tmp_path_factory.mktemp("costs") / "study", **ONE_EPOCH)
    return study


@pytest.fixture
def store(finished: Study, tmp_path: Path) -> Any:
    database = tmp_path / "results.sqlite"
    database.write_bytes((finished.folder / "results.sqlite").read_bytes())
    with Store.create_or_open(database) as opened:
        yield opened


@pytest.fixture
def copied(finished: Study, tmp_path: Path) -> Path:
    return shutil.copytree(finished.folder, tmp_path / "study")


def again(store: Store, finished: Study) -> Notes:
    notes = Notes()
    measure_costs(tiny_plan(finished.folder, **ONE_EPOCH), store, on_stage=notes.stage, warn=notes.warn)
    return notes


def test_candidates_that_cost_the_same_share_a_measurement_in_short(
    store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = measuring(monkeypatch, a_cost())
    again(store, finished)
    (works,) = stub.asked
    assert len(works) == 1
    assert stub.efforts == [QUICK]
    assert set(store.costs()) == set(finished.runs()["candidate_id"])
    assert all(Cost.from_json(plain) == a_cost() for plain in store.costs().values())


def test_what_is_measured_is_what_was_trained(store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = measuring(monkeypatch, a_cost())
    (run_id, *_) = finished.runs()["run_id"]
    stored = store.numerics(run_id)
    assert stored is not None
    store.set_numerics(run_id, replace(stored, convolutions={"conv1.0": ["matmul", "library", "library"]}))
    again(store, finished)
    ((work,),) = stub.asked
    assert work.numerics.convolutions == {"conv1.0": ["matmul", "library", "library"]}
    assert work.numerics.micro_batch == 35
    assert work.dataset is not None
    assert (work.classes, work.size, work.run.id) == (10, 8, run_id)


def test_what_is_known_is_not_measured_again(store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = measuring(monkeypatch, a_cost())
    again(store, finished)
    again(store, finished)
    assert len(stub.asked) == 1


def test_what_was_measured_elsewhere_is_measured_again_beside_what_is_new(
    store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = dict.fromkeys(finished.runs()["candidate_id"])
    store.set_costs(first, a_cost(threads=16).to_json())
    stub = measuring(monkeypatch, a_cost(threads=1))
    again(store, finished)
    assert [work.run.candidate.id for works in stub.asked for work in works] == [second, first]
    assert {plain["conditions"]["threads"] for plain in store.costs().values()} == {1}
    # once all are alike, another machine alone is no reason
    measuring(monkeypatch, AssertionError("measured again"))
    again(store, finished)


def test_a_cost_that_lacks_a_figure_counts_as_unknown(
    store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = finished.runs()["candidate_id"]
    store.set_costs(first, {"latency_p50": 0.1})
    stub = measuring(monkeypatch, a_cost())
    again(store, finished)
    assert len(stub.asked) == 1
    assert Cost.from_json(store.costs()[first]) == a_cost()


def test_a_failure_is_told_by_name_and_nothing_is_stored(
    store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, Unmeasured("it was killed"))
    notes = again(store, finished)
    assert len(notes.warnings) == 2
    assert "what shufflenet_v2_x0_5 0.01 costs could not be measured: it was killed" in notes.warnings
    assert store.costs() == {}


def test_a_study_is_measured_once_no_run_is_left_and_shows_it(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = measuring(monkeypatch, a_cost(latency_spread=0.5))
    study, outcome, notes = run_tiny(copied, only=["0.001"], costs=True, **ONE_EPOCH)
    assert outcome == Outcome(interrupted=False, failed=0)
    assert not notes.started
    assert len(stub.asked) == 1
    assert (study.table()["latency_p50"] == 0.004).all()
    assert list(study.costs().values()) == [a_cost(latency_spread=0.5)] * 2
    (said,) = (remark for remark in study.remarks() if "noisy" in remark)
    assert "shufflenet_v2_x0_5 0.01, shufflenet_v2_x0_5 0.001 (latency spread by 50 %)" in said


def test_a_candidate_without_a_run_that_ended_is_not_measured(
    store: Store, finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = measuring(monkeypatch, a_cost())
    first, second = finished.runs()["run_id"]
    store.mark(first, RunStatus.FAILED, message="no memory")
    store.mark(second, RunStatus.DIVERGED, message="nan")
    again(store, finished)
    assert [work.run.id for work in stub.asked[0]] == [second]
    assert len(store.costs()) == 1


def test_ctrl_c_while_costs_are_measured_loses_no_run(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, KeyboardInterrupt())
    study, outcome, _ = run_tiny(copied, costs=True, **ONE_EPOCH)
    assert outcome.interrupted
    assert set(study.runs()["status"]) == {"done"}
    stub = measuring(monkeypatch, a_cost())
    _, outcome, notes = run_tiny(copied, costs=True, **ONE_EPOCH)
    assert outcome == Outcome(interrupted=False, failed=0)
    assert not notes.started
    assert len(stub.asked) == 1


def test_a_network_by_itself_is_measured_in_full_on_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = measuring(monkeypatch, a_cost())
    (found,) = profile(["shufflenet_v2_x0_5"], size=16, classes=7, batch_size=9, threads=1, tune=False, stem="original")
    assert (found.model, found.cost, found.reason, found.changes) == ("shufflenet_v2_x0_5", a_cost(), None, ())
    ((work,),) = stub.asked
    assert (work.classes, work.size, work.dataset) == (7, 16, None)
    assert work.run.candidate.recipe.batch_size == 9
    assert work.numerics.convolutions == {}
    assert stub.efforts == [FULL]
    profile(["shufflenet_v2_x0_5"], size=16, rounds=2, quick=True, tune=False)
    assert (stub.efforts[-1].name, stub.efforts[-1].rounds) == ("quick", 2)


def test_networks_are_measured_together_and_named_twice_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = measuring(monkeypatch, Unmeasured("no memory"))
    found = profile(["shufflenet_v2_x0_5", "speednet", "shufflenet_v2_x0_5"], size=16, tune=False, stem="original")
    assert [(one.model, one.cost, one.reason) for one in found] == [
        ("shufflenet_v2_x0_5", None, "no memory"),
        ("speednet", None, "no memory"),
    ]
    assert len(stub.asked) == 1


def test_a_network_that_does_not_exist_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub = measuring(monkeypatch, a_cost())
    with pytest.raises(SpecError, match="did you mean 'resnet18'"):
        profile(["resnet81"])
    with pytest.raises(SpecError, match="16x16"):
        profile(["alexnet"], size=16, stem="original")
    assert not stub.asked


@pytest.mark.parametrize(("given", "measured"), [({}, True), ({"costs": False}, False)])
def test_the_python_api_measures_costs_unless_told_not_to(
    given: dict[str, bool], measured: bool, finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Plan] = []
    monkeypatch.setattr(
        "bakeoff.study.command.execute",
        lambda plan, watcher, early: planned.append(plan) or (finished, Outcome(interrupted=False, failed=0)),
    )
    bakeoff.run(data="digits", models=["shufflenet_v2_x0_5"], out=tmp_path, progress=False, **given)
    assert planned[0].costs == measured
