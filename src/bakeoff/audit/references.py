"""Published accuracies of networks on data sets that bakeoff knows by name, each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What somebody reached with a network, and with how much training."""

    accuracy: float
    """Accuracy on the test pictures, in [0, 1]."""

    epochs: int
    source: str


_KUANGLIU = "github.com/kuangliu/pytorch-cifar"
"""Its README's table; main.py trains for 200 epochs and keeps the epoch with the best test accuracy, so that the figures are
slightly too good. The networks there have stems for 32 pixels."""

REFERENCES: dict[tuple[str, str], Reference] = {
    ("cifar10", "vgg16"): Reference(accuracy=0.9264, epochs=200, source=_KUANGLIU),
    ("cifar10", "resnet18"): Reference(accuracy=0.9302, epochs=200, source=_KUANGLIU),
    ("cifar10", "resnet50"): Reference(accuracy=0.9362, epochs=200, source=_KUANGLIU),
    ("cifar10", "resnet101"): Reference(accuracy=0.9375, epochs=200, source=_KUANGLIU),
    ("cifar10", "regnet_y_400mf"): Reference(accuracy=0.9429, epochs=200, source=_KUANGLIU),
    ("cifar10", "mobilenet_v2"): Reference(accuracy=0.9443, epochs=200, source=_KUANGLIU),
    ("cifar10", "densenet121"): Reference(accuracy=0.9504, epochs=200, source=_KUANGLIU),
}
"""By data set and network."""
