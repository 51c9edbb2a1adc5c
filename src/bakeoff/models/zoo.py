"""Names to networks: torchvision's, timm's, and what neither has. Nothing is ever downloaded; weights start random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torchvision.models as torchvision_models
from torch import nn

from bakeoff.errors import MissingExtraError, SpecError, near_miss
from bakeoff.models.mobilenet_v1 import MobileNetV1
from bakeoff.models.speednet import SpeedNet

TIMM = "timm/"
"""Prefix of timm's names."""

FEATURED = {
    "resnet18": "He et al. 2016; residual blocks; the paper's first",
    "alexnet": "Krizhevsky 2014 (one tower); wide linear layers",
    "mobilenet_v2": "Sandler et al. 2018; inverted residuals; what the paper ran as MobileNet",
    "mobilenet_v1": "Howard et al. 2017; depthwise separable convolutions; what the paper describes",
    "speednet": 'after Jordan 2024; made to be trained fast on small pictures, with recipe = "speed"',
}

OWN = {"mobilenet_v1": MobileNetV1, "speednet": SpeedNet}
"""Networks of bakeoff's own."""

MADE_SMALL = ("speednet",)
"""Networks made for small pictures, which the small-input rule leaves alone."""

# Without the side outputs that exist only in training: every candidate is trained on one loss.
EXTRA = {name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A network that can be compared."""

    name: str
    source: str
    """`torchvision`, `bakeoff` or `timm`."""

    note: str


def available() -> list[ModelInfo]:
    """Return the networks by name, the paper's first; timm's are named `timm/NAME` and listed by timm itself."""
    featured = [ModelInfo(name, "bakeoff" if name in OWN else "torchvision", note) for name, note in FEATURED.items()]
    return featured + [ModelInfo(name, "torchvision", "") for name in _torchvision_names() if name not in FEATURED]


def check_name(name: str) -> None:
    """Check that a network of this name exists, without building it.

    Raises:
        SpecError: If it does not, with the nearest name that does.
        MissingExtraError: If it is timm's and timm is not installed.
    """
    if name.startswith(TIMM):
        names = [TIMM + known for known in _timm().list_models()]
        # A tag after a dot names pretrained weights, which are not used here.
        if name.split(".")[0] not in names:
            raise SpecError(
                f"timm has no network '{name.removeprefix(TIMM)}'{near_miss(name, names)}; "
                "timm.list_models() lists them"
            )
        return
    names = [*FEATURED, *_torchvision_names()]
    if name not in names:
        raise SpecError(f"there is no network '{name}'{near_miss(name, names)}; `bakeoff models` lists them")


def create(name: str, classes: int) -> nn.Module:
    """Create a network with that many outputs and random weights, as published otherwise.

    Raises:
        SpecError: If there is no such network.
        MissingExtraError: If it is timm's and timm is not installed.
    """
    check_name(name)
    network: nn.Module
    if name in OWN:
        network = OWN[name](classes)
    elif name.startswith(TIMM):
        network = _of_timm(name.removeprefix(TIMM), classes)
    else:
        network = torchvision_models.get_model(name, weights=None, num_classes=classes, **EXTRA.get(name, {}))
    return network


def _of_timm(name: str, classes: int) -> nn.Module:
    try:
        return _timm().create_model(name, pretrained=False, num_classes=classes)  # type: ignore[no-any-return]
    except RuntimeError as error:
        model, dot, tag = name.partition(".")
        if not dot:
            raise
        raise SpecError(
            f"a tag after a dot must be one that timm knows of {model}, but got '{tag}'; leave it out: it names pretrained "
            "weights, and networks begin with random ones here"
        ) from error


@cache
def _torchvision_names() -> tuple[str, ...]:
    return tuple(torchvision_models.list_models(module=torchvision_models))


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("a network of timm", "timm") from error
    return timm
