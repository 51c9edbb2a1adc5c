"""Seeds must give runs of their own, and one seed the same run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from bakeoff.audit import Finding, Severity, State, engine
from bakeoff.audit.evidence import Evidence
from bakeoff.audit.seeds import RULES
from bakeoff.errors import StudyError
from bakeoff.predictions import Predictions
from bakeoff.records import Repeat
from bakeoff.spec import labels
from tests.audit.studies import study
from tests.synthetic import Run, frames

STUDY = study()
IDS = [candidate.id for candidate in STUDY.candidates]
SOUND = Repeat(seed=0, steps=20, tensors=62, unlike=0, seed_decides=True)


def asked(tmp_path: Path, *logits: np.ndarray, repeats: dict[str, Repeat] | None = None) -> list[Finding]:
    """Ask P8 of a candidate whose seeds have these scores."""
    runs, _ = frames(tmp_path, *(Run(candidate=IDS[0], seed=seed) for seed in range(max(1, len(logits)))))
    kept = {f"{IDS[0]}/{seed}": predicted(one) for seed, one in enumerate(logits)}
    known = Evidence(study=STUDY, labels=labels(STUDY.candidates), runs=runs, predictions=kept or None, repeats=repeats)
    return engine.audit(known, of=RULES)


def predicted(logits: np.ndarray) -> Predictions:
    labels = np.zeros(len(logits), np.int64)
    return Predictions(logits.astype(np.float16), logits.argmax(axis=1), labels, np.arange(len(logits)))


def some(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 20, 10))


def test_two_seeds_that_give_one_result_are_an_error(tmp_path: Path) -> None:
    one, other = some(2)
    (found,) = asked(tmp_path, one, other, one)
    assert (found.state, found.severity) == (State.FIRES, Severity.ERROR)
    assert "seeds 0 and 2" in found.message


def test_seeds_that_agree_in_every_class_are_let_be_and_what_was_not_tried_is_said(tmp_path: Path) -> None:
    (one,) = some(1)
    (found,) = asked(tmp_path, one, one * 1.5)
    assert found.state is State.PASS
    assert "--deep" in found.message


def test_a_candidate_of_one_seed_is_not_passed_with_one_of_two(tmp_path: Path) -> None:
    one, other, third = some(3)
    runs, _ = frames(tmp_path, Run(candidate=IDS[0]), Run(candidate=IDS[0], seed=1), Run(candidate=IDS[1]))
    kept = {f"{IDS[0]}/0": predicted(one), f"{IDS[0]}/1": predicted(other), f"{IDS[1]}/0": predicted(third)}
    unasked, passes = engine.audit(
        Evidence(study=STUDY, labels=labels(STUDY.candidates), runs=runs, predictions=kept), of=RULES
    )
    assert (passes.state, unasked.state, unasked.candidates) == (State.PASS, State.NOT_RUN, (IDS[1],))


def test_candidates_that_give_one_result_with_each_seed_are_told(tmp_path: Path) -> None:
    one, other, third = some(3)
    runs, _ = frames(tmp_path, *(Run(candidate=name, seed=seed) for name in IDS[:3] for seed in range(2)))
    scores = [(one, other), (one, other), (one, third)]
    kept = {f"{IDS[at]}/{seed}": predicted(of) for at, both in enumerate(scores) for seed, of in enumerate(both)}
    known = Evidence(study=STUDY, labels=labels(STUDY.candidates), runs=runs, predictions=kept)
    (found,) = engine.audit(known, of=RULES)
    assert (found.severity, found.candidates) == (Severity.WARNING, tuple(IDS[:2]))
    assert "one candidate under several names" in found.message


def test_one_seed_says_nothing_unless_its_first_steps_were_taken_again(tmp_path: Path) -> None:
    assert [found.state for found in asked(tmp_path, *some(1))] == [State.NOT_RUN]
    assert [found.state for found in asked(tmp_path, *some(1), repeats={IDS[0]: SOUND})] == [State.PASS]
    assert [found.state for found in asked(tmp_path, repeats={IDS[0]: SOUND})] == [State.PASS]


def test_one_seed_that_gives_other_numbers_the_second_time_is_a_note(tmp_path: Path) -> None:
    drawn = Repeat(seed=0, steps=20, tensors=62, unlike=60, seed_decides=True)
    (found,) = asked(tmp_path, *some(2), repeats={IDS[0]: drawn, IDS[1]: SOUND})
    assert (found.severity, found.candidates) == (Severity.NOTE, (IDS[0],))
    assert "60 of 62 tensors" in found.message


def test_another_seed_that_gives_the_same_network_is_an_error_before_any_run_has_ended(tmp_path: Path) -> None:
    idle = Repeat(seed=3, steps=20, tensors=62, unlike=0, seed_decides=False)
    (found,) = asked(tmp_path, repeats={IDS[0]: SOUND, IDS[1]: idle})
    assert (found.severity, found.candidates) == (Severity.ERROR, (IDS[1],))
    assert "seeds 3 and 4" in found.message


class Counted(Mapping[str, Predictions]):
    """Predictions that count how often they are read, and of which some cannot be."""

    def __init__(self, kept: dict[str, Predictions], damaged: str) -> None:
        self.kept, self.damaged, self.read = kept, damaged, list[str]()

    def __getitem__(self, run: str) -> Predictions:
        self.read.append(run)
        if run == self.damaged:
            raise StudyError(f"predictions must be readable, but {run}.npz: no zip file")
        return self.kept[run]

    def __contains__(self, run: object) -> bool:
        return run in self.kept

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


@pytest.mark.parametrize("repeats", [None, {IDS[0]: SOUND}])
def test_a_file_that_cannot_be_read_is_named_and_the_other_seeds_are_compared_all_the_same(
    tmp_path: Path, repeats: dict[str, Repeat] | None
) -> None:
    one, other, third = some(3)
    runs, _ = frames(tmp_path, *(Run(candidate=IDS[0], seed=seed) for seed in range(4)))
    for last, states in ((one, {State.FIRES, State.NOT_RUN}), (third, {State.NOT_RUN})):
        kept = {f"{IDS[0]}/{seed}": predicted(logits) for seed, logits in enumerate((one, other, third, last))}
        counted = Counted(kept, damaged=f"{IDS[0]}/2")
        known = Evidence(study=STUDY, labels=labels(STUDY.candidates), runs=runs, predictions=counted, repeats=repeats)
        found = engine.audit(known, of=RULES)
        assert {finding.state for finding in found} == states
        assert f"{IDS[0]}/2.npz: no zip file" in found[-1].message
        assert sorted(counted.read) == sorted(kept)  # each once


def test_a_finished_seed_whose_predictions_are_missing_is_not_passed(tmp_path: Path) -> None:
    runs, _ = frames(tmp_path, *(Run(candidate=IDS[0], seed=seed) for seed in range(3)))
    kept = {f"{IDS[0]}/{seed}": predicted(one) for seed, one in enumerate(some(2))}
    known = Evidence(study=STUDY, labels=labels(STUDY.candidates), runs=runs, predictions=kept)
    (found,) = engine.audit(known, of=RULES)
    assert found.state is State.NOT_RUN
    assert "seed 2 are missing" in found.message
