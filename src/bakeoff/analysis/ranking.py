"""From runs and epoch records to one row a candidate: pure functions on the store's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from bakeoff.cost_records import Cost
from bakeoff.records import ENDED, RunStatus
from bakeoff.words import plural

NO_SEED = "no seed has finished"
"""Why a candidate is neither ranked nor judged, where nothing graver is said of it."""

METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def rank(runs: pd.DataFrame, epochs: pd.DataFrame, unranked: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return one row a candidate, best first.

    Candidates are ordered by mean validation accuracy of the last epoch over their finished seeds, or by test accuracy
    where the study keeps no validation split (`ranked_by` says which). Equal accuracies share a rank. A candidate
    without a finished run comes last, without a rank; before it those that are not to be ranked, by accuracy.

    Args:
        runs: One row a run, as `Store.runs_frame` gives them.
        epochs: One row an epoch record, as `Store.epochs_frame` gives them.
        unranked: Candidates that are not to be ranked, by id, with the reason, such as errors of the audit.

    Returns:
        Columns: rank, unranked (the reason, or empty), candidate, candidate_id, model, ranked_by, runs, done, diverged,
        failed, and over the finished seeds val_accuracy, test_accuracy, train_accuracy, train_loss (means),
        val_accuracy_sd, test_accuracy_sd (sample standard deviations, NaN for one seed), seconds_train (of one run,
        waiting for data included), seconds_to_best (of that, up to the epoch of the best validation accuracy; NaN without
        a validation split), images_per_second; seconds_total (all that its runs took so far, evaluation and test included); then
        parameters, macs, changes, micro_batch (the smallest, where memory was short), not_begun (of its runs), and status:
        `planned` (no run has begun), `begun`, or `finished` (every run has ended, however).
    """
    records = dict(iter(epochs.groupby(epochs["run_id"].map(runs.set_index("run_id")["candidate_id"]), sort=False)))
    rows = [
        _row(group, records.get(candidate, epochs.iloc[:0]))
        for candidate, group in runs.groupby("candidate_id", sort=False)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if table.empty:
        return table
    split = ranked_by(epochs)
    table["ranked_by"] = split
    accuracy = table[f"{split}_accuracy"]
    reasons = dict.fromkeys(table.loc[table["done"] == 0, "candidate_id"], NO_SEED) | dict(unranked or {})
    table["unranked"] = [reasons.get(candidate, "") for candidate in table["candidate_id"]]
    table["rank"] = accuracy.where(table["unranked"] == "").rank(method="min", ascending=False).astype("Int64")
    order = pd.DataFrame({"rank": table["rank"], "accuracy": -accuracy})
    return table.loc[order.sort_values(["rank", "accuracy"], kind="stable", na_position="last").index].reset_index(
        drop=True
    )


def last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the record of each run's last epoch.

    Args:
        epochs: As `Store.epochs_frame` gives them.
    """
    return epochs.sort_values("epoch").groupby("run_id").tail(1)


def training_seconds(epochs: pd.DataFrame) -> pd.Series:
    """Return the seconds of training of each epoch, waiting for data included, evaluation not.

    Args:
        epochs: As `Store.epochs_frame` gives them.
    """
    return epochs["seconds_train"] + epochs["seconds_wait"]


def ranked_by(epochs: pd.DataFrame) -> Literal["val", "test"]:
    """Return which split decides: `test` only where there are epoch records and none has a validation accuracy."""
    return "test" if len(epochs) and epochs["val_accuracy"].isna().all() else "val"


COLUMNS = [
    "rank",
    "unranked",
    "candidate",
    "candidate_id",
    "model",
    "ranked_by",
    "runs",
    "done",
    "diverged",
    "failed",
    "val_accuracy",
    "val_accuracy_sd",
    "test_accuracy",
    "test_accuracy_sd",
    "train_accuracy",
    "train_loss",
    "seconds_train",
    "seconds_to_best",
    "seconds_total",
    "images_per_second",
    "parameters",
    "macs",
    "changes",
    "micro_batch",
    "not_begun",
    "status",
]


COSTS = (
    "latency_p50",
    "latency_p95",
    "throughput",
    "train_throughput",
    "activation_memory",
    "peak_memory_train",
    "peak_memory_inference",
    "energy_per_image",
)
"""What of a candidate's measured cost stands in the table, in seconds, images a second, bytes and joules."""


def with_costs(table: pd.DataFrame, costs: Mapping[str, Cost]) -> pd.DataFrame:
    """Return the ranking with what candidates cost beside it, NaN where that was not measured.

    Args:
        table: As `rank` gives it.
        costs: By candidate id.
    """
    values = {name: [_figure(costs.get(known), name) for known in table["candidate_id"]] for name in COSTS}
    return table.assign(**{name: pd.Series(column, dtype="float64") for name, column in values.items()})


def _figure(cost: Cost | None, name: str) -> float:
    value = None if cost is None else getattr(cost, name)
    return float("nan") if value is None else float(value)


def _row(runs: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, object]:
    """Return a candidate's row, from its runs and their epoch records."""
    first = runs.iloc[0]
    done = runs[runs["status"] == RunStatus.DONE]
    records = epochs[epochs["run_id"].isin(done["run_id"])]
    last = last_epochs(records)
    seconds = training_seconds(records).groupby(records["run_id"]).sum()
    total = seconds.sum()
    return {
        "rank": pd.NA,
        "unranked": "",
        "candidate": first["label"],
        "candidate_id": first["candidate_id"],
        "model": first["model"],
        "ranked_by": "",
        "runs": len(runs),
        "done": len(done),
        "diverged": int((runs["status"] == RunStatus.DIVERGED).sum()),
        "failed": int((runs["status"] == RunStatus.FAILED).sum()),
        "val_accuracy": _mean(last["val_accuracy"]),
        "val_accuracy_sd": _spread(last["val_accuracy"]),
        "test_accuracy": _mean(done["test_accuracy"]),
        "test_accuracy_sd": _spread(done["test_accuracy"]),
        "train_accuracy": _mean(last["train_accuracy"]),
        "train_loss": _mean(last["train_loss"]),
        "seconds_train": _mean(seconds),
        "seconds_to_best": _seconds_to_best(records),
        "seconds_total": _seconds_total(runs, epochs),
        "images_per_second": float(records["images"].sum() / total) if total else float("nan"),
        "parameters": int(first["parameters"]),
        "macs": int(first["macs"]),
        "changes": list(first["changes"]),
        "micro_batch": int(records["micro_batch"].min()) if len(records) else pd.NA,
        **_course(runs),
    }


def _course(runs: pd.DataFrame) -> dict[str, object]:
    """Return how many of a candidate's runs have not begun, and what that makes of it; a run that was stopped has begun."""
    not_begun = int(((runs["status"] == RunStatus.PENDING) & runs["started_at"].isna()).sum())
    ended = bool(runs["status"].isin(ENDED).all())
    status = "planned" if not_begun == len(runs) else "finished" if ended else "begun"
    return {"not_begun": not_begun, "status": status}


def _seconds_to_best(records: pd.DataFrame) -> float:
    """Return the mean time of training up to each run's best epoch, the first of equal ones."""
    ordered = records.sort_values("epoch")
    known = ordered[ordered["val_accuracy"].notna()]
    if known.empty:
        return float("nan")
    so_far = training_seconds(ordered).groupby(ordered["run_id"]).cumsum()
    best = pd.to_numeric(known["val_accuracy"]).groupby(known["run_id"]).idxmax()
    return float(so_far.loc[best].mean())


def _seconds_total(runs: pd.DataFrame, epochs: pd.DataFrame) -> float:
    trained = epochs[["seconds_train", "seconds_wait", "seconds_evaluate"]].sum().sum()
    return float(trained + runs["seconds_test"].sum())


def _mean(values: pd.Series) -> float:
    return float(pd.to_numeric(values).mean())


def _spread(values: pd.Series) -> float:
    return float(pd.to_numeric(values).std(ddof=1))


def curves(runs: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return one row an epoch: candidate, model, seed, epoch, the four metrics, and seconds of training so far."""
    joined = epochs.merge(runs[["run_id", "label", "model", "seed"]], on="run_id", how="inner", sort=False)
    joined = joined.rename(columns={"label": "candidate"}).sort_values(["run_id", "epoch"], kind="stable")
    joined["seconds"] = training_seconds(joined).groupby(joined["run_id"]).cumsum()
    columns = ["candidate", "model", "seed", "run_id", "epoch", *METRICS, "learning_rate", "seconds"]
    return joined[columns].reset_index(drop=True)


def remarks(runs: pd.DataFrame, epochs: pd.DataFrame) -> list[str]:
    """Return what a reader of the ranking must know of how it came about, one sentence each.

    How many runs have not ended is told by `analysis.progress`, before all else.
    """
    said = _ended(runs, RunStatus.DIVERGED, "A lower learning rate or a warm-up helps.")
    said += _ended(runs, RunStatus.FAILED, "The same command tries again.")
    return said + _conditions(runs) + _accumulated(runs, epochs) + _changes(runs)


def _ended(runs: pd.DataFrame, status: RunStatus, advice: str) -> list[str]:
    """Say which runs of each candidate ended so, with the first one's reason."""
    said = []
    for label, group in runs[runs["status"] == status].groupby("label", sort=False):
        seeds = ", ".join(str(seed) for seed in group["seed"])
        reason = str(group["message"].iloc[0] or "no reason was recorded").rstrip(".")
        said.append(f"{label} {status} with seed {seeds}: {reason}. {advice}")
    return said


def _conditions(runs: pd.DataFrame) -> list[str]:
    """Say that training times are not of like conditions, where runs were trained under several; fewest runs first."""
    under: dict[tuple[str, int], list[str]] = {}
    for run in runs[runs["status"] == RunStatus.DONE].to_dict("records"):
        if run["numerics"] is not None:
            key = (run["numerics"]["device"], run["numerics"]["threads"])
            under.setdefault(key, []).append(f"{run['label']} seed {run['seed']}")
    if len(under) < 2:
        return []
    told = [
        f"{plural(len(names), 'run')} with {device} and {plural(threads, 'thread')}{f' ({names[0]})' if len(names) == 1 else ''}"
        for (device, threads), names in sorted(under.items(), key=lambda one: len(one[1]))
    ]
    return [f"Training times are of unlike conditions: {', '.join(told)}. Compare those of like ones alone."]


def _accumulated(runs: pd.DataFrame, epochs: pd.DataFrame) -> list[str]:
    """Say which candidates took their batches in parts for lack of memory."""
    smallest = epochs.groupby("run_id")["micro_batch"].min()
    said: dict[str, str] = {}
    for run in runs.to_dict("records"):
        batch = run["spec"]["candidate"]["recipe"]["batch_size"]
        if smallest.get(run["run_id"], batch) < batch:
            said[run["label"]] = (
                f"Memory was short for {run['label']}: batches of {batch} went through {smallest[run['run_id']]} at a "
                "time, which changes what batch normalisation sees."
            )
    return list(said.values())


def _changes(runs: pd.DataFrame) -> list[str]:
    """Say which networks were fitted to small pictures, and how; by candidate where not all of a model's were."""
    changes = {(run["model"], run["label"]): tuple(run["changes"]) for run in runs.to_dict("records")}
    said = []
    for model in dict.fromkeys(model for model, _ in changes):
        of_model = {label: change for (other, label), change in changes.items() if other == model}
        alike = len(set(of_model.values())) == 1
        for label, change in list(of_model.items())[: 1 if alike else None]:
            if change:
                said.append(f"{model if alike else label} was fitted to small pictures: {'; '.join(change)}.")
    return said
