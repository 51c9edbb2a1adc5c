"""A network for a study: its name, the number of classes, and the size of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from bakeoff.errors import SpecError
from bakeoff.models import small_input
from bakeoff.models.zoo import factory

ALEXNET_POOLED = 6
"""Side to which AlexNet averages its last map before the linear layers."""


@dataclass(frozen=True, slots=True)
class Built:
    """A network, and what was changed in it."""

    module: nn.Module
    changes: tuple[str, ...]
    """In words, one a layer; empty where the network is as published but for its number of outputs."""


def build(name: str, *, classes: int, stem: Literal["original", "small"], size: int) -> Built:
    """Build a network with random weights from torch's default generator.

    Args:
        name: As `available` lists them, or `timm/NAME`.
        classes: Number of outputs.
        stem: `original` as published, `small` with the small-input rule.
        size: Side of the input in pixels.

    Raises:
        SpecError: If there is no such network, or it cannot take inputs of this size.
    """
    network = factory(name, classes)()
    changes: list[str] = []
    if stem == "small":
        if name == "alexnet":
            changes += _pad_alexnet_pools(network)
        try:
            changes += small_input.adapt(network, size)
        except small_input.CannotAdaptError as error:
            raise SpecError(
                f"the small-input rule must find strides or pools to remove, but {name} at {size} pixels: {error}; "
                f'use stem = "original" with `resize` in the view (224 for most networks)'
            ) from error
        if name == "alexnet":
            changes += _fit_alexnet_classifier(network, size)
    _check(network, name, classes, size)
    return Built(network, tuple(changes))


def _pad_alexnet_pools(network: nn.Module) -> list[str]:
    """Let AlexNet's overlapping pools halve exactly, so that small maps lose no border."""
    said = []
    for name, layer in network.named_modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.padding = 1
            said.append(f"{name}: padding 0 -> 1")
    return said


def _fit_alexnet_classifier(network: nn.Module, size: int) -> list[str]:
    """Give AlexNet's first linear layer the last map as it is instead of one blown up to 6x6."""
    with torch.inference_mode():
        side = int(network.features(torch.zeros(1, 3, size, size)).shape[-1])  # type: ignore[operator]
    if side >= ALEXNET_POOLED:
        return []
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    network.classifier[1] = nn.Linear(256 * side * side, 4096)  # type: ignore[index,operator]
    return [f"classifier.1: {256 * ALEXNET_POOLED**2} -> {256 * side * side} inputs"]


def _check(network: nn.Module, name: str, classes: int, size: int) -> None:
    """Run the network once on a blank picture.

    Raises:
        SpecError: If it fails, or gives anything but one logit a class.
    """
    was_training = network.training
    try:
        with torch.inference_mode():
            logits = network.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError(
            f'{name} must accept {size}x{size} inputs, but: {reason}; use stem = "small", or set `resize` in the view (224 for most networks)'
        ) from error
    finally:
        network.train(was_training)
    if not torch.is_tensor(logits) or logits.shape != (1, classes):
        raise SpecError(f"{name} must give one logit for each of {classes} classes, but gives {getattr(logits, 'shape', type(logits))}")
