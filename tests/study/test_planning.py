"""A study that its folder holds is planned as it stands there, wherever its pictures lie and in whatever order it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bakeoff.errors import SpecError, StudyError
from bakeoff.spec import StudySpec
from bakeoff.study import Plan, Study, machine, plan, plan_folder
from bakeoff.study.folder import write_study_file
from tests.study.tiny import TINY, tiny_plan

MODEL = "shufflenet_v2_x0_5"


def write_pictures(folder: Path) -> None:
    draws = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for name in ("cats", "dogs"):
            (folder / split / name).mkdir(parents=True)
            for place in range(count):
                picture = Image.fromarray(draws.integers(0, 256, (32, 32, 3), dtype=np.uint8))
                picture.save(folder / split / name / f"{place}.png")


def of_folder(pictures: Path, out: Path, **changes: Any) -> Plan:
    content = {"data": {"source": str(pictures), "validation": 2}, "candidates": [{"model": MODEL}]}
    return plan(StudySpec.from_mapping(TINY | content | changes), out=out, device="cpu", workers=1)


def begun(planned: Plan) -> Plan:
    planned.folder.mkdir()
    write_study_file(planned.folder, planned.study)
    return planned


def test_pictures_that_were_moved_are_found_again_by_the_folder_alone(tmp_path: Path) -> None:
    write_pictures(tmp_path / "old")
    begun(of_folder(tmp_path / "old", tmp_path / "study"))
    (tmp_path / "old").rename(tmp_path / "new")
    moved = of_folder(tmp_path / "new", tmp_path / "study", description="they lie elsewhere now")
    write_study_file(moved.folder, moved.study)
    assert Study(tmp_path / "study").spec.source == str(tmp_path / "new")
    assert Study(tmp_path / "study").spec.description == "they lie elsewhere now"
    assert plan_folder(tmp_path / "study", device="cpu").study == moved.study


def test_a_path_that_no_study_file_can_hold_is_refused_with_the_remedy(tmp_path: Path) -> None:
    pictures = Path(f"{tmp_path}/p\udc80")
    try:
        write_pictures(pictures)
    except (OSError, UnicodeEncodeError):
        pytest.skip("needs a file system that takes any bytes for a name")
    with pytest.raises(SpecError, match=r"must be UTF-8.*\\udc80.*rename"):
        of_folder(pictures, tmp_path / "study")


def test_the_order_of_candidates_and_seeds_makes_no_other_study(tmp_path: Path) -> None:
    first = begun(tiny_plan(tmp_path / "study"))
    turned = tiny_plan(tmp_path / "study", seeds=[1, 0], candidates=[{"model": MODEL, "learning_rate": [0.001, 0.01]}])
    assert turned.study == first.study


def test_under_a_budget_the_first_candidate_decides_and_so_does_the_order(tmp_path: Path) -> None:
    flops = {"protocol": "flops", "recipe": {"epochs": 2, "batch_size": 35}}
    models = [{"model": MODEL}, {"model": "shufflenet_v2_x1_0"}]
    begun(tiny_plan(tmp_path / "study", **flops, candidates=models))
    with pytest.raises(StudyError, match=r"candidates\[0\]\.model"):
        tiny_plan(tmp_path / "study", **flops, candidates=models[::-1])


def test_seeds_that_were_added_are_run_as_many_at_once_as_the_first_ones_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    content = TINY | {"candidates": [{"model": MODEL}]}
    planned = plan(StudySpec.from_mapping(content), out=tmp_path / "study", device="cpu")
    assert (planned.workers, planned.threads) == (2, 2)
    (candidate,) = planned.study.candidates
    planned.folder.mkdir()
    write_study_file(planned.folder, planned.study.with_further_seeds({candidate.id: [2, 3, 4, 5]}))
    again = plan_folder(planned.folder, device="cpu")
    assert len(again.runs()) == 6
    assert (again.workers, again.threads) == (2, 2)
