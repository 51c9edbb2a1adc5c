"""A study folder: what was compared, and what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from filelock import FileLock, Timeout

from bakeoff.analysis import ranking
from bakeoff.analysis.time_to_accuracy import time_to_accuracy, usual_targets
from bakeoff.audit import Finding, Ranking
from bakeoff.cost_records import Cost, known_costs
from bakeoff.errors import OtherFormatError, SpecError, StudyError
from bakeoff.files import write_atomically
from bakeoff.spec import ProtocolName, ResolvedStudy
from bakeoff.store import Store

if TYPE_CHECKING:
    from bakeoff.analysis.recommendation import Recommendation
    from bakeoff.analysis.verdict import Verdict
    from bakeoff.audit.kept import AuditResult
    from bakeoff.study.reading import Reading

STUDY_FILE = "study.toml"

DATABASE = "results.sqlite"

LOCK = "lock"

OWN = (STUDY_FILE, LOCK, "checkpoints", "predictions")
"""What belongs to a study in its folder, besides the database and its logs."""

LARGEST_FILE = 16 * 2**20
"""Bytes of a study file that is read: about 100,000 candidates."""


class Study:
    """A study folder: what was compared, and what came of it."""

    def __init__(self, folder: Path) -> None:
        """Open a study folder.

        Raises:
            StudyError: If it is not one, or another version of bakeoff made it.
        """
        self.folder = folder
        path = folder / STUDY_FILE
        if not path.is_file():
            raise StudyError(
                f"a study folder must hold {STUDY_FILE}, but {folder} has none; give the folder that `bakeoff run` named"
            )
        self.audit_result: AuditResult | None = None
        """What the audit said last."""
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise StudyError(
                f"{path} must be a study of at most {LARGEST_FILE:,} bytes, but has {size:,}; take it from a copy of the study"
            )
        try:
            self.spec = ResolvedStudy.from_toml(path.read_text(encoding="utf-8"), where=str(path))
        except (SpecError, OSError, UnicodeDecodeError) as error:
            reason = str(error).removeprefix(str(path)).lstrip(": ")
            other = isinstance(error, OtherFormatError)  # whose message has a remedy of its own
            remedy = "" if other else "; take it from a copy of the study, or begin the study anew in another folder"
            raise StudyError(f"{path} cannot be read back: {reason}{remedy}") from error
        if not self.spec.decided:
            raise StudyError(
                f"{path} cannot be read back: under protocol = '{self.spec.protocol}' it must hold the epochs that were granted; "
                "start the study from its study file again"
            )

    @property
    def protocol(self) -> ProtocolName:
        """What candidates got equal shares of; under `time` and `flops`, `spec.budget` has what each was granted."""
        return self.spec.protocol

    def owns(self, path: Path) -> bool:
        """Whether a path, links followed, is among the files that the study consists of, which no report may replace."""
        place, home = path.resolve(), self.folder.resolve()
        if home not in place.parents:
            return False
        name = place.relative_to(home).parts[0]
        return name in OWN or name.startswith(DATABASE)

    def reading(self) -> Reading:
        """Return the results as they stand now; of a study that is running, all that is to agree is taken from one.

        Raises:
            StudyError: If the database cannot be read.
        """
        from bakeoff.study.reading import Reading  # SciPy's statistics take as long to load as all the rest

        with Store.open_read_only(self.folder / DATABASE) as store:
            return Reading(self, store)

    def _frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        with Store.open_read_only(self.folder / DATABASE) as store:
            return store.runs_frame(), store.epochs_frame()

    def runs(self) -> pd.DataFrame:
        """Return one row a run."""
        return self._frames()[0]

    def epochs(self) -> pd.DataFrame:
        """Return one row an epoch record."""
        return self._frames()[1]

    def costs(self) -> dict[str, Cost]:
        """Return what candidates cost, by candidate id; nothing of those not measured."""
        with Store.open_read_only(self.folder / DATABASE) as store:
            return known_costs(store.costs())

    def findings(self) -> list[Finding]:
        """Return what the audit says of the study, what fires first."""
        return self.reading().findings

    def table(self) -> pd.DataFrame:
        """Return one row a candidate, best first: accuracies over seeds with their 95 % intervals, and costs.

        A candidate that an open error of the audit touches, or of which no seed has finished, has no rank; `unranked` says
        why. Where runs were tested on different pictures, test accuracies have no interval.
        """
        return self.reading().table

    def unranked(self, by: Ranking = Ranking.ACCURACY) -> dict[str, str]:
        """Return the candidates that open errors of the audit take out of a ranking, by id, with the reason.

        Args:
            by: Which ranking: by accuracy or by cost.
        """
        return self.reading().unranked(by)

    def curves(self) -> pd.DataFrame:
        """Return the epoch records in long form: candidate, seed, epoch and the metrics."""
        return ranking.curves(*self._frames())

    def remarks(self) -> list[str]:
        """Return what a reader of the table must know of how it came about."""
        return self.reading().remarks

    def verdict(
        self, *, excluded: Mapping[str, str] | None = None, smallest_difference: float | None = None
    ) -> Verdict:
        """Return which candidates are better, which are equivalent, and where there is no winner.

        Args:
            excluded: Candidates that are not to be judged, by id, with the reason; default those that errors of the audit
                touch. Errors on the statistics exclude none: whom they touch is compared, but not ranked.
            smallest_difference: Of accuracies that counts; a share, default what the study declares.

        Raises:
            StudyError: If runs were tested on different pictures.
            SpecError: If the smallest difference is not above 0 and below 1.
        """
        return self.reading().judged(excluded=excluded, smallest_difference=smallest_difference)

    def recommend(
        self,
        *,
        max_latency: float | None = None,
        max_parameters: float | None = None,
        max_macs: float | None = None,
        max_memory: float | None = None,
        max_train_time: float | None = None,
        min_accuracy: float | None = None,
        excluded: Mapping[str, str] | None = None,
        smallest_difference: float | None = None,
    ) -> Recommendation:
        """Return which candidate to use under a budget.

        Args:
            max_latency: Seconds for one picture, which 95 of 100 calls keep to.
            max_parameters: Of the network.
            max_macs: Multiply-accumulates of one picture's forward pass.
            max_memory: Bytes at most during inference.
            max_train_time: Seconds of training of one seed.
            min_accuracy: Share of the test pictures right.
            excluded: Candidates that are not to be judged, by id, with the reason; default as `verdict`.
            smallest_difference: Of accuracies that counts; a share, default what the study declares.

        Raises:
            StudyError: If runs were tested on different pictures.
            SpecError: If a limit is not above 0.
        """
        from bakeoff.analysis.budget import Budget

        budget = Budget(
            max_latency=max_latency,
            max_parameters=max_parameters,
            max_macs=max_macs,
            max_memory=max_memory,
            max_train_time=max_train_time,
            min_accuracy=min_accuracy,
        )
        reading = self.reading()
        verdict = reading.judged(excluded=excluded, smallest_difference=smallest_difference)
        return reading.recommended(verdict, budget)

    def time_to_accuracy(self, targets: Sequence[float] | None = None) -> pd.DataFrame:
        """Return the training time that each candidate takes to reach validation accuracies, misses as infinity.

        Args:
            targets: Shares in (0, 1]; default: 90, 95 and 99 % of the best candidate's accuracy.

        Raises:
            SpecError: If a target is no share.
        """
        runs, epochs = self._frames()
        return time_to_accuracy(runs, epochs, usual_targets(ranking.rank(runs, epochs)) if targets is None else targets)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"


def predictions_path(folder: Path, run_id: str) -> Path:
    """Return where a run's test predictions are kept."""
    return folder / "predictions" / f"{run_id}.npz"


