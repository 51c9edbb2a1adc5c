"""Candidates get equal time or equal arithmetic: measured or counted once, before the runs begin."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from bakeoff import cost, models
from bakeoff.errors import SpecError, StudyError
from bakeoff.execution.messages import EpochDone, Event, Task
from bakeoff.execution.probe import Probe
from bakeoff.forecast import forecast
from bakeoff.spec import CandidateSpec, StudySpec
from bakeoff.study import Plan, Study, budgets, driver, execute, plan, plan_folder
from bakeoff.study.folder import claimed, write_study_file
from tests.study.killing import SameProcess
from tests.study.tiny import TINY, Notes, tiny_plan

pytestmark = pytest.mark.slow

EPOCH = 140
"""Pictures that a tiny study trains on in an epoch: 160 less 20 for validation."""

TWO = [{"model": "shufflenet_v2_x0_5"}, {"model": "shufflenet_v2_x1_0"}]


class StubTrials:
    """Takes no time, and knows what each model's step takes: in turn, then the last again."""

    seconds: dict[str, list[float]]
    asked: list[str]
    opened: list[tuple[int, int]]

    def __init__(self, at_once: int, threads: int) -> None:
        self.opened.append((at_once, threads))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def measure(self, task: Task) -> Probe:
        model = task.run.candidate.model
        times = self.seconds[model]
        step = times[min(self.asked.count(model), len(times) - 1)]
        self.asked.append(model)
        return Probe(seconds_a_step=step, steps_timed=20, seconds_a_scored_picture=0.0, peak_memory=None, checkpoint=1)


@pytest.fixture(scope="module", autouse=True)
def _networks_built_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", functools.cache(models.build))
        patch.setattr(cost, "macs", functools.cache(cost.macs))
        yield


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[StubTrials]:
    """Steps of 35 pictures: 0.1 s for the one, 0.025 s for the other."""
    monkeypatch.setattr(
        StubTrials, "seconds", {"shufflenet_v2_x0_5": [0.1], "shufflenet_v2_x1_0": [0.025]}, raising=False
    )
    monkeypatch.setattr(StubTrials, "asked", [], raising=False)
    monkeypatch.setattr(StubTrials, "opened", [], raising=False)
    monkeypatch.setattr(budgets, "Trials", StubTrials)
    monkeypatch.setattr(
        budgets, "choose_numerics", lambda planned, runs, _: {run.id: planned.numerics(run) for run in runs}
    )
    return StubTrials


def epochs(candidates: list[CandidateSpec]) -> list[int]:
    return [candidate.recipe.epochs for candidate in candidates]


def begin(planned: Plan) -> None:
    """Leave what a study that is killed at its first run leaves."""
    with claimed(planned.folder):
        write_study_file(planned.folder, planned.study)


def timed(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"folder": folder, "protocol": "time", "candidates": TWO, "recipe": {"batch_size": 35}} | changes


def test_under_time_epochs_follow_the_throughput(tmp_path: Path, stub: type[StubTrials]) -> None:
    planned = tiny_plan(**timed(tmp_path / "study", budget="1s"))
    assert epochs(planned.study.candidates) == [2, 10]  # epochs of 0.4 s and 0.1 s
    budget = planned.study.budget
    assert budget is not None
    assert [grant.epoch.images_per_second for grant in budget.grants] == [pytest.approx(350), pytest.approx(1400)]
    assert stub.opened == [(2, planned.threads)]  # four runs, two workers: two at once
    assert budget.conditions == planned.conditions
    assert planned.macs.keys() == planned.labels.keys() == {one.id for one in planned.study.candidates}


def test_by_default_the_budget_is_what_the_first_candidate_takes(tmp_path: Path, stub: type[StubTrials]) -> None:
    planned = tiny_plan(**timed(tmp_path / "study", recipe={"batch_size": 35, "epochs": 3}))
    assert epochs(planned.study.candidates) == [3, 12]


