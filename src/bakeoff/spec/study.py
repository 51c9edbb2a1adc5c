"""A comparison as a user writes it, as it is once nothing is left to decide, and its runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from bakeoff.errors import SpecError
from bakeoff.spec.audit import AuditSpec
from bakeoff.spec.base import FORMAT, Document, PrecisionName, Spec, StemName, content_id, to_toml
from bakeoff.spec.budget import (
    EpochCost,
    ProtocolName,
    TrainingBudget,
    TrialConditions,
    check_budget,
    check_warmup,
    parse_budget,
)
from bakeoff.spec.candidate import CandidateGrid, CandidateSpec, describe, expand
from bakeoff.spec.data import DataFacts, DataSpec, resolve_validation
from bakeoff.spec.recipe import RecipeGrid
from bakeoff.spec.view import Views


class StudySpec(Document):
    """One comparison: pictures, candidates, a protocol."""

    name: str = Field(default="study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    description: str = ""
    data: DataSpec = DataSpec()
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)] = [0]  # noqa: RUF012 (pydantic copies defaults)
    protocol: ProtocolName = "epochs"
    """What candidates get equal shares of: epochs, seconds of training, or multiply-accumulates of training."""

    budget: str | None = None
    """Budget of one run under `time` (`10min`) or `flops` (`500 TMACs`). Default: what the first candidate takes for its
    epochs. The epochs of all others (of all, if it is given) are those that it affords."""

    precision: PrecisionName = "float32"
    stem: StemName = "auto"
    recipe: RecipeGrid = RecipeGrid()
    view: Views = Views()
    audit: AuditSpec = AuditSpec()
    candidates: Annotated[list[CandidateGrid], Field(min_length=1)] = [  # noqa: RUF012
        CandidateGrid(model=["resnet18", "alexnet", "mobilenet_v2"])
    ]

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError(f"`seeds` must differ from each other, but got {value}")
        return value

    @model_validator(mode="after")
    def _fair(self) -> Self:
        check_budget(self.budget, self.protocol)
        if self.budget is not None and any(grid.epochs is not None for grid in (self.recipe, *self.candidates)):
            raise ValueError(
                f"a budget decides the epochs, but got budget = '{self.budget}' and `epochs`; leave one of them out"
            )
        return self

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a study file.

        Raises:
            SpecError: If the file cannot be read, or as `from_toml`.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"a study file must be readable text, but {path}: {error}") from error
        return cls.from_toml(text, where=str(path))

    def to_toml(self) -> str:
        """Write the study as TOML that `from_toml` reads back to an equal specification."""
        return to_toml(self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format, "name": self.name})

    def resolve(self, facts: DataFacts) -> ResolvedStudy:
        """Fill in every default from facts about the pictures, and expand the grid.

        Under `time` and `flops` the candidates have the epochs asked for; `ResolvedStudy.granted` gives them those that
        the budget affords.

        Raises:
            SpecError: If a combination is not possible for these pictures, or two candidates are the same.
        """
        validation = resolve_validation(self.data.validation, facts)
        candidates: dict[str, CandidateSpec] = {}
        for grid in self.candidates:
            for candidate in expand(
                grid, facts, recipe=self.recipe, view=self.view, stem=self.stem, budgeted=self.budget is not None
            ):
                key = (candidate if self.protocol == "epochs" else candidate.with_epochs(1)).id
                if key in candidates:
                    but = (
                        "" if self.protocol == "epochs" else f" (under protocol = '{self.protocol}' epochs are granted)"
                    )
                    raise SpecError(
                        f"candidates must differ in something that decides their numbers{but}, but {describe(candidate)} stands twice; remove one"
                    )
                candidates[key] = candidate
        return ResolvedStudy(
            name=self.name,
            description=self.description,
            source=self.data.source,
            size=facts.size,
            fingerprint=facts.fingerprint,
            validation=validation,
            split_seed=self.data.split_seed,
            limit=self.data.limit,
            seeds=self.seeds,
            protocol=self.protocol,
            budget=self._budget(),
            precision=self.precision,
            candidates=list(candidates.values()),
            audit=self.audit,
        )

    def _budget(self) -> TrainingBudget | None:
        if self.protocol == "epochs":
            return None
        return TrainingBudget(given=None if self.budget is None else parse_budget(self.budget, self.protocol))


class ResolvedStudy(Document):
    """A study with nothing left to decide: what `study.toml` in a study folder holds."""

    name: str
    description: str = ""
    source: str
    size: int
    fingerprint: str
    validation: int
    """Pictures split off the training set for validation."""

    split_seed: int
    limit: int | None = None
    seeds: Annotated[list[int], Field(min_length=1)]
    further_seeds: tuple[dict[str, list[int]], ...] = ()
    """By candidate id, round by round: those added once the study had ended, to settle what was open. How many rounds
    there were is how often the results were looked at before more were asked for."""

    settle: bool = False
    """Whether seeds are added by what the results show, from the first look on (`--settle`)."""

    protocol: ProtocolName = "epochs"
    """What candidates got equal shares of."""

    budget: TrainingBudget | None = None
    """What each run may spend, and the epochs that this affords each candidate; None under `epochs`."""

    precision: PrecisionName
    candidates: Annotated[list[CandidateSpec], Field(min_length=1)]
    audit: AuditSpec = AuditSpec()
    """What is declared to the audit; decides no number."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.budget is None) != (self.protocol == "epochs"):
            raise ValueError(f"a `budget` belongs to time and flops, but protocol = '{self.protocol}'")
        if self.budget is not None and self.budget.grants:
            granted, planned = (
                [grant.epochs for grant in self.budget.grants],
                [candidate.recipe.epochs for candidate in self.candidates],
            )
            if granted != planned:
                raise ValueError(f"candidates have the epochs that they are granted, but {planned} is not {granted}")
        known = {candidate.id for candidate in self.candidates} if self.further_seeds else set()
        for unknown in {key for added in self.further_seeds for key in added} - known:
            raise ValueError(f"`further_seeds` are those of a candidate's id, but there is none with '{unknown}'")
        for key in known:
            seeds = self.seeds_of(key)
            if len(set(seeds)) != len(seeds):
                raise ValueError(f"seeds of a candidate must differ from each other, but {key} has {seeds}")
        return self

    @property
    def id(self) -> str:
        """A hash of all runs' ids: two studies with the same id compare the same things."""
        return content_id(sorted(run.id for run in self.runs()))

    @property
    def sequential(self) -> bool:
        """Whether results are looked at several times, so that each look must be stricter than a single one."""
        return self.settle or bool(self.further_seeds)

    @property
    def decided(self) -> bool:
        """Whether nothing is left to measure: always under `epochs`, else once epochs are granted."""
        return self.budget is None or bool(self.budget.grants)

    def runs(self) -> list[RunSpec]:
        """Return the units of work, seed by seed so that every candidate has a result early; what was added comes last."""
        pairs = [(candidate, seed) for seed, candidate in itertools.product(self.seeds, self.candidates)]
        for added in self.further_seeds:
            for seed in sorted({seed for seeds in added.values() for seed in seeds}):
                pairs += [(candidate, seed) for candidate in self.candidates if seed in added.get(candidate.id, ())]
        return [self.run_of(candidate, seed) for candidate, seed in pairs]

    def seeds_of(self, candidate_id: str) -> list[int]:
        """Return all seeds of one candidate, those added later last."""
        return [*self.seeds, *(seed for added in self.further_seeds for seed in added.get(candidate_id, ()))]

    def granted(self, costs: Sequence[EpochCost], conditions: TrialConditions | None = None) -> ResolvedStudy:
        """Return the study with the epochs that its budget affords each candidate.

        Args:
            costs: What an epoch of each candidate takes, in their order.
            conditions: Under which it was measured.

        Raises:
            SpecError: If a warm-up would not end within the epochs granted, or these are more than can be written down.
        """
        assert self.budget is not None
        budget = self.budget.divided([one.recipe.epochs for one in self.candidates], costs, conditions)
        for candidate, grant in zip(self.candidates, budget.grants, strict=True):
            check_warmup(candidate.model, candidate.recipe.warmup_epochs, grant.epochs)
        epochs = [grant.epochs for grant in budget.grants]
        return self._changed(candidates=self._with_epochs(epochs), budget=budget)

    def asked(self) -> ResolvedStudy:
        """Return the study as it was asked for: without granted epochs, without seeds added later."""
        fixed = self._changed(further_seeds=(), settle=False)
        if self.budget is None or not self.budget.grants:
            return fixed
        candidates = self._with_epochs([grant.asked for grant in self.budget.grants])
        return fixed._changed(candidates=candidates, budget=TrainingBudget(given=self.budget.given))

    def to_be_settled(self) -> ResolvedStudy:
        """Return the study as one to which seeds are added by what its results show."""
        return self._changed(settle=True)

    def with_further_seeds(self, added: Mapping[str, Sequence[int]]) -> ResolvedStudy:
        """Return the study with one more round of seeds, by candidate id."""
        return self._changed(
            further_seeds=(*self.further_seeds, {key: list(seeds) for key, seeds in added.items() if seeds})
        )

    def extends(self, other: ResolvedStudy) -> bool:
        """Whether this is another study with more rounds of seeds, or with none more; what is to be settled stays so."""
        kept = self.further_seeds[: len(other.further_seeds)]
        return not other.differences(self._changed(further_seeds=kept, settle=self.settle and other.settle))

    def _with_epochs(self, epochs: Sequence[int]) -> list[CandidateSpec]:
        return [candidate.with_epochs(number) for candidate, number in zip(self.candidates, epochs, strict=True)]

    def _changed(self, **values: Any) -> ResolvedStudy:
        """Return it with other values, checked: `model_copy` would not look at them."""
        return ResolvedStudy.model_validate(dict(self) | values)

    def run_of(self, candidate: CandidateSpec, seed: int) -> RunSpec:
        """Return the run of one candidate with one seed."""
        return RunSpec(
            candidate=candidate,
            seed=seed,
            precision=self.precision,
            fingerprint=self.fingerprint,
            validation=self.validation,
            split_seed=self.split_seed,
            limit=self.limit,
        )

    def to_toml(self) -> str:
        """Write it as TOML that `from_toml` reads back to an equal study."""
        return to_toml(self.model_dump(mode="json"))

    def differences(self, other: ResolvedStudy) -> list[str]:
        """Return one line for each key in which another study differs, as `key: this -> that`.

        What is declared to the audit may differ, but for the smallest difference that matters: who has seen results
        must not choose it. Nor does the order of candidates and seeds decide anything where all get equal epochs; under a
        budget it does, which may be what the first candidate takes.
        """
        mine, theirs = (dict(_flatten(study._fixed())) for study in (self, other._in_the_order_of(self)))
        return [
            f"{key}: {mine.get(key, '(absent)')} -> {theirs.get(key, '(absent)')}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

    def _in_the_order_of(self, other: ResolvedStudy) -> ResolvedStudy:
        """Return it with the order of another's candidates and seeds, where these are the same and no order matters."""
        if self.protocol != "epochs":
            return self
        own = {one.id: one for one in self.candidates}
        ids = [one.id for one in other.candidates]
        same: dict[str, Any] = {"candidates": [own[one] for one in ids]} if sorted(own) == sorted(ids) else {}
        if sorted(self.seeds) == sorted(other.seeds):
            same["seeds"] = other.seeds
        return self.model_copy(update=same)

    def _fixed(self) -> dict[str, Any]:
        """Return what must stay as it is once a study has begun."""
        content = self.model_dump(mode="json", exclude={"description", "source", "audit"})
        return content | {"audit": {"smallest_difference": self.audit.smallest_difference}}


class RunSpec(Spec):
    """A candidate with a seed on these pictures: the unit of work, of failure and of resume."""

    candidate: CandidateSpec
    seed: int
    precision: PrecisionName
    fingerprint: str
    validation: int
    split_seed: int
    limit: int | None

    @property
    def id(self) -> str:
        """A hash of all that decides the run's numbers, up to what `Numerics` records."""
        split_seed = self.split_seed if self.validation or self.limit else None
        return content_id(
            self.model_dump(mode="json", exclude={"candidate", "split_seed"})
            | {"candidate": self.candidate.identity(), "split_seed": split_seed, "format": FORMAT}
        )


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from _flatten(item, f"{path}[{index}]")
    else:
        yield path, value
