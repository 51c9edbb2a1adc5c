"""Pages of made-up studies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bakeoff.analysis import ranking
from bakeoff.analysis.certainty import with_intervals
from bakeoff.analysis.contenders import contenders
from bakeoff.analysis.cube import Cube
from bakeoff.analysis.per_class import ClassFacts
from bakeoff.analysis.pictures import Disagreement, Mistake, Pictures, ViewsShown
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
    ranked = ranking.rank(runs, epochs)
    known = contenders(ranked, runs, epochs, Cube.empty())
    table = with_intervals(ranking.with_costs(ranked, more.get("costs", {})), known)
    given = {"study": resolved(), "version": "0", "recommendation": None, "remarks": ranking.remarks(runs, epochs)}
    return Material(runs=runs, epochs=epochs, table=table, **(given | more))


def png(shade: int = 128) -> bytes:
    """A picture of one grey."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def views_of(*candidates: str, shades: Sequence[int] | None = None) -> tuple[ViewsShown, ...]:
    """Eight pictures through both views of each candidate, of one grey each."""
    known = zip(candidates, range(len(candidates)) if shades is None else shades, strict=True)
    return tuple(
        ViewsShown(candidate_id=one, label=one, kind=kind, pngs=(png(shade),) * 8, share_seen=0.5)
        for one, shade in known
        for kind in ("training", "evaluation")
    )


def pictures_of(best: str, other: str, truth: str, wrong: str, views: tuple[ViewsShown, ...] = ()) -> Pictures:
    """Three mistakes of one candidate, and three disagreements with another."""
    return Pictures(
        views=views,
        mistakes=tuple(
            Mistake(picture=place, png=png(place), truth=truth, predicted=wrong, confidence=0.9) for place in range(3)
        ),
        disagreements=tuple(
            Disagreement(picture=place, png=png(place), truth=truth, first=truth, second=wrong) for place in range(3)
        ),
        best_label=best,
        other_label=other,
    )


def classes_of(names: Sequence[str], *candidates: str) -> list[ClassFacts]:
    """Confusion matrices in which each class is right nine times in ten, and else taken for the next."""
    size = len(names)
    matrix = tuple(
        tuple(9 if truth == guess else int(guess == (truth + 1) % size) for guess in range(size))
        for truth in range(size)
    )
    return [
        ClassFacts(candidate_id=one, label=one, classes=tuple(names), confusion=matrix, recall=(0.9,) * size)
        for one in candidates
    ]
