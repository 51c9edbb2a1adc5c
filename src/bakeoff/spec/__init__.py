"""What a study compares: validated, read from TOML, written back, and named by content.

A `StudySpec` is what a user writes: lists are grid axes, and what is left out gets a default. `StudySpec.resolve`
fills every default in from facts about the pictures, and the result's `runs()` are the units of work. A run's id is a
hash of everything that decides its numbers and of nothing else.
"""

from __future__ import annotations

from bakeoff.spec.audit import AuditSpec
from bakeoff.spec.base import PrecisionName, content_id
from bakeoff.spec.budget import EpochCost, Grant, ProtocolName, TrainingBudget, TrialConditions
from bakeoff.spec.candidate import CandidateGrid, CandidateSpec, labels
from bakeoff.spec.data import DataFacts, DataSpec, resolve_validation
from bakeoff.spec.recipe import DEFAULT_LEARNING_RATES, RECIPES, Recipe, RecipeGrid
from bakeoff.spec.study import ResolvedStudy, RunSpec, StudySpec
from bakeoff.spec.view import NORMALIZATIONS, Normalization, Views, ViewSpec

__all__ = [
    "DEFAULT_LEARNING_RATES",
    "NORMALIZATIONS",
    "RECIPES",
    "AuditSpec",
    "CandidateGrid",
    "CandidateSpec",
    "DataFacts",
    "DataSpec",
    "EpochCost",
    "Grant",
    "Normalization",
    "PrecisionName",
    "ProtocolName",
    "Recipe",
    "RecipeGrid",
    "ResolvedStudy",
    "RunSpec",
    "StudySpec",
    "TrainingBudget",
    "TrialConditions",
    "ViewSpec",
    "Views",
    "content_id",
    "labels",
    "resolve_validation",
]
