"""Candidates to measure, as small as they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bakeoff.cost.messages import Work
from bakeoff.data import Dataset
from tests.builders import numerics, one_run, small_dataset


def a_work(
    dataset: Dataset | None = None, *, folder: Path | None = None, study: dict[str, Any] | None = None, **recipe: Any
) -> Work:
    """A work on noise, or on a data set in the cache."""
    pictures = dataset or replace(small_dataset(), validation=small_dataset().test)
    run = one_run(pictures, study=study, **recipe)
    return Work(
        run=run,
        numerics=numerics(run),
        dataset=folder if dataset is None else dataset.folder,
        classes=len(pictures.classes),
        picture=pictures.size,
    )
