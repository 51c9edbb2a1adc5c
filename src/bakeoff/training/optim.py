"""Optimizers by name, and the learning rate at every step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from bakeoff.spec import Recipe
from bakeoff.training.muon import Muon

ONE_CYCLE_START = 1 / 25
"""Where a one-cycle schedule begins, as a share of the peak rate (the default of torch's OneCycleLR)."""

ONE_CYCLE_END = 1 / 25 / 1e4
"""Where it ends, as a share of the peak rate (likewise)."""

ONE_CYCLE_RISE = 0.3
"""Share of the steps in which the rate rises (likewise; Smith & Topin 2018 describe the shape)."""


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over a network's parameters.

    Torch's own, in its fused form, which passes over memory once; or our Muon, which heeds what a network with a method
    `rate_factors()` says: by the names of parameters, how many times as fast they should learn.
    """
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(wanted, lr=rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(wanted, lr=rate, weight_decay=decay, fused=True)
        case "sgd":
            return torch.optim.SGD(wanted, lr=rate, weight_decay=decay, momentum=recipe.momentum, fused=True)
        case "muon":
            return Muon(_by_factor(network), lr=rate, weight_decay=decay, momentum=recipe.momentum)


def _by_factor(network: nn.Module) -> list[dict[str, Any]]:
    """Return the parameters in groups of those that should learn equally fast."""
    asked = getattr(network, "rate_factors", None)
    factors: dict[str, float] = asked() if callable(asked) else {}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(factors.get(name, 1.0), []).append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def only_gradients_move(recipe: Recipe) -> bool:
    """Whether a weight whose gradient is always zero never moves, and moves no other: there is neither decay nor a norm."""
    return recipe.weight_decay == 0 and recipe.optimizer != "muon"


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of one step: a pure function, so that a resumed run needs no schedule state.

    Warm-up climbs linearly to the full rate; the schedule then covers the steps that are left. `one_cycle` rises from
    1/25 of the rate to all of it in 30 % of the steps and falls to nearly zero, both along a cosine, as torch's
    OneCycleLR does (without its momentum cycle). `linear` falls to nearly zero: a triangle, if it follows a warm-up.

    Args:
        recipe: Of the run.
        step: Counted from 0 over the whole run.
        steps_per_epoch: Optimizer steps in an epoch.
    """
    peak = recipe.learning_rate
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    step, steps = step - warmup, recipe.epochs * steps_per_epoch - warmup
    match recipe.schedule:
        case "constant":
            return peak
        case "cosine":
            return _between(peak, 0.0, step / steps)
        case "linear":
            return peak * (1 - step / steps)
        case "one_cycle":
            top = ONE_CYCLE_RISE * steps - 1
            if step <= top:
                return _between(peak * ONE_CYCLE_START, peak, step / top)
            return _between(peak, peak * ONE_CYCLE_END, (step - top) / (steps - 1 - top))


def _between(start: float, end: float, share: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
