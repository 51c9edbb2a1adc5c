"""Contenders made up in a test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bakeoff.analysis.contenders import Contender


def contender(
    name: str,
    correct: NDArray[np.bool_] | None = None,
    *,
    test: list[float] | None = None,
    validation: float = 0.5,
    attempted: int | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Contender:
    """Return a candidate with these results by picture, or with these test accuracies and no predictions."""
    here = np.empty((0, 0), bool) if correct is None else correct
    means = np.array(test if test is not None else here.mean(axis=1) if len(here) else [], float)
    return Contender(
        candidate_id=name,
        label=f"the {name}",
        attempted=attempted or len(means),
        seeds=seeds or tuple(range(len(means))),
        test=means,
        validation=np.full(len(means), validation),
        correct=here,
    )
