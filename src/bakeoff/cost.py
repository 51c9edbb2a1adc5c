"""What a network costs, counted: parameters and multiply-accumulates."""

from __future__ import annotations

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bakeoff.models.skeleton import forward, skeleton


def parameters(network: nn.Module) -> int:
    """Return the number of parameters, trainable or not, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, size: int) -> int:
    """Return the multiply-accumulates of one picture's forward pass.

    Convolutions and matrix products are counted, with torch's own counter (which counts two operations for each);
    normalisation, activations and pooling are not. The network itself is left alone.

    Args:
        network: Any network of pictures.
        size: Side of the input in pixels.
    """
    bones = skeleton(network)
    with FlopCounterMode(display=False) as counter:
        forward(bones, size)
    return int(counter.get_total_flops()) // 2
