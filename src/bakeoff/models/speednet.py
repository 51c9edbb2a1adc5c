"""A small network made to reach a good accuracy on small pictures in as little training as possible.

The design is that of Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv:2404.00498): a whitening
first layer (Page 2019, "How to Train Your ResNet"), three blocks of two 3x3 convolutions, batch normalisation that
follows its pictures quickly and does not scale, filters that begin as the identity, and a linear layer over the largest
value of each map, whose output is scaled down.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = (64, 256, 256)
"""Channels of the blocks."""

PATCH = 2
"""Pixels a side of the patches that the first layer whitens."""

WHITENING_EPSILON = 5e-4
"""Added to the variances of the patches (Jordan 2024, section 3.2)."""

MOST_PATCHES = 200_000

FORGETTING = 0.12
"""Share of the newest batch in the running statistics: published is 0.4 for batches of 2000; four batches of 500 forget
as much."""

SCALE = 0.4
"""Scale of the logits, with a linear layer that begins 1/3.6 as large as usual: at the rate at which the other parameters
learn, the same as the published 1/9 at a rate of its own."""

BIASES = 880.0
"""How many times as fast as other parameters its biases learn under Muon. Published is a rate of 0.053 for losses summed
over a batch beside 0.24 for the filters: for the mean over 500 pictures 26.5 beside their 0.12."""


class SpeedNet(nn.Module):
    """Three blocks behind a whitening layer.

    Args:
        num_classes: Size of the output.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        whitened = 2 * 3 * PATCH**2
        self.whitening = nn.Conv2d(3, whitened, PATCH, bias=False)
        self.whitening.weight.requires_grad = False
        self.blocks = nn.Sequential(*(_Block(*ends) for ends in zip((whitened, *WIDTHS), WIDTHS, strict=False)))
        self.head = nn.Linear(WIDTHS[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight.mul_(1 / (9 * SCALE))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map pictures of shape (batch, 3, height, width) to logits of shape (batch, classes)."""
        maps = self.blocks(F.gelu(self.whitening(inputs)))
        logits: torch.Tensor = SCALE * self.head(F.adaptive_max_pool2d(maps, 1).flatten(1))
        return logits

    def rate_factors(self) -> dict[str, float]:
        """Return, by the names of parameters, how many times as fast as others they should learn."""
        return {name: BIASES for name, value in self.named_parameters() if value.ndim == 1 and value.requires_grad}

    @torch.no_grad()
    def prepare(self, inputs: torch.Tensor) -> None:
        """Set the first layer so that patches of such inputs come out uncorrelated and of variance 1.

        Each direction stands there twice, once with its sign turned, since only what is positive gets through.

        Args:
            inputs: Shape (pictures, 3, height, width).
        """
        patches = F.unfold(inputs, PATCH).transpose(1, 2).reshape(-1, 3 * PATCH**2)
        patches = patches[:: -(-len(patches) // MOST_PATCHES)].double()
        variances, directions = torch.linalg.eigh(patches.t() @ patches / len(patches))
        filters = (directions / (variances + WHITENING_EPSILON).sqrt()).t().view(-1, 3, PATCH, PATCH)
        self.whitening.weight.copy_(torch.cat([filters, -filters]))


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _norm(outputs)
        self.gelu1 = nn.GELU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(outputs)
        self.gelu2 = nn.GELU()
        for layer in (self.conv1, self.conv2):
            nn.init.dirac_(layer.weight[: layer.in_channels])


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=FORGETTING)
    norm.weight.requires_grad = False
    return norm
