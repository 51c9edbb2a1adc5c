"""What a study's author declares to the audit. None of it decides a run's numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bakeoff.spec.base import Spec

SMALLEST_DIFFERENCE = 0.005
"""Share of the pictures below which a difference in accuracy is of no interest, unless the study says otherwise."""

RuleId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,39}$")]
Reason = Annotated[str, Field(min_length=1, pattern=r"\S")]

Subject = Literal[
    "model",
    "stem",
    "view",
    "normalization",
    "recipe",
    "optimizer",
    "learning_rate",
    "schedule",
    "epochs",
    "batch_size",
    "warmup_epochs",
    "weight_decay",
    "momentum",
    "label_smoothing",
    "early_sizes",
]
"""What can be compared; `recipe` stands for all of its keys."""


class AuditSpec(Spec):
    """What a study claims, which rules it breaks on purpose, and which it has a reason not to heed."""

    headline: Literal["test", "validation", "train"] = "test"
    """The accuracy that the study's conclusions are drawn from."""

    subject: Annotated[list[Subject], Field(min_length=1)] = ["model"]  # noqa: RUF012 (pydantic copies defaults)
    """What the study compares. Whatever else differs between candidates must be the same grid for each."""

    smallest_difference: Annotated[float, Field(gt=0, lt=1)] = SMALLEST_DIFFERENCE
    """The smallest difference in accuracy that matters, a share; declared before anything is trained."""

    despite: dict[RuleId, str] = {}  # noqa: RUF012
    """Rules whose errors do not keep the study from being trained, with the reason; a list gives none. The findings
    stay as they are."""

    silence: dict[RuleId, Reason] = {}  # noqa: RUF012
    """Rules whose findings are not heeded, with the reason, which every report prints."""

    @field_validator("despite", mode="before")
    @classmethod
    def _with_reasons(cls, value: object) -> object:
        return dict.fromkeys(value, "") if isinstance(value, list | tuple) else value
