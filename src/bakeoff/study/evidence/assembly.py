"""Putting together what is known of a study: measured before training, read from its folder after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bakeoff.analysis.verdict import Verdict
from bakeoff.audit import Evidence
from bakeoff.audit.evidence import Probes
from bakeoff.errors import StudyError
from bakeoff.predictions import Predictions, load_predictions
from bakeoff.records import RunStatus
from bakeoff.spec import labels
from bakeoff.study.folder import predictions_path
from bakeoff.study.planned import Plan
from bakeoff.study.reading import Reading

NOT_TRAINED = "nothing was trained yet"
NOT_FINISHED = "no run has finished"
NOT_ASKED = "it is tried by `bakeoff audit --deep` alone"


def evidence_before(planned: Plan, probes: Probes) -> Evidence:
    """Return what is known of a planned study before anything is trained."""
    study = planned.study
    return Evidence(
        study=study,
        labels=planned.labels,
        views=probes.views,
        networks=probes.networks,
        data=probes.data,
        one_batch=probes.one_batch,
        repeats=probes.repeats,
        macs=planned.macs,
        validated=study.validation > 0 or probes.data.own_validation,
        absent={
            "one_batch": NOT_ASKED,
            **dict.fromkeys(("runs", "epochs", "predictions", "verdict", "costs", "baseline"), NOT_TRAINED),
        },
    )


def evidence_after(reading: Reading, probes: Probes | None, why: str) -> Evidence:
    """Return all that a study's folder tells.

    Args:
        reading: The study as it stands.
        probes: What was measured of it, if it was.
        why: Why it was not.
    """
    study, runs, epochs = reading.study.spec, reading.runs, reading.epochs
    done = runs.loc[runs["status"] == RunStatus.DONE, "run_id"].tolist()
    predictions = KeptPredictions(reading.study.folder, done)
    verdict, why_none = _verdict(reading, done)
    decided = study.validation > 0 or (None if probes is None else probes.data.own_validation)
    if decided is None and len(epochs):
        decided = bool(epochs["val_accuracy"].notna().any())
    return Evidence(
        study=study,
        labels=labels(study.candidates),
        runs=runs,
        epochs=epochs,
        predictions=predictions if len(predictions) else None,
        verdict=verdict,
        costs=reading.measured or None,
        views=None if probes is None else probes.views,
        networks=None if probes is None else probes.networks,
        data=None if probes is None else probes.data,
        baseline=None if probes is None else probes.baseline,
        one_batch=None if probes is None else probes.one_batch,
        repeats=None if probes is None else probes.repeats,
        macs={run["candidate_id"]: int(run["macs"]) for run in runs.to_dict("records")} or None,
        validated=decided,
        absent={
            "predictions": "no predictions of a finished run are there",
            "verdict": why_none,
            "costs": "costs were not measured",
            "baseline": why or NOT_FINISHED,
            "one_batch": NOT_ASKED,
            **dict.fromkeys(("views", "networks", "data", "validated"), why),
        },
    )


def _verdict(reading: Reading, done: Sequence[str]) -> tuple[Verdict | None, str]:
    """Return the verdict on all candidates, or None and why there is none."""
    if not done:
        return None, NOT_FINISHED
    try:
        return reading.verdict_before_audit, ""
    except StudyError as error:
        return None, str(error)


class KeptPredictions(Mapping[str, Predictions]):
    """What finished runs predicted for the test pictures, by run id; each is read when it is asked for."""

    def __init__(self, folder: Path, runs: Sequence[str]) -> None:
        self._paths = {run: path for run in runs if (path := predictions_path(folder, run)).is_file()}

    def __getitem__(self, run: str) -> Predictions:
        return load_predictions(self._paths[run])

    def __contains__(self, run: object) -> bool:
        return run in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
