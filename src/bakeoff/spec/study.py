"""A comparison as a user writes it, as it is once nothing is left to decide, and its runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator

from bakeoff.errors import SpecError
from bakeoff.spec.audit import AuditSpec
from bakeoff.spec.base import FORMAT, Document, PrecisionName, Spec, StemName, content_id, to_toml
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

        Raises:
            SpecError: If a combination is not possible for these pictures, or two candidates are the same.
        """
        validation = resolve_validation(self.data.validation, facts)
        candidates: dict[str, CandidateSpec] = {}
        for grid in self.candidates:
            for candidate in expand(grid, facts, recipe=self.recipe, view=self.view, stem=self.stem):
                if candidate.id in candidates:
                    raise SpecError(
                        f"candidates must differ in something that decides their numbers, but {describe(candidate)} stands twice; remove one"
                    )
                candidates[candidate.id] = candidate
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
            precision=self.precision,
            candidates=list(candidates.values()),
            audit=self.audit,
        )


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
    seeds: list[int]
    precision: PrecisionName
    candidates: list[CandidateSpec]
    audit: AuditSpec = AuditSpec()
    """What is declared to the audit; decides no number."""

    @property
    def id(self) -> str:
        """A hash of all runs' ids: two studies with the same id compare the same things."""
        return content_id(sorted(run.id for run in self.runs()))

    def runs(self) -> list[RunSpec]:
        """Return the units of work, seed by seed so that every candidate has a result early."""
        return [self.run_of(candidate, seed) for seed, candidate in itertools.product(self.seeds, self.candidates)]

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
        must not choose it.
        """
        mine, theirs = (dict(_flatten(study._fixed())) for study in (self, other))
        return [
            f"{key}: {mine.get(key, '(absent)')} -> {theirs.get(key, '(absent)')}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

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
