"""What the figures show, as numbers: computed here, drawn elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from bakeoff.analysis.ranking import rank
from bakeoff.records import RunStatus

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What tells a candidate's curve from another's."""

    id: str
    label: str
    model: str
    optimizer: str
    learning_rate: float

    @property
    def recipe(self) -> tuple[str, str, float]:
        """Model, optimizer and learning rate: what the paper's recorded runs are told by."""
        return self.model, self.optimizer, self.learning_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric over the epochs of one candidate."""

    configuration: Configuration
    metric: str
    """`train_loss`, `train_accuracy`, `val_loss` or `val_accuracy`."""

    runs: int
    """How many seeds the mean is over."""

    complete: bool
    """Whether these runs are done; else it is the longest run so far, alone."""

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    """Over the seeds, one an epoch; losses in nats a picture, accuracies as shares in [0, 1]."""

    low: tuple[float, ...]
    """The lowest seed at each epoch."""

    high: tuple[float, ...]

    @property
    def label(self) -> str:
        """The candidate's."""
        return self.configuration.label

    @property
    def model(self) -> str:
        """The candidate's."""
        return self.configuration.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A candidate's test result over its finished seeds."""

    configuration: Configuration
    runs: int
    loss: float
    loss_sd: float
    """Sample standard deviation over the seeds; NaN for one."""

    accuracy: float
    accuracy_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAccuracy:
    """What a candidate reaches, and the training it takes."""

    label: str
    model: str
    rank: int
    """Rank in the table."""

    seconds: float
    """Seconds of training one run, waiting for data included, evaluation not."""

    accuracy: float
    accuracy_sd: float


def configurations(runs: pd.DataFrame) -> list[Configuration]:
    """Return the candidates of a study in its order."""
    firsts = runs.drop_duplicates("candidate_id").to_dict("records")
    return [
        Configuration(
            id=row["candidate_id"],
            label=row["label"],
            model=row["model"],
            optimizer=row["spec"]["candidate"]["recipe"]["optimizer"],
            learning_rate=float(row["spec"]["candidate"]["recipe"]["learning_rate"]),
        )
        for row in firsts
    ]


def curve_facts(runs: pd.DataFrame, epochs: pd.DataFrame, metric: str) -> list[Curve]:
    """Return one curve a candidate that has anything to show, in the study's order.

    A curve is the mean of the finished seeds. Where none has finished, it is the run that came farthest, alone, so
    that no curve mixes different numbers of seeds. It ends before the first value that is not finite.

    Args:
        runs: As `Store.runs_frame` gives them.
        epochs: As `Store.epochs_frame` gives them.
        metric: A column of epoch records.
    """
    values = {
        run_id: _finite_start(group.sort_values("epoch"), metric)
        for run_id, group in epochs.groupby("run_id", sort=False)
    }
    curves, came_far = [], epochs["run_id"].value_counts()
    for configuration in configurations(runs):
        shown, complete = runs_shown(runs[runs["candidate_id"] == configuration.id], came_far)
        used = [values[run_id] for run_id in shown if values.get(run_id)]
        if used:
            curves.append(_curve(configuration, metric, used, complete=complete))
    return curves


def runs_shown(runs: pd.DataFrame, came_far: pd.Series) -> tuple[list[str], bool]:
    """Return the runs of one candidate that its curves are of, and whether they are done; the same for all metrics.

    Args:
        runs: Of the candidate, as `Store.runs_frame` gives them.
        came_far: Epochs that each run of the study has a record of, by its id.
    """
    done = [str(run_id) for run_id in runs.loc[runs["status"] == RunStatus.DONE, "run_id"]]
    if done:
        return done, True
    mine = came_far.reindex(runs["run_id"], fill_value=0)
    return ([str(mine.idxmax())] if mine.any() else []), False


def _finite_start(group: pd.DataFrame, metric: str) -> dict[int, float]:
    """Return a run's values by epoch, up to the first that is missing or not finite."""
    values: dict[int, float] = {}
    for epoch, value in zip(group["epoch"], pd.to_numeric(group[metric]), strict=True):
        if not math.isfinite(value):
            break
        values[int(epoch)] = float(value)
    return values


def _curve(configuration: Configuration, metric: str, runs: Sequence[dict[int, float]], *, complete: bool) -> Curve:
    shared = sorted(set.intersection(*(set(run) for run in runs)))
    columns = [[run[epoch] for run in runs] for epoch in shared]
    return Curve(
        configuration=configuration,
        metric=metric,
        runs=len(runs),
        complete=complete,
        epochs=tuple(shared),
        mean=tuple(sum(column) / len(column) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
    )


def score_facts(runs: pd.DataFrame) -> list[Score]:
    """Return the test results of the candidates that have a finished run, in the study's order."""
    scores = []
    done = runs[(runs["status"] == RunStatus.DONE) & runs["test_accuracy"].notna()]
    for configuration in configurations(runs):
        mine = done[done["candidate_id"] == configuration.id]
        if mine.empty:
            continue
        loss, accuracy = pd.to_numeric(mine["test_loss"]), pd.to_numeric(mine["test_accuracy"])
        scores.append(
            Score(
                configuration=configuration,
                runs=len(mine),
                loss=float(loss.mean()),
                loss_sd=float(loss.std(ddof=1)),
                accuracy=float(accuracy.mean()),
                accuracy_sd=float(accuracy.std(ddof=1)),
            )
        )
    return scores


def timed_accuracies(
    runs: pd.DataFrame, epochs: pd.DataFrame, unranked: Mapping[str, str] | None = None
) -> tuple[str, list[TimedAccuracy]]:
    """Return which split candidates are ranked by (`val` or `test`), and what each ranked one reaches and takes."""
    table = rank(runs, epochs, unranked)
    if table.empty:
        return "val", []
    split = str(table["ranked_by"].iloc[0])
    ranked = table[table["rank"].notna() & (table["seconds_train"] > 0)]
    return split, [
        TimedAccuracy(
            label=row["candidate"],
            model=row["model"],
            rank=int(row["rank"]),
            seconds=float(row["seconds_train"]),
            accuracy=float(row[f"{split}_accuracy"]),
            accuracy_sd=float(row[f"{split}_accuracy_sd"]),
        )
        for row in ranked.to_dict("records")
    ]


def longest_by_recipe(curves: Iterable[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Return for each optimizer and learning rate the longest curve, and the curves passed over.

    Of equally long ones the first is taken. The chosen are ordered by optimizer, then by falling rate.
    """
    best, passed = _longest(curves, lambda curve: (curve.configuration.optimizer, -curve.configuration.learning_rate))
    return [curve for _, curve in sorted(best.items(), key=lambda item: item[0])], passed


def longest_by_model(curves: Iterable[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Return for each model the longest curve (the first of equally long ones), and the curves passed over."""
    best, passed = _longest(curves, lambda curve: curve.model)
    return list(best.values()), passed


def _longest(curves: Iterable[Curve], key: Callable[[Curve], Key]) -> tuple[dict[Key, Curve], list[Curve]]:
    best: dict[Key, Curve] = {}
    passed = []
    for curve in curves:
        rival = best.get(key(curve))
        if rival is None or len(curve.epochs) > len(rival.epochs):
            best[key(curve)] = curve
            passed += [] if rival is None else [rival]
        else:
            passed.append(curve)
    return best, passed
