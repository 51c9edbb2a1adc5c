"""What was measured once is measured again only where something that decides it has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from bakeoff.data.cache import cache_root
from bakeoff.errors import SpecError, StudyError
from bakeoff.study import remembered
from bakeoff.study.evidence import gather
from bakeoff.study.remembered import Remembered
from tests.study.tiny import tiny_plan

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Length:
    """A fact."""

    metres: float
    taken: tuple[int, ...] = ()


@pytest.fixture
def turns() -> Iterator[int]:
    return count(1)


def measured(cache: Path, turns: Iterator[int], *key: object) -> Length:
    return Remembered(cache).fact(Length, key, lambda: Length(0.1, (next(turns),)))


def test_a_fact_is_measured_once_for_each_key(tmp_path: Path, turns: Iterator[int]) -> None:
    assert measured(tmp_path, turns, "a", 1) == measured(tmp_path, turns, "a", 1) == Length(0.1, (1,))
    assert measured(tmp_path, turns, "a", 2) == Length(0.1, (2,))


def test_other_code_measures_anew(tmp_path: Path, turns: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    measured(tmp_path, turns)
    monkeypatch.setattr(remembered, "_code", lambda: "another version")
    assert measured(tmp_path, turns) == Length(0.1, (2,))


@pytest.mark.parametrize("content", [b"", b"{", b'{"metres": "long"}', b"[]", b"\xff\x00"])
def test_a_damaged_file_is_measured_anew_and_mended(tmp_path: Path, turns: Iterator[int], content: bytes) -> None:
    measured(tmp_path, turns)
    (kept,) = tmp_path.rglob("*.json")
    kept.write_bytes(content)
    assert measured(tmp_path, turns) == measured(tmp_path, turns) == Length(0.1, (2,))


def test_a_cache_that_cannot_be_written_to_remembers_nothing(
    tmp_path: Path, turns: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise StudyError("no space left")

    monkeypatch.setattr(remembered, "write_atomically", full)
    assert measured(tmp_path, turns) == Length(0.1, (1,))
    assert measured(tmp_path, turns) == Length(0.1, (2,))


def test_what_fails_is_not_remembered(tmp_path: Path, turns: Iterator[int]) -> None:
    def fail() -> Length:
        raise SpecError("there is no network")

    with pytest.raises(SpecError):
        Remembered(tmp_path).fact(Length, ["a"], fail)
    assert measured(tmp_path, turns, "a") == Length(0.1, (1,))


def test_probes_are_the_same_when_they_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = tiny_plan(tmp_path / "study", seeds=[7])
    first = gather(planned)
    monkeypatch.setattr("bakeoff.study.evidence._Look.at_views", lambda *_: pytest.fail("views were measured again"))
    monkeypatch.setattr("bakeoff.study.evidence._Look.at_network", lambda *_: pytest.fail("a network was built again"))
    assert gather(planned) == first


class LookedError(Exception):
    """A network was looked at."""


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [8]},
        {"stem": "small"},
        {"precision": "bfloat16"},
        {"data": {"source": "digits", "validation": 20, "limit": 161}},
        {"data": {"source": "digits", "validation": 21, "limit": 160}},
        {"candidates": [{"model": "resnet18"}]},
        {"candidates": [{"model": "shufflenet_v2_x0_5", "view": {"train": {"flip": True, "random": True}}}]},
        {"candidates": [{"model": "shufflenet_v2_x0_5", "view": {"normalize": "imagenet"}}]},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_another_network_view_or_choice_of_pictures_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    gather(tiny_plan(tmp_path / "study", seeds=[7]))

    def look(*_: object) -> None:
        raise LookedError

    monkeypatch.setattr("bakeoff.study.evidence._Look.at_network", look)
    with pytest.raises(LookedError):
        gather(tiny_plan(tmp_path / "other", **({"seeds": [7]} | changes)))


PLANS = """
import sys
from pathlib import Path
from bakeoff.spec import StudySpec
from bakeoff.study import plan
from bakeoff.study.auditing import examine
from bakeoff.study.tuning import choose_numerics
from tests.study.tiny import TINY

few = {"candidates": [{"model": "speednet", "view": {"train": {"resize": 16}}}]}  # few layers to measure, and small ones
spec = StudySpec.from_mapping({**TINY, **few, "recipe": {"epochs": int(sys.argv[2]), "batch_size": 35}})
planned = plan(spec, out=Path(sys.argv[1]), device="auto")
planned.remarks()
examine(planned)
choose_numerics(planned, planned.runs())
print("torch" in sys.modules)
"""


@pytest.mark.timeout(180)
def test_a_later_study_of_the_same_networks_is_planned_without_torch(tmp_path: Path) -> None:
    """It takes more than a second to load, and a worker is loading it meanwhile."""

    kernels = cache_root(None) / "kernels"  # to compile them anew takes seconds
    kernels.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernels").symlink_to(kernels)

    def loads_torch(epochs: int) -> str:
        program = [sys.executable, "-c", PLANS, str(tmp_path / str(epochs)), str(epochs)]
        own = os.environ | {"BAKEOFF_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(program, capture_output=True, text=True, check=False, env=own)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert [loads_torch(epochs) for epochs in (1, 2)] == ["True", "False"]