ASKING = 0.2
"""Seconds to wait for the lock: `is_claimed` takes it too, for microseconds."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a study folder for this process alone, and make it if it is not there.

    Raises:
        StudyError: If another process holds it, or it cannot be written to.
    """
    lock = FileLock(folder / LOCK, timeout=ASKING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StudyError(
            f"a study folder takes one `bakeoff run` at a time, but another process is running {folder}; wait for it or stop it"
        ) from error
    except OSError as error:
        raise StudyError(
            f"a study folder must be a folder that can be written to, but {folder}: {error.strerror or error}; choose another with --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_claimed(folder: Path) -> bool | None:
    """Return whether a process holds a study folder now, as `claimed` does; None where that cannot be known.

    Nothing in the folder is changed by asking, and it need not be one that can be written to.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place must not keep us waiting
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(lock)
    return False


def begun(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return (folder / STUDY_FILE).exists()


def stored_study(folder: Path) -> ResolvedStudy | None:
    """Return the study that a folder holds, or None if it holds none yet.

    Raises:
        StudyError: If its file cannot be read back.
    """
    return Study(folder).spec if begun(folder) else None


def write_study_file(folder: Path, study: ResolvedStudy) -> None:
    """Write a study's file if the folder has none or the study goes beyond it, else check that it says the same.

    What is declared to the audit may have changed, and is written anew.

    Raises:
        StudyError: If the folder holds other settings or other things, or cannot be written to.
    """
    stored = stored_study(folder)
    if stored == study:
        return
    if stored is not None and not study.extends(stored):
        refuse_other(folder, stored, study)
    if stored is None:
        _check_empty(folder)
    write_atomically(folder / STUDY_FILE, study.to_toml().encode())


def _check_empty(folder: Path) -> None:
    strangers = sorted(
        entry.name for entry in folder.iterdir() if entry.name != LOCK and not entry.name.startswith(".")
    )
    if strangers:
        raise StudyError(
            f"a new study needs an empty folder, but {folder} holds {', '.join(strangers[:5])}; choose another with --out"
        )


def refuse_other(folder: Path, stored: ResolvedStudy, study: ResolvedStudy) -> None:
    """Check that a study is the one that a folder holds.

    Raises:
        StudyError: If it is not, with the keys that differ.
    """
    differing = stored.differences(study)
    if differing:
        shown = "\n  ".join(differing[:12] + ([f"and {len(differing) - 12} more"] if len(differing) > 12 else []))
        raise StudyError(
            f"{folder} holds a study with other settings:\n  {shown}\nchoose another folder with --out, or undo the change"
        )