def test_candidates_are_measured_in_turns_and_the_median_counts(tmp_path: Path, stub: type[StubTrials]) -> None:
    stub.seconds["shufflenet_v2_x0_5"] = [0.9, 0.1, 0.11]
    planned = tiny_plan(**timed(tmp_path / "study", budget="1s"))
    first, second = (one["model"] for one in TWO)
    assert stub.asked == [first, second, second, first, first, second]
    assert planned.study.budget is not None
    assert planned.study.budget.grants[0].epoch.amount == pytest.approx(0.11 * EPOCH / 35)
    assert any("varied by 727%" in remark for remark in planned.remarks())


def test_candidates_that_cost_alike_share_a_trial(tmp_path: Path, stub: type[StubTrials]) -> None:
    alike = [{"model": "shufflenet_v2_x0_5", "learning_rate": [0.1, 0.01], "weight_decay": [0.0, 0.1]}]
    planned = tiny_plan(**timed(tmp_path / "study", budget="1s", candidates=alike))
    assert len(stub.asked) == budgets.ROUNDS
    assert epochs(planned.study.candidates) == [2] * 4


def test_a_batch_larger_than_the_training_set_is_the_training_set(tmp_path: Path, stub: type[StubTrials]) -> None:
    planned = tiny_plan(**timed(tmp_path / "study", budget="1s", recipe={"batch_size": 1000}))
    assert epochs(planned.study.candidates) == [10, 40]


def test_shares_that_are_not_equal_are_told(tmp_path: Path, stub: type[StubTrials]) -> None:
    said = tiny_plan(**timed(tmp_path / "study", budget="0.19s")).remarks()
    assert any("one epoch of shufflenet_v2_x0_5 takes 2.1 times the budget" in remark for remark in said)
    assert any("shufflenet_v2_x1_0 leaves 47% of the budget" in remark for remark in said)
    said = tiny_plan(**timed(tmp_path / "study", budget="4s")).remarks()
    assert not any("budget" in remark for remark in said)


def test_a_study_that_stands_in_its_folder_is_measured_once(tmp_path: Path, stub: type[StubTrials]) -> None:
    given = timed(tmp_path / "study", budget="1s")
    begin(tiny_plan(**given))
    stub.asked.clear()
    stub.seconds = {}
    again = tiny_plan(**given)
    assert epochs(again.study.candidates) == [2, 10]
    assert again.study == Study(tmp_path / "study").spec == plan_folder(tmp_path / "study", device="cpu").study
    assert not stub.asked
    with pytest.raises(StudyError, match=r"budget.given: 1.0 -> 2.0"):
        tiny_plan(**timed(tmp_path / "study", budget="2s"))
    assert not stub.asked  # what cannot go on is refused before anything is measured


def test_a_folder_without_the_epochs_granted_is_refused(tmp_path: Path, stub: type[StubTrials]) -> None:
    undecided = tiny_plan(**timed(tmp_path / "study", budget="1s")).study.asked()
    (tmp_path / "study.toml").write_text(undecided.to_toml())
    with pytest.raises(StudyError, match="must hold the epochs that were granted"):
        Study(tmp_path)


def test_other_conditions_than_those_measured_under_are_told(tmp_path: Path, stub: type[StubTrials]) -> None:
    given = timed(tmp_path / "study", budget="4s", seeds=[0])
    begin(tiny_plan(**given))
    assert not any("other conditions" in remark for remark in tiny_plan(**given).remarks())
    assert any("other conditions" in remark for remark in plan_folder(tmp_path / "study", workers=1).remarks())


