"""MobileNet v1 at width 1.0, which torchvision does not have: Howard et al. 2017 (arXiv:1704.04861), table 1."""

from __future__ import annotations

import torch
from torch import nn

BLOCKS = (
    # (output channels, stride) of each depthwise separable block
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),  # table 1 prints stride 2 here, with a 7x7 map on both sides: it must be 1
)


class MobileNetV1(nn.Module):
    """Thirteen depthwise separable blocks behind one 3x3 convolution, a global average, and one linear layer.

    Args:
        num_classes: Size of the output.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, kernel=3, stride=2)]
        channels = 32
        for wider, stride in BLOCKS:
            depthwise = _convolution(channels, channels, kernel=3, stride=stride, groups=channels)
            layers.append(nn.Sequential(depthwise, _convolution(channels, wider, kernel=1)))
            channels = wider
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")  # as torchvision starts mobilenet_v2

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map pictures of shape (batch, 3, height, width) to logits of shape (batch, classes)."""
        maps = self.avgpool(self.features(inputs))
        logits: torch.Tensor = self.classifier(maps.flatten(1))
        return logits


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
