"""A network for a study: its name, the number of classes, and the size of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from bakeoff.errors import SpecError
from bakeoff.models import small_input
from bakeoff.models.small_input import SMALLEST_MAP
from bakeoff.models.trial import FAILURES, first_line, forward
from bakeoff.models.zoo import MADE_SMALL, create

USUAL_SIDES = (16, 32, 64, 96, 128, 224, 256, 299, 384, 448, 512)
"""Sides of inputs in pixels that are tried where a network refuses a smaller one."""


@dataclass(frozen=True, slots=True)
class Built:
    """A network, and what was changed in it."""

    module: nn.Module
    changes: tuple[str, ...]
    """Changes in words, one a layer; empty where the network is as published but for its number of outputs."""


def build(name: str, *, classes: int, stem: Literal["original", "small"], size: int) -> Built:
    """Build a network with random weights from torch's default generator.

    Args:
        name: As `available` lists them, or `timm/NAME`.
        classes: Number of outputs.
        stem: `original` as published, `small` with the small-input rule.
        size: Side of the input in pixels.

    Returns:
        The network, in training mode, for inputs of shape (batch, 3, size, size); it gives logits of shape
        (batch, classes).

    Raises:
        SpecError: If there is no such network, or it cannot take inputs of this size.
        MissingExtraError: If it is timm's and timm is not installed.
    """
    network = create(name, classes)
    changes: list[str] = []
    if stem == "small" and name not in MADE_SMALL:
        padded = _pad_alexnet_pools(network) if name == "alexnet" and not small_input.fits(network, size) else []
        try:
            changes += small_input.adapt(network, size)
        except small_input.CannotAdaptError as error:
            raise SpecError(
                f"the small-input rule must bring a network's last feature map to {SMALLEST_MAP}x{SMALLEST_MAP}, but "
                f"with {name} at {size} pixels {error}; "
                'use stem = "original" with `resize` in the view (224 for most networks)'
            ) from error
        changes += [
            f"{pool}: padding 0 -> 1" for pool in padded if isinstance(network.get_submodule(pool), nn.MaxPool2d)
        ]
    _check(network, name, classes, size, stem)
    return Built(network, tuple(changes))


def _pad_alexnet_pools(network: nn.Module) -> list[str]:
    """Let AlexNet's overlapping pools halve exactly, so that small maps lose no border; return their names.

    Without it the rule would keep conv 2, with its 5x5 kernel, at the picture's full size.
    """
    pools = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.MaxPool2d)}
    for pool in pools.values():
        pool.padding = 1
    return list(pools)


def _check(network: nn.Module, name: str, classes: int, size: int, stem: str) -> None:
    """Check on a blank picture that the network takes it and gives one logit a class.

    Raises:
        SpecError: If it does not.
    """
    try:
        logits = forward(network, size)
    except FAILURES as error:
        remedies = ['use stem = "small"'] if stem == "original" and name not in MADE_SMALL else []
        taken = next((side for side in USUAL_SIDES if side > size and _takes(network, side)), None)
        remedies += [] if taken is None else [f"set `resize` in the view ({taken} works)"]
        raise SpecError(
            f"{name} must accept inputs of {size}x{size} pixels, but fails: {first_line(error)}; "
            f"{', or '.join(remedies) or 'choose another network'}"
        ) from error
    if not torch.is_tensor(logits) or logits.shape != (1, classes):
        given = tuple(logits.shape) if torch.is_tensor(logits) else type(logits).__name__
        raise SpecError(
            f"a network must give one logit for each of {classes} classes, but {name} gives {given} for one picture; "
            "choose another"
        )


def _takes(network: nn.Module, side: int) -> bool:
    try:
        forward(network, side)
    except FAILURES:
        return False
    return True


def check_early_size(network: nn.Module, name: str, side: int) -> None:
    """Check on a blank picture that a network takes a smaller one than it was built for.

    Raises:
        SpecError: If it does not.
    """
    try:
        forward(network, side)
    except FAILURES as error:
        raise SpecError(
            f"{name} must accept the inputs of {side}x{side} pixels that `early_sizes` gives it, but fails: "
            f"{first_line(error)}; choose a larger size there, or none"
        ) from error
