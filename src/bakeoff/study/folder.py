"""A study folder: what was compared, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from bakeoff.analysis import costs, ranking
from bakeoff.errors import SpecError, StudyError
from bakeoff.files import write_atomically
from bakeoff.records import Cost
from bakeoff.spec import ResolvedStudy
from bakeoff.store import Store

STUDY_FILE = "study.toml"

DATABASE = "results.sqlite"


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
        try:
            self.spec = ResolvedStudy.from_toml(path.read_text(encoding="utf-8"), where=str(path))
        except (SpecError, OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{path} cannot be read back: {error}") from error

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
            return known_costs(store)

    def table(self) -> pd.DataFrame:
        """Return one row a candidate, best first: accuracies over seeds, and costs."""
        return ranking.with_costs(ranking.rank(*self._frames()), self.costs())

    def curves(self) -> pd.DataFrame:
        """Return the epoch records in long form: candidate, seed, epoch and the metrics."""
        return ranking.curves(*self._frames())

    def remarks(self) -> list[str]:
        """Return what a reader of the table must know of how it came about."""
        runs, epochs = self._frames()
        known, labels = self.costs(), dict(zip(runs["candidate_id"], runs["label"], strict=True))
        named = {label: known[candidate] for candidate, label in labels.items() if candidate in known}
        return ranking.remarks(runs, epochs) + costs.remarks(named)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"


def known_costs(store: Store) -> dict[str, Cost]:
    """Return the costs in a database, by candidate id; one that another version wrote short of a figure is unknown."""
    found = {}
    for candidate_id, plain in store.costs().items():
        with suppress(ValueError):
            found[candidate_id] = Cost.from_json(plain)
    return found


def predictions_path(folder: Path, run_id: str) -> Path:
    """Return where a run's test predictions are kept."""
    return folder / "predictions" / f"{run_id}.npz"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a study folder for this process alone, and make it if it is not there.

    Raises:
        StudyError: If another process holds it, or it cannot be written to.
    """
    lock = FileLock(folder / "lock", timeout=0)
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


def write_study_file(folder: Path, study: ResolvedStudy) -> None:
    """Write a new study's file, or check that the one in the folder says the same.

    Raises:
        StudyError: If the folder holds other settings or other things, or cannot be written to.
    """
    path = folder / STUDY_FILE
    if path.exists():
        _check_same(folder, study)
        return
    strangers = sorted(
        entry.name for entry in folder.iterdir() if entry.name != "lock" and not entry.name.startswith(".")
    )
    if strangers:
        raise StudyError(
            f"a new study needs an empty folder, but {folder} holds {', '.join(strangers[:5])}; choose another with --out"
        )
    write_atomically(path, study.to_toml().encode())


def _check_same(folder: Path, study: ResolvedStudy) -> None:
    differing = Study(folder).spec.differences(study)
    if differing:
        shown = "\n  ".join(differing[:12] + ([f"and {len(differing) - 12} more"] if len(differing) > 12 else []))
        raise StudyError(
            f"{folder} holds a study with other settings:\n  {shown}\nchoose another folder with --out, or undo the change"
        )
