"""Pages of made-up studies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bakeoff.analysis import ranking
from bakeoff.report.page import Material
from bakeoff.spec import ResolvedStudy, StudySpec
from bakeoff.spec.data import DataFacts
from tests.synthetic import Run, frames

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror=hack()> \"quoted\" 'too' %{y} <b>🐎</b> שלום \u202e\u2028&amp; <!--"
"""A name that tries every way out."""


def resolved(**keys: Any) -> ResolvedStudy:
    facts = DataFacts(fingerprint="f", size=32, train_pictures=1000, classes=10, has_validation=False, flippable=True)
    return StudySpec.from_mapping({"name": "known", "seeds": [0, 1], **keys}).resolve(facts)


def material(folder: Path, *runs: Run, **more: Any) -> Material:
    """What is told of these runs, stored and read back; nothing was judged unless it is given."""
    folder.mkdir(exist_ok=True)
    return of_frames(*frames(folder, *runs), **more)


def of_frames(runs: pd.DataFrame, epochs: pd.DataFrame, **more: Any) -> Material:
    table = ranking.with_costs(ranking.rank(runs, epochs), more.get("costs", {}))
    given = {"study": resolved(), "version": "0", "recommendation": None, "remarks": ranking.remarks(runs, epochs)}
    return Material(runs=runs, epochs=epochs, table=table, **(given | more))


@dataclass(frozen=True)
class FakeClasses:
    candidate_id: str
    label: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    recall: tuple[float, ...]


@dataclass(frozen=True)
class FakeView:
    candidate_id: str
    label: str
    kind: str
    pngs: tuple[bytes, ...]
    share_seen: float | None = None


@dataclass(frozen=True)
class FakeMistake:
    picture: int
    png: bytes
    truth: str
    predicted: str
    confidence: float = 0.9


@dataclass(frozen=True)
class FakeDisagreement:
    picture: int
    png: bytes
    truth: str
    first: str
    second: str


@dataclass(frozen=True)
class FakePictures:
    views: Sequence[FakeView] = ()
    mistakes: Sequence[FakeMistake] = ()
    disagreements: Sequence[FakeDisagreement] = ()
    best_label: str | None = None
    other_label: str | None = None
    missing: str | None = None


def png(shade: int = 128) -> bytes:
    """A picture of one grey."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def classes_of(names: Sequence[str], *candidates: str) -> list[FakeClasses]:
    """Confusion matrices in which each class is right nine times in ten, and else taken for the next."""
    size = len(names)
    matrix = tuple(
        tuple(9 if truth == guess else int(guess == (truth + 1) % size) for guess in range(size))
        for truth in range(size)
    )
    return [FakeClasses(one, one, tuple(names), matrix, (0.9,) * size) for one in candidates]
