"""A command, typed or called from Python: a folder goes on as it is, flags are laid over all else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bakeoff.errors import SpecError
from bakeoff.spec import StudySpec
from bakeoff.study import command, plan_command
from tests.study.tiny import TINY


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is planned, without planning it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(command, "plan", lambda spec, **how: calls.append({"spec": spec} | how))
    monkeypatch.setattr(command, "plan_folder", lambda folder, **how: calls.append({"folder": folder} | how))
    return calls


@pytest.mark.parametrize("kind", [str, Path])
def test_a_study_goes_on_from_its_folder(asked: list[dict[str, Any]], tmp_path: Path, kind: type) -> None:
    plan_command(kind(tmp_path), {"lrs": None}, despite=["D1"])
    assert [(call["folder"], call["despite"]) for call in asked] == [(tmp_path, ["D1"])]


def test_what_a_folder_does_not_take_is_named_as_it_was_given(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    flags = {"lrs": [0.1], "batch_size": [3], "epochs": None, "optimizers": ["sgd"]}
    with pytest.raises(SpecError, match=r"but --lrs, --batch-size, --optimizers, --out came with .*; leave it out"):
        plan_command(tmp_path, flags, out=tmp_path / "other")
    assert not asked


def test_flags_reach_the_keys_that_they_stand_for(asked: list[dict[str, Any]]) -> None:
    flags = {"lrs": [0.1, 0.2], "optimizers": "sgd", "epochs": 3}
    plan_command(StudySpec.from_mapping(TINY), flags)
    (call,) = asked
    assert call["adapted"]
    recipe = call["spec"].recipe
    assert (recipe.learning_rate, recipe.optimizer, recipe.epochs) == ([0.1, 0.2], "sgd", 3)


def test_one_word_stands_for_a_list_of_one(asked: list[dict[str, Any]]) -> None:
    plan_command(None, {"models": "alexnet"}, only="alex", despite="D1")
    (call,) = asked
    assert [entry.model for entry in call["spec"].candidates] == ["alexnet"]
    assert call["only"] == ["alex"]
    assert call["spec"].audit.despite == {"D1": ""}


@pytest.mark.parametrize("seeds", [3, "012"])
def test_seeds_that_are_no_list_are_told(asked: list[dict[str, Any]], seeds: object) -> None:
    with pytest.raises(SpecError, match=r"`seeds` must be a list of whole numbers, but got .*; give \[0, 1, 2\]"):
        plan_command(None, {"seeds": seeds})
    assert not asked
