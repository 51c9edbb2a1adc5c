"""A study's verdict, from what its folder holds."""

from __future__ import annotations

from collections.abc import Mapping

from bakeoff.analysis import ranking
from bakeoff.analysis.contenders import contenders
from bakeoff.analysis.cube import load_cube
from bakeoff.analysis.decision import SMALLEST_DIFFERENCE
from bakeoff.analysis.per_class import ClassFacts, per_class
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.records import RunStatus
from bakeoff.study.folder import Study, predictions_path


def verdict_of(study: Study, excluded: Mapping[str, str] | None, smallest_difference: float | None) -> Verdict:
    """Return a study's verdict; see `Study.verdict`."""
    runs, epochs = study.runs(), study.epochs()
    done = runs[runs["status"] == RunStatus.DONE]
    accuracies = {str(run["run_id"]): float(run["test_accuracy"]) for run in done.to_dict("records")}
    cube = load_cube({run: predictions_path(study.folder, run) for run in accuracies}, accuracies)
    names = {run["run_id"]: f"{run['label']} seed {run['seed']}" for run in runs.to_dict("records")}
    return judge(
        contenders(runs, epochs, cube),
        excluded=excluded,
        smallest_difference=SMALLEST_DIFFERENCE if smallest_difference is None else smallest_difference,
        ranked_by=ranking.ranked_by(epochs),
        missing=[f"{names[run]}: {reason}" for run, reason in cube.missing.items()],
    )


def class_facts_of(study: Study) -> list[ClassFacts]:
    """Return the confusion matrices of a study's candidates, with the names of its classes where they were kept."""
    from bakeoff.study.auditing import kept_probes  # torch loads with it

    runs = study.runs()
    probes = kept_probes(study.folder)
    paths = {str(run): predictions_path(study.folder, str(run)) for run in runs["run_id"]}
    return per_class(runs, paths, () if probes is None else probes.data.classes)
