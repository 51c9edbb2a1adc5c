"""A study's verdict, from what its folder holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bakeoff.analysis import ranking
from bakeoff.analysis.certainty import with_intervals
from bakeoff.analysis.contenders import contenders
from bakeoff.analysis.cube import Cube, load_cube
from bakeoff.analysis.decision import SMALLEST_DIFFERENCE
from bakeoff.analysis.per_class import ClassFacts, per_class
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.errors import StudyError
from bakeoff.records import RunStatus
from bakeoff.study.folder import Study, predictions_path

CIFAR10_SIZE = 32
CIFAR10_CLASSES = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}


def verdict_of(study: Study, excluded: Mapping[str, str] | None, smallest_difference: float | None) -> Verdict:
    """Return a study's verdict; see `Study.verdict`."""
    runs, epochs = study.runs(), study.epochs()
    cube = _cube_of(study, runs)
    names = {run["run_id"]: f"{run['label']} seed {run['seed']}" for run in runs.to_dict("records")}
    return judge(
        contenders(runs, epochs, cube),
        excluded=excluded,
        smallest_difference=SMALLEST_DIFFERENCE if smallest_difference is None else smallest_difference,
        ranked_by=ranking.ranked_by(epochs),
        missing=[f"{names[run]}: {reason}" for run, reason in cube.missing.items()],
    )


def _cube_of(study: Study, runs: pd.DataFrame) -> Cube:
    done = runs[runs["status"] == RunStatus.DONE]
    accuracies = {str(run["run_id"]): float(run["test_accuracy"]) for run in done.to_dict("records")}
    return load_cube({run: predictions_path(study.folder, run) for run in accuracies}, accuracies)


def table_with_intervals(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return a study's ranking with how sure its accuracies are; see `Study.table`."""
    runs = study.runs()
    try:
        cube = _cube_of(study, runs)
    except StudyError:  # runs on different pictures: the verdict says so, and what was trained is shown all the same
        cube = Cube(np.empty(0, np.int64), np.empty(0, np.int64), {}, {})
    return with_intervals(table, contenders(runs, study.epochs(), cube))


def class_facts_of(study: Study) -> list[ClassFacts]:
    """Return the confusion matrices of a study's candidates, with the names of its classes where they were kept."""
    runs = study.runs()
    paths = {str(run): predictions_path(study.folder, str(run)) for run in runs["run_id"]}
    return per_class(runs, paths, class_names(study))


def class_names(study: Study) -> tuple[str, ...]:
    """Return the names of a study's classes; nothing where they were not kept."""
    from bakeoff.study.auditing import kept_probes  # torch loads with it

    probes = kept_probes(study.folder)
    return () if probes is None else probes.data.classes


def of_cifar10(study: Study) -> bool:
    """Whether a study is of CIFAR-10: by its source, or of pictures of the same size and classes (such as a JPEG copy)."""
    if study.spec.source == "cifar10":
        return True
    return study.spec.size == CIFAR10_SIZE and set(class_names(study)) == CIFAR10_CLASSES
