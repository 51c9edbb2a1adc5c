"""Just the seeds that a verdict lacks are added to a finished study, round by round, and earlier runs stay as they are."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakeoff.analysis.decision import ALPHA, ALPHA_OF_A_LOOK
from bakeoff.analysis.verdict import Verdict
from bakeoff.errors import SpecError, StudyError
from bakeoff.execution.messages import Ended, EpochDone, Event, Failed, Started, Task
from bakeoff.records import EpochRecord, RunResult, RunStatus
from bakeoff.store import Store
from bakeoff.study import Plan, Study, driver, execute, plan_folder, settling
from bakeoff.study.folder import DATABASE
from bakeoff.study.provenance import commands_of
from bakeoff.study.settling import foreseen_round, next_round, settle
from tests.stored import bits, write_predictions
from tests.study.killing import SameProcess
from tests.study.tiny import Notes, tiny_plan

pytestmark = pytest.mark.slow

GIVEN = {
    "candidates": [{"model": "shufflenet_v2_x0_5"}, {"model": "shufflenet_v2_x1_0"}, {"model": "mnasnet0_5"}],
    "seeds": [0, 1, 2],
    "recipe": {"epochs": 1, "batch_size": 35},
}


class Made:
    """An executor whose runs end at once, with the accuracies that a test wants; seeds differ by a little luck."""

    accuracies: dict[str, float]
    spread = 0.002
    failing: frozenset[int] = frozenset()
    dies_at: int | None = None
    """The seed at which the driver dies."""

    def __init__(self, workers: int, threads: int, early: object = None) -> None: ...

    def stop(self) -> None: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            run, seed = task.run, task.run.seed
            yield Started(run.id)
            if seed == self.dies_at:
                raise SystemError
            if seed in self.failing:
                yield Failed(run.id, "it does not work", "")
                continue
            model = run.candidate.model
            luck = np.random.default_rng([seed, len(model)]).normal(0, self.spread)
            right = bits(self.accuracies[model] + luck, seeds=1, blur=0.02, seed=seed + 100 * len(model))[0]
            write_predictions(task.predictions, right)
            accuracy = float(right.mean())
            record = EpochRecord(
                epoch=1,
                steps=1,
                images=140,
                learning_rate=0.1,
                train_loss=1.0,
                train_accuracy=accuracy,
                val_loss=1.0,
                val_accuracy=accuracy,
                seconds_train=50.0,
                seconds_evaluate=5.0,
                seconds_wait=4.0,
                micro_batch=35,
            )
            yield EpochDone(run.id, record)
            yield Ended(
                run.id,
                RunResult(status=RunStatus.DONE, test_loss=1.0, test_accuracy=accuracy, seconds_test=1.0, message=None),
            )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> type[Made]:
    """Two alike, at 0.90 and a little less, and one that is clearly behind."""
    accuracies = {"shufflenet_v2_x0_5": 0.900, "shufflenet_v2_x1_0": 0.893, "mnasnet0_5": 0.7}
    monkeypatch.setattr(Made, "accuracies", accuracies, raising=False)
    monkeypatch.setattr(driver, "LocalExecutor", Made)
    return Made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return replace(tiny_plan(tmp_path_factory.mktemp("nowhere") / "study", **GIVEN), tune=False)


@pytest.fixture
def planned(base: Plan, tmp_path: Path) -> Plan:
    """Of an empty folder; networks are built once for all tests."""
    return replace(base, folder=tmp_path / "study")


def again(planned: Plan) -> Plan:
    """The same command once more."""
    return replace(planned, study=Study(planned.folder).spec)


def seeds_by_model(study: Study) -> dict[str, int]:
    return study.runs().groupby("model").size().to_dict()


def test_an_open_pair_gets_seeds_until_it_is_settled_and_others_get_none(planned: Plan, made: type[Made]) -> None:
    before = execute(planned, Notes())[0].runs()
    notes = Notes()
    study, outcome = settle(again(planned), notes)
    assert not outcome.failed
    counts = seeds_by_model(study)
    assert counts["mnasnet0_5"] == 3
    assert counts["shufflenet_v2_x0_5"] == counts["shufflenet_v2_x1_0"] >= 5
    assert study.verdict().winner == study.spec.candidates[0].id
    assert any("Round 1 to settle it: shufflenet_v2_x0_5 gets seeds 3, 4" in told for told in notes.told)
    assert notes.told[-1] == "Among the candidates that can be judged nothing is open: no more seeds are added."
    pd.testing.assert_frame_equal(study.runs().iloc[:9], before)
    assert {label.split(" seed ")[1] for label in notes.started}.isdisjoint({"0", "1", "2"})


def test_a_command_that_settles_is_told_as_one_whatever_it_adds(planned: Plan, made: type[Made]) -> None:
    study, _ = settle(planned, Notes())
    assert study.spec.further_seeds
    with Store.open_read_only(study.folder / DATABASE) as store:
        assert len(commands_of(store)) == 1


def test_ctrl_c_in_the_last_moment_of_a_round_is_the_end_of_it(
    planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    class ToldTooLate(made):  # type: ignore[valid-type,misc]
        def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
            *events, last = super().run(tasks)
            yield from events
            signal.raise_signal(signal.SIGINT)
            yield last

    monkeypatch.setattr(driver, "LocalExecutor", ToldTooLate)
    study, outcome = settle(planned, Notes())
    assert outcome.interrupted
    assert not study.spec.further_seeds
    assert (study.runs()["status"] == RunStatus.DONE).all()


def test_what_decides_the_last_bits_stays_from_the_first_start_on_and_not_from_before(
    planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[int, set[int]] = {}

    class Noting(made):  # type: ignore[valid-type,misc]
        dies_at = 1

        def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
            for task in (tasks := list(tasks)):
                threads.setdefault(task.run.seed, set()).add(task.numerics.threads)
            yield from super().run(tasks)

    monkeypatch.setattr(driver, "LocalExecutor", Noting)
    with pytest.raises(SystemError):
        execute(replace(planned, threads=7), Notes())
    threads.clear()
    monkeypatch.setattr(Noting, "dies_at", None)
    execute(replace(planned, threads=3), Notes())
    assert threads == {1: {7, 3}, 2: {3}}  # of seed 1 one candidate had started


def test_the_file_tells_the_rounds_and_the_same_command_without_settling_keeps_them(
    planned: Plan, made: type[Made]
) -> None:
    study, _ = settle(planned, Notes())
    assert study.spec.further_seeds
    for same in (tiny_plan(planned.folder, **GIVEN), plan_folder(planned.folder, device="cpu")):
        assert same.study == study.spec
    notes = Notes()
    execute(again(planned), notes)
    assert not notes.started
    with pytest.raises(StudyError, match=r"seeds: \[0, 1, 2\] -> \[0, 1\]"):
        tiny_plan(planned.folder, **GIVEN | {"seeds": [0, 1]})


def test_a_driver_that_dies_in_a_round_goes_on_with_it(
    planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(made, "dies_at", 4)
        with pytest.raises(SystemError):
            settle(planned, Notes())
    kept = Study(planned.folder).spec.further_seeds
    assert len(kept) == 1
    notes = Notes()
    study, _ = settle(again(planned), notes)
    assert study.spec.further_seeds[:1] == kept
    assert "shufflenet_v2_x0_5 seed 3" not in notes.started  # it had ended
    assert "shufflenet_v2_x0_5 seed 4" in notes.started
    assert (study.runs()["status"] == "done").all()


def test_the_bound_holds_and_what_stays_open_is_told(planned: Plan, made: type[Made]) -> None:
    made.accuracies["shufflenet_v2_x1_0"] = 0.8963
    notes = Notes()
    study, _ = settle(planned, notes, most_seeds=6)
    assert max(seeds_by_model(study).values()) <= 6
    assert notes.told[-1] == "No more seeds are added."
    assert any("stay open" in told and "shufflenet_v2_x1_0" in told for told in notes.told)


def test_after_the_last_look_no_seed_is_added_and_what_stays_open_is_told(
    planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made.accuracies["shufflenet_v2_x1_0"] = 0.8945
    monkeypatch.setattr(made, "spread", 0.006)
    monkeypatch.setattr(settling, "MOST_LOOKS", 2)  # the last one settles it
    notes = Notes()
    study, _ = settle(planned, notes, most_seeds=40)
    assert len(study.spec.further_seeds) == 1
    assert any("another study, with 16 seeds of each from the beginning" in told for told in notes.told)
    assert notes.told[-1] == "No more seeds are added."
    assert next_round(study, planned, most_seeds=40).further.seeds == {}


def test_every_look_is_stricter_than_a_single_one(
    planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []
    judged = Study.verdict

    def verdict(study: Study) -> Verdict:
        levels.append(judged(study).alpha)
        return judged(study)

    monkeypatch.setattr(Study, "verdict", verdict)
    settle(planned, Notes())
    assert levels == [ALPHA_OF_A_LOOK] * 2


def test_what_a_study_was_judged_by_is_not_undone_by_a_command_that_does_not_settle(
    planned: Plan, made: type[Made]
) -> None:
    made.accuracies["shufflenet_v2_x1_0"] = 0.7
    fixed = execute(planned, Notes())[0]
    assert fixed.verdict().alpha == ALPHA
    assert "instead of 5 %" not in str(fixed.verdict())
    settled, _ = settle(planned, Notes())
    execute(again(planned), Notes())
    verdict = Study(planned.folder).verdict()
    assert verdict.alpha == ALPHA_OF_A_LOOK
    assert "each of up to 3 looks at them is tested at 2.21 % instead of 5 %" in str(verdict)
    assert settled.spec.settle


def test_a_run_that_fails_ends_the_rounds(planned: Plan, made: type[Made], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "failing", frozenset({3}))
    study, outcome = settle(planned, Notes())
    assert outcome.failed == 2
    assert len(study.spec.further_seeds) == 1


def test_a_round_is_foreseen_with_its_time_once_the_study_has_ended(planned: Plan, made: type[Made]) -> None:
    assert foreseen_round(planned) is None
    execute(planned, Notes())
    coming = foreseen_round(planned)
    assert coming is not None
    runs = sum(map(len, coming.added.values()))
    assert runs == 4
    assert coming.seconds == runs / 2 * 60  # each takes 50 + 5 + 4 + 1 seconds, two at once
    assert "(4 runs, about 2 min)" in coming.sentences()[-1]
    assert not Study(planned.folder).spec.further_seeds
    assert any("tested at 2.21 %" in said for said in coming.verdict)
    assert not Study(planned.folder).spec.settle


def test_settling_needs_all_candidates(planned: Plan) -> None:
    with pytest.raises(SpecError, match="needs all candidates"):
        settle(replace(planned, only=("x0_5",)), Notes())


def test_networks_that_are_trained_are_settled_with_earlier_runs_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LocalExecutor", SameProcess)
    candidates = [{"model": "shufflenet_v2_x0_5", "learning_rate": [0.01, 0.00001]}]
    small = tiny_plan(tmp_path / "study", candidates=candidates, seeds=[7], recipe={"epochs": 1, "batch_size": 70})
    small = replace(small, tune=False)
    before = execute(small, Notes())[0].runs()
    notes = Notes()
    study, _ = settle(small, notes, most_seeds=5)
    assert any("Round 1 to settle it" in told for told in notes.told)
    assert study.runs()["seed"].tolist()[:6] == [7, 7, 0, 0, 1, 1]
    assert (study.runs()["status"] == "done").all()
    pd.testing.assert_frame_equal(study.runs().iloc[:2], before)
