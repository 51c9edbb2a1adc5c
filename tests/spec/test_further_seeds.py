"""Seeds that are added later belong to some candidates, round by round, and leave the earlier runs as they are."""

from __future__ import annotations

import pytest

from bakeoff.errors import SpecError
from bakeoff.spec import DataFacts, ResolvedStudy, StudySpec

CIFAR = DataFacts(
    fingerprint="f" * 12, size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)


@pytest.fixture
def study() -> ResolvedStudy:
    content = {"seeds": [0, 1], "candidates": [{"model": ["resnet18", "alexnet"]}]}
    return StudySpec.from_mapping(content).resolve(CIFAR)


def test_added_seeds_come_after_all_runs_there_were(study: ResolvedStudy) -> None:
    first, second = (candidate.id for candidate in study.candidates)
    more = study.with_further_seeds({second: [2, 3]}).with_further_seeds({first: [2], second: [4]})
    assert more.runs()[:4] == study.runs()
    added = [(run.candidate.model, run.seed) for run in more.runs()[4:]]
    assert added == [("alexnet", 2), ("alexnet", 3), ("resnet18", 2), ("alexnet", 4)]
    assert more.seeds_of(second) == [0, 1, 2, 3, 4]
    assert len(more.further_seeds) == 2


def test_they_survive_the_file_and_are_undone_by_what_was_asked(study: ResolvedStudy) -> None:
    more = study.with_further_seeds({study.candidates[0].id: [2]})
    assert ResolvedStudy.from_toml(more.to_toml()) == more
    assert more.asked() == study


def test_a_study_extends_another_only_by_more_rounds(study: ResolvedStudy) -> None:
    first = study.candidates[0].id
    once = study.with_further_seeds({first: [2]})
    twice = once.with_further_seeds({first: [3]})
    assert once.extends(study)
    assert twice.extends(once)
    assert not once.extends(twice)
    assert not study.with_further_seeds({first: [3]}).extends(once)
    assert not once.extends(study.model_copy(update={"seeds": [0]}))


def test_a_study_that_is_settled_once_stays_so(study: ResolvedStudy) -> None:
    settled = study.to_be_settled()
    assert settled.sequential
    assert not study.sequential
    assert study.with_further_seeds({study.candidates[0].id: [2]}).sequential
    assert ResolvedStudy.from_toml(settled.to_toml()) == settled
    assert settled.asked() == study
    assert settled.extends(study)
    assert not study.extends(settled)


def test_a_seed_that_a_candidate_has_already_is_refused(study: ResolvedStudy) -> None:
    with pytest.raises(ValueError, match="must differ from each other"):
        study.with_further_seeds({study.candidates[0].id: [1]})


def test_seeds_of_a_candidate_that_is_not_there_are_refused(study: ResolvedStudy) -> None:
    text = study.with_further_seeds({study.candidates[0].id: [2]}).to_toml()
    with pytest.raises(SpecError, match="there is none with '000000000000'"):
        ResolvedStudy.from_toml(text.replace(study.candidates[0].id, "0" * 12))
