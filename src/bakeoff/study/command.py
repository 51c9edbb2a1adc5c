"""What a command asks for, be it typed or called from Python: planned, then run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bakeoff.analysis.further_seeds import DEFAULT_MOST_SEEDS
from bakeoff.errors import SpecError
from bakeoff.execution.local import EarlyWorker
from bakeoff.flags import adapted_spec, several
from bakeoff.records import OnStage
from bakeoff.spec import StudySpec
from bakeoff.study import settling
from bakeoff.study.driver import Outcome, Watcher, execute
from bakeoff.study.folder import Study
from bakeoff.study.planned import Plan
from bakeoff.study.planning import plan, plan_folder

KEYS = {"optimizers": "optimizer", "lrs": "learning_rate"}
"""The study file's key for each flag or argument that has another name."""


def plan_command(
    study: str | Path | StudySpec | None,
    flags: Mapping[str, Any],
    *,
    out: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    only: str | Sequence[str] = (),
    despite: str | Sequence[str] = (),
    tune: bool = True,
    costs: bool = True,
    data_dir: Path | None = None,
    on_stage: OnStage | None = None,
) -> Plan:
    """Plan to go on with a study from its folder, or to run a study file, a specification or the default with flags.

    Args:
        study: A folder, a study file or a specification; None for the default study.
        flags: What is laid over it, by the names that `bakeoff.run` gives its arguments; None where not given.
        out: As `plan`.
        device: As `plan`.
        workers: As `plan`.
        only: As `plan`; one or several.
        despite: Rules of the audit whose errors do not keep it from being trained; one or several.
        tune: As `plan`.
        costs: As `plan`.
        data_dir: As `plan`.
        on_stage: As `plan`.

    Raises:
        SpecError: If something does not exist or cannot be combined, or a folder comes with other settings.
        DataError: If the pictures cannot be used.
        StudyError: If the folder holds a study with other settings.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    insisted = several(despite)
    how: dict[str, Any] = {
        "device": device,
        "workers": workers,
        "only": several(only),
        "tune": tune,
        "costs": costs,
        "data_dir": data_dir,
        "on_stage": on_stage,
    }
    if isinstance(study, str | Path) and Path(study).is_dir():
        names = [*given, *(["out"] if out is not None else [])]
        if names:
            told = ", ".join(f"--{name.replace('_', '-')}" for name in names)
            raise SpecError(
                f"a study that goes on from its folder keeps its settings, but {told} came with {study}; leave it out"
            )
        return plan_folder(Path(study), despite=insisted, **how)
    if "models" in given:
        given["models"] = several(given["models"])
    if isinstance(seeds := given.get("seeds", ()), str) or not isinstance(seeds, Iterable):
        raise SpecError(f"`seeds` must be a list of whole numbers, but got {seeds!r}; give [0, 1, 2] for three seeds")
    spec, adapted = adapted_spec(
        study, despite=insisted or None, **{KEYS.get(name, name): value for name, value in given.items()}
    )
    return plan(spec, out=out, adapted=adapted, **how)


def run_planned(
    planned: Plan, watcher: Watcher, early: EarlyWorker | None, *, settle: bool = False, most_seeds: int | None = None
) -> tuple[Study, Outcome]:
    """Run what is left of a planned study, having said what the user should know of it.

    Args:
        planned: The study.
        watcher: Is told of the progress.
        early: A worker that was started while the study was planned.
        settle: Whether to add, round by round, just the seeds that would settle the verdict.
        most_seeds: Of one candidate, where seeds are added; None for the default.

    Raises:
        AuditError: As `execute`.
        SpecError: If only some candidates are to run, and the verdict is to be settled.
        StudyError: As `execute`.
    """
    for remark in planned.remarks():
        watcher.warn(remark)
    if not settle:
        return execute(planned, watcher, early)
    return settling.settle(
        planned, watcher, most_seeds=DEFAULT_MOST_SEEDS if most_seeds is None else most_seeds, early=early
    )
