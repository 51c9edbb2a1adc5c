"""Fair budgets: what every candidate may spend on training one run, and the whole epochs that it affords with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bakeoff import units
from bakeoff.errors import SpecError
from bakeoff.spec.base import LARGEST_INT, PositiveInt, Spec

ProtocolName = Literal["epochs", "time", "flops"]
"""What candidates get equal shares of."""

Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Seconds of training under `time`, multiply-accumulates of training under `flops`."""

ROUNDING = 1e-9
"""Share of an epoch that is rounding: a budget that is a whole number of epochs affords them all, whatever the last bits of the division say."""


def parse_budget(text: str, protocol: ProtocolName) -> float:
    """Return the seconds (under `time`) or multiply-accumulates (under `flops`) that a text such as `10min` means.

    Raises:
        SpecError: If it is none, or nothing.
    """
    read = units.seconds if protocol == "time" else units.macs
    return read(text, f"`budget` under protocol = '{protocol}'")


class EpochCost(Spec):
    """What one epoch of a candidate takes."""

    amount: Amount
    """Seconds of training (assembling batches included; validation, checkpoints and the test are not) under `time`;
    multiply-accumulates under `flops`: three times those of a forward pass, for each picture."""

    images_per_second: float | None = None
    """Rate measured under `time`; under `flops` nothing is measured."""

    spread: float | None = None
    """Largest less smallest of the measurement's repetitions, as a share of their median."""


class TrialConditions(Spec):
    """Under which throughput was measured: as many runs at once as the study has workers."""

    device: str
    at_once: int
    threads: int


class Grant(Spec):
    """What a budget affords one candidate."""

    asked: PositiveInt
    """The epochs of its recipe where candidates get equal epochs."""

    epochs: PositiveInt
    """Epochs that it gets: as many whole ones as the budget affords, but at least one."""

    epoch: EpochCost
    """What one of them takes, as foreseen. What each took is in the epoch records."""

    left: float
    """What is left of the budget, in its unit: less than an epoch; below 0 where even the first epoch exceeds it."""


class TrainingBudget(Spec):
    """What each run of a study may spend on training, and what that affords each candidate."""

    given: Amount | None = None
    """The budget that the study file gives. Left out, it is what the first candidate takes for its epochs."""

    amount: Amount | None = None
    """What it came to; left out until what an epoch takes is known."""

    conditions: TrialConditions | None = None
    """Conditions of the measurement, under `time`."""

    grants: tuple[Grant, ...] = ()
    """One a candidate, in their order; none until what an epoch takes is known."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.amount is None) != (not self.grants):
            raise ValueError("a budget has an `amount` and `grants`, or neither yet")
        return self

    def divided(
        self, epochs: Sequence[int], costs: Sequence[EpochCost], conditions: TrialConditions | None = None
    ) -> TrainingBudget:
        """Return the budget with what it affords each candidate.

        Args:
            epochs: Of the candidates' recipes, as asked for.
            costs: What an epoch of each takes, in the same order.
            conditions: Of the measurement.

        Raises:
            SpecError: If it affords more epochs than can be written down.
        """
        amount = costs[0].amount * epochs[0] if self.given is None else self.given
        grants = []
        for asked, cost in zip(epochs, costs, strict=True):
            if amount / cost.amount >= LARGEST_INT:
                raise SpecError(
                    f"a budget must afford fewer epochs than {LARGEST_INT:.0e}, but got {amount:.3g} for epochs of {cost.amount:.3g}; "
                    "lower `budget`"
                )
            afforded = max(1, math.floor(amount / cost.amount + ROUNDING))
            left = amount - afforded * cost.amount
            rounded = 0.0 if abs(left) <= ROUNDING * cost.amount else left
            grants.append(Grant(asked=asked, epochs=afforded, epoch=cost, left=rounded))
        return TrainingBudget(given=self.given, amount=amount, conditions=conditions, grants=tuple(grants))


def check_budget(budget: str | None, protocol: ProtocolName) -> None:
    """Check that a budget fits its protocol.

    Raises:
        SpecError: If it does not.
    """
    if budget is None:
        return
    if protocol == "epochs":
        raise SpecError(
            f"`budget` needs candidates that share time or flops, but got budget = '{budget}' under protocol = 'epochs'; "
            "set protocol to time or flops, or say `epochs` in [recipe]"
        )
    parse_budget(budget, protocol)


def check_warmup(model: str, warmup: float, granted: int) -> None:
    """Check that a candidate's warm-up ends before the epochs that it is granted.

    Raises:
        SpecError: If it does not.
    """
    if warmup >= granted:
        raise SpecError(
            f"`warmup_epochs` must be below the epochs that the budget affords, but {model} has {warmup:g} and affords "
            f"{granted}; raise the budget, or lower its warm-up"
        )