def test_the_default_folder_is_named_by_what_was_asked_not_by_what_was_measured(
    tmp_path: Path, stub: type[StubTrials], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {key: value for key, value in timed(tmp_path).items() if key != "folder"}

    def folder(**changes: Any) -> Path:
        return plan(StudySpec.from_mapping(TINY | content | changes), adapted=True, device="cpu", workers=2).folder

    first = folder(budget="1s")
    stub.seconds["shufflenet_v2_x1_0"] = [0.5]
    assert folder(budget="1s") == first
    assert len({first, folder(budget="2s"), folder(), folder(protocol="flops"), folder(protocol="epochs")}) == 5


def test_under_flops_epochs_follow_multiply_accumulates_and_nothing_is_measured(
    tmp_path: Path, stub: type[StubTrials]
) -> None:
    planned = tiny_plan(**timed(tmp_path / "study", protocol="flops", recipe={"batch_size": 35, "epochs": 4}))
    one, other = planned.study.candidates
    budget = planned.study.budget
    assert budget is not None
    assert budget.amount == 4 * 3 * planned.macs[one.id] * EPOCH
    assert epochs([one, other]) == [4, max(1, 4 * planned.macs[one.id] // planned.macs[other.id])]
    assert (budget.conditions, budget.grants[0].epoch.images_per_second) == (None, None)
    assert not stub.opened


def test_smaller_inputs_at_first_are_counted_at_their_size(tmp_path: Path) -> None:
    small = {"model": "shufflenet_v2_x0_5", "early_sizes": [[4, 0.3]]}
    planned = tiny_plan(tmp_path / "study", protocol="flops", budget="1 GMACs", candidates=[small], recipe={})
    network = models.build("shufflenet_v2_x0_5", classes=10, stem="original", size=8).module
    a_picture = round(3 * (0.3 * cost.macs(network, 4) + 0.7 * cost.macs(network, 8)))  # as costs count it
    assert planned.study.budget is not None
    assert planned.study.budget.grants[0].epoch.amount == a_picture * EPOCH


def test_a_warm_up_that_the_budget_cannot_hold_is_refused(tmp_path: Path, stub: type[StubTrials]) -> None:
    with pytest.raises(SpecError, match="raise the budget, or lower its warm-up"):
        tiny_plan(**timed(tmp_path / "study", budget="1s", recipe={"batch_size": 35, "warmup_epochs": 5}))


def test_a_study_under_flops_trains_the_epochs_it_was_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LocalExecutor", SameProcess)
    given = timed(tmp_path / "study", protocol="flops", recipe={"batch_size": 35, "epochs": 2}, seeds=[0])
    study, outcome = execute(replace(tiny_plan(**given), tune=False), Notes())
    assert not outcome.failed
    trained = study.epochs().groupby("run_id").size().to_dict()
    assert [trained[run.id] for run in study.spec.runs()] == epochs(study.spec.candidates)
    assert study.protocol == "flops"


def test_a_forecast_uses_the_throughput_that_epochs_were_granted_by(
    tmp_path: Path, stub: type[StubTrials], monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(task: Task) -> Probe:
        return Probe(seconds_a_step=9.0, steps_timed=3, seconds_a_scored_picture=0.0, peak_memory=1, checkpoint=1)

    monkeypatch.setattr("bakeoff.forecast.probe", probe)
    monkeypatch.setattr("bakeoff.forecast.choose_numerics", budgets.choose_numerics)
    expected = forecast(tiny_plan(**timed(tmp_path / "study", budget="1s")), None)
    assert [row.seconds for row in expected.candidates] == [pytest.approx(0.8), pytest.approx(1.0)]


def test_a_study_under_time_that_is_killed_goes_on_with_the_epochs_measured_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one test here whose throughput is measured."""
    changes = {"protocol": "time", "budget": "1s", "candidates": TWO[:1], "seeds": [0], "recipe": {"batch_size": 70}}
    spec = StudySpec.from_mapping(TINY | changes)
    monkeypatch.setattr(driver, "LocalExecutor", DiesAfterAnEpoch)
    with pytest.raises(SystemError):
        execute(plan(spec, out=tmp_path / "study", device="cpu", workers=2, tune=False), Notes())
    kept = Study(tmp_path / "study").spec
    assert kept.budget is not None
    assert kept.budget.conditions is not None
    (rate,) = (grant.epoch.images_per_second for grant in kept.budget.grants)
    assert rate is not None
    assert epochs(kept.candidates) == [max(1, int(rate / EPOCH))]

    monkeypatch.setattr(budgets, "Trials", None)  # whoever measures now fails
    monkeypatch.setattr(driver, "LocalExecutor", SameProcess)
    study, outcome = execute(plan(spec, out=tmp_path / "study", device="cpu", workers=2, tune=False), Notes())
    assert not outcome.failed
    assert study.spec == kept
    assert len(study.epochs()) == kept.candidates[0].recipe.epochs
    assert study.runs()["status"].tolist() == ["done"]


class DiesAfterAnEpoch(SameProcess):
    """Stands for a driver that is killed while it trains."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for event in super().run(tasks):
            yield event
            if isinstance(event, EpochDone):
                raise SystemError
