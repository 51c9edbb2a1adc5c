"""Which image classifier should I use for these pictures, and what will it cost me?

    import bakeoff

    study = bakeoff.run(data="digits", models=["resnet18", "mobilenet_v2"], epochs=3, seeds=[0, 1])
    study.table()   # one row a candidate, best first
    study.curves()  # one row an epoch

`bakeoff.load(folder)` opens a study again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.errors import AuditError, BakeoffError, DataError, SpecError, StudyError

if TYPE_CHECKING:
    from bakeoff.spec import StudySpec
    from bakeoff.study import Study

__all__ = [
    "AuditError",
    "BakeoffError",
    "DataError",
    "SpecError",
    "Study",
    "StudyError",
    "StudySpec",
    "__version__",
    "load",
    "run",
    "write_report",
]

__version__ = "0.1.0"


def run(
    study: str | Path | StudySpec | None = None,
    *,
    data: str | Path | None = None,
    models: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    lrs: float | Sequence[float] | None = None,
    epochs: int | Sequence[int] | None = None,
    batch_size: int | Sequence[int] | None = None,
    schedule: str | Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    stem: str | None = None,
    validation: float | None = None,
    limit: int | None = None,
    precision: str | None = None,
    protocol: str | None = None,
    budget: str | None = None,
    only: str | Sequence[str] = (),
    despite: str | Sequence[str] = (),
    settle: bool = False,
    most_seeds: int = 10,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    tune: bool = True,
    costs: bool = True,
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> Study:
    """Train candidates under one protocol and return the study. The same call again goes on where it stopped.

    Sequences are grid axes. What is given here overrides the study file, if there is one.

    Args:
        study: A study file, a specification, or the folder of a study to go on with, which keeps its settings;
            default: the paper's three networks.
        data: A data set's name, a folder of pictures, or a zip or tar of one.
        models: Names as `bakeoff models` lists them.
        optimizers: `adam`, `adamw`, `sgd`, `muon`.
        lrs: Learning rates.
        epochs: Epochs of training.
        batch_size: Pictures a batch.
        schedule: `constant`, `cosine`, `one_cycle`, `linear`.
        seeds: One run each of every candidate.
        stem: `auto`, `original` or `small`.
        validation: Share or number of training pictures held out; 0 for none.
        limit: About how many training pictures to use, to try things out.
        precision: `float32` or `bfloat16`.
        protocol: What candidates get equal shares of: `epochs`, `time` (of training) or `flops` (of training).
        budget: Of one run, under `time` (`10min`) or `flops` (`500 TMACs`); default what the first candidate takes for its
            epochs. The epochs of all others (of all, if it is given) are those that it affords.
        only: Patterns of candidate labels to run now.
        despite: Rules of the audit, such as `D1`, whose errors do not keep the study from being trained.
        settle: Whether to add, round by round, just the seeds that would settle the verdict.
        most_seeds: Of one candidate, where seeds are added.
        out: The study's folder; default one under `results/` named after the study and its settings.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        workers: Processes at once.
        tune: Whether convolutions choose their algorithm by measuring on this machine; False leaves all to PyTorch's own.
        costs: Whether to measure what each candidate costs, once its runs have ended: some seconds each.
        data_dir: Where downloaded data sets are kept.
        progress: Whether to show progress on standard error.

    Raises:
        AuditError: If the audit finds that training would be a waste; `despite` insists.
        BakeoffError: If something asked for does not exist, cannot be read, or cannot be written.
        KeyboardInterrupt: After Ctrl-C; the study is saved and the same call goes on.
    """
    from bakeoff.report.progress import StudyProgress
    from bakeoff.study import EarlyWorker, plan_command, run_planned

    flags = {
        "data": None if data is None else str(data),
        "models": models,
        "optimizers": optimizers,
        "lrs": lrs,
        "epochs": epochs,
        "batch_size": batch_size,
        "schedule": schedule,
        "seeds": seeds,
        "stem": stem,
        "validation": validation,
        "limit": limit,
        "precision": precision,
        "protocol": protocol,
        "budget": budget,
    }
    with StudyProgress(quiet=not progress) as watcher, EarlyWorker() as early:
        planned = plan_command(
            study,
            flags,
            out=None if out is None else Path(out),
            device=device,
            workers=workers,
            only=only,
            despite=despite,
            tune=tune,
            costs=costs,
            data_dir=None if data_dir is None else Path(data_dir),
            on_stage=watcher.stage,
        )
        result, outcome = run_planned(planned, watcher, early, settle=settle, most_seeds=most_seeds)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return result


def load(folder: str | Path) -> Study:
    """Open a study folder.

    Raises:
        StudyError: If it is not one, or another version of bakeoff made it.
    """
    from bakeoff.study import Study

    return Study(Path(folder))


def write_report(
    study: Study | str | Path, out: str | Path | None = None, *, data_dir: str | Path | None = None
) -> Path:
    """Write a study's page, one file that needs nothing else, and return where it is.

    Args:
        study: To tell of, or its folder.
        out: Where to write; default `report/index.html` in the study's folder.
        data_dir: Where downloaded data sets are kept.

    Raises:
        StudyError: If the study cannot be read, or the file cannot be written.
    """
    from bakeoff.reporting import write_page

    opened = load(study) if isinstance(study, str | Path) else study
    return write_page(opened, None if out is None else Path(out), data_dir=None if data_dir is None else Path(data_dir))


def __getattr__(name: str) -> Any:
    # Study and StudySpec are part of the API, but loading them takes pandas and pydantic along.
    if name == "Study":
        from bakeoff.study import Study

        return Study
    if name == "StudySpec":
        from bakeoff.spec import StudySpec

        return StudySpec
    raise AttributeError(f"module 'bakeoff' has no attribute '{name}'")
