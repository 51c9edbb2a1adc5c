"""A study that is ready to run."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
from pathlib import Path

from bakeoff.data import Dataset
from bakeoff.data.splits import split_indices
from bakeoff.execution.messages import Task
from bakeoff.records import Numerics
from bakeoff.spec import PrecisionName, ResolvedStudy, RunSpec, TrialConditions, labels
from bakeoff.study.folder import predictions_path
from bakeoff.study.remembered import Remembered

NOTABLE = 0.1
"""A candidate that exceeds or leaves more than this share of its budget, or whose throughput varied by more while it
was measured, is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study that is ready to run: pictures decoded, networks checked, nothing left to decide."""

    study: ResolvedStudy
    dataset: Dataset
    folder: Path
    device: str
    workers: int
    threads: int
    """Threads in each worker."""

    changes: dict[str, tuple[str, ...]]
    """What was changed in each candidate's network, by candidate id."""

    parameters: dict[str, int]
    macs: dict[str, int]
    """Multiply-accumulates of one picture's forward pass, by candidate id."""

    cache: Path
    """Folder in which decoded pictures and what was measured of this machine are kept."""

    tune: bool = True
    """Whether convolutions choose their algorithm by measuring and normalisation is compiled; if not, all is PyTorch's."""

    costs: bool = True
    """Whether to measure what each candidate costs, once its runs have ended."""

    only: tuple[str, ...] = ()
    """Patterns of candidate labels that are to run now; the others stay pending."""

    labels: dict[str, str] = field(default_factory=dict)
    """Short labels by candidate id."""

    def runs(self) -> list[RunSpec]:
        """Return the runs of this command, in order."""
        return [run for run in self.study.runs() if self.wanted(run)]

    def wanted(self, run: RunSpec) -> bool:
        """Whether a run's candidate matches `only`."""
        label = self.labels[run.candidate.id]
        return not self.only or any(fnmatch.fnmatchcase(label, f"*{pattern}*") for pattern in self.only)

    def numerics(self, run: RunSpec, convolutions: dict[str, list[str]] | None = None) -> Numerics:
        """Return the numerics of a run that starts now, with these algorithms for its convolutions."""
        return Numerics(
            device=self.device,
            threads=self.threads,
            channels_last=True,
            micro_batch=run.candidate.recipe.batch_size,
            convolutions=convolutions or {},
            normalization="joined" if self.tune and compiled_normalization(self.device, self.cache) else "library",
        )

    def remarks(self) -> list[str]:
        """Return what the user should know before anything is trained."""
        said = [*self.dataset.notes, *self._what_the_limit_leaves()]
        recipes = [candidate.recipe for candidate in self.study.candidates]
        if any(recipe.optimizer == "adamw" and recipe.weight_decay == 0 for recipe in recipes):
            said.append("adamw without `weight_decay` does what adam does; PyTorch's own default for it is 0.01")
        if imitated(self.study.precision, self.device, self.cache):
            said.append(
                f"this processor has no {self.study.precision} arithmetic and imitates it slowly; --precision float32 is faster here"
            )
        return said + self._budget_remarks()

    def _what_the_limit_leaves(self) -> list[str]:
        limit = self.study.limit
        if limit is None or limit >= len(self.dataset.train):
            return []
        left = split_indices(self.dataset, self.study.runs()[0])
        validation = f", {len(left.validation):,} to validate on" if len(left.validation) else ""
        return [
            f"the limit of {limit:,} leaves {len(left.train):,} pictures to train on{validation} and {len(left.test):,} to test on"
        ]

    def _budget_remarks(self) -> list[str]:
        """Say which candidates could not be given an equal share of the budget."""
        said: list[str] = []
        budget = self.study.budget
        if budget is None or budget.amount is None:
            return said
        for candidate, grant in zip(self.study.candidates, budget.grants, strict=True):
            label, share = self.labels[candidate.id], grant.epochs * grant.epoch.amount / budget.amount
            if share > 1 + NOTABLE:
                said.append(
                    f"one epoch of {label} takes {share:.1f} times the budget; it gets one all the same, so shares are not equal: raise --budget"
                )
            elif share < 1 - NOTABLE:
                said.append(
                    f"{label} leaves {1 - share:.0%} of the budget, as only whole epochs are trained: a larger --budget is shared more evenly"
                )
            if grant.epoch.spread is not None and grant.epoch.spread > NOTABLE:
                said.append(
                    f"the throughput of {label} varied by {grant.epoch.spread:.0%} while it was measured, so its epochs may not fit the budget: "
                    "the machine was busy"
                )
        if budget.conditions not in (None, self.conditions):
            said.append(
                "epochs were granted for other conditions than those of now (device, workers or threads), so runs take other times than planned"
            )
        return said

    @property
    def conditions(self) -> TrialConditions:
        """How runs go here: as many at once as there are workers for."""
        at_once = min(self.workers, len(self.study.asked().runs()))
        return TrialConditions(device=self.device, at_once=at_once, threads=self.threads)

    @property
    def training_pictures(self) -> int:
        """How many pictures an epoch trains on."""
        return min(len(self.dataset.train), self.study.limit or len(self.dataset.train)) - self.study.validation

    def with_granted(self, study: ResolvedStudy) -> Plan:
        """Return the plan for the study with other epochs, whose candidates have other ids."""
        ids = [(old.id, new.id) for old, new in zip(self.study.candidates, study.candidates, strict=True)]
        return replace(
            self,
            study=study,
            labels=labels(study.candidates),
            changes={new: self.changes[old] for old, new in ids},
            parameters={new: self.parameters[old] for old, new in ids},
            macs={new: self.macs[old] for old, new in ids},
        )

    def task(self, run: RunSpec, numerics: Numerics) -> Task:
        """Return a run as a worker takes it."""
        return Task(
            run=run,
            dataset=self.dataset.folder,
            numerics=numerics,
            checkpoints=self.folder / "checkpoints" / run.id,
            predictions=predictions_path(self.folder, run.id),
        )


def imitated(precision: PrecisionName, device: str, cache: Path) -> bool:
    """Whether a device lacks a number format and computes it the slow way.

    Args:
        precision: The format.
        device: What is trained on.
        cache: The cache's folder, where it is remembered of processors.
    """
    from bakeoff.training.kernels import native

    def ask() -> bool:
        from bakeoff.training.precision import emulated

        return emulated(precision, device)

    if precision == "float32":
        return False
    return (
        Remembered(cache).fact(bool, ["imitated", precision, *native.arithmetic()], ask) if device == "cpu" else ask()
    )


def compiled_normalization(device: str, cache: Path) -> bool:
    """Whether batch normalisation can be compiled for a device, by itself and joined with depthwise convolutions.

    Args:
        device: What is trained on.
        cache: The cache's folder, where it is remembered that it can, with the kernels that were there then: as long as
            they are, nobody need compile.
    """
    from bakeoff.training.kernels import native

    if device != "cpu":
        return False
    try:
        key = ["normalization joined", *native.made_with()]
    except native.UnavailableError:
        return False
    remembered = Remembered(cache)
    known = remembered.recall(list[str], key)
    if known and set(known) <= set(native.whole()):
        return True
    from bakeoff.training.convolution import joined
    from bakeoff.training.kernels import normalization

    if normalization.unavailable() is not None or joined.unavailable() is not None:
        return False
    remembered.keep(list[str], key, native.whole())
    return True
