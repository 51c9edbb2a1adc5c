"""speednet is what its paper describes: a whitening layer that is measured, filters that begin as the identity."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from bakeoff.models.build import build
from bakeoff.models.speednet import SpeedNet


def test_patches_come_out_of_the_first_layer_uncorrelated_and_of_variance_one() -> None:
    draws = torch.Generator().manual_seed(0)
    pictures = torch.randn(100, 3, 16, 16, generator=draws)
    pictures = F.avg_pool2d(pictures, 3, 1, 1) + 0.2 * pictures[:, :1]  # neighbours and colours are correlated
    network = SpeedNet(10)
    network.prepare(pictures)
    whitened = network.whitening(pictures).transpose(0, 1).flatten(1).detach()
    covariance = whitened @ whitened.t() / whitened.shape[1]
    torch.testing.assert_close(covariance[:12, :12], torch.eye(12), rtol=0, atol=0.05)
    torch.testing.assert_close(whitened[12:], -whitened[:12], rtol=0, atol=1e-4)


def test_pictures_of_one_colour_do_not_break_the_whitening() -> None:
    network = SpeedNet(10)
    network.prepare(torch.ones(4, 3, 8, 8))
    assert network(torch.ones(4, 3, 32, 32)).isfinite().all()


def test_convolutions_begin_as_the_identity_and_the_whitening_is_not_trained() -> None:
    network = SpeedNet(10)
    maps = torch.rand(2, 24, 8, 8)
    torch.testing.assert_close(network.blocks[0].conv1(maps)[:, :24], maps)
    fixed = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert fixed == {"whitening.weight"} | {
        f"blocks.{block}.norm{norm}.weight" for block in range(3) for norm in (1, 2)
    }


def test_its_biases_and_nothing_else_learn_faster() -> None:
    names = set(SpeedNet(10).rate_factors())
    assert names == {f"blocks.{block}.norm{norm}.bias" for block in range(3) for norm in (1, 2)}


def test_the_small_input_rule_leaves_it_alone() -> None:
    built = build("speednet", classes=7, stem="small", size=32)
    assert built.changes == ()
    assert isinstance(built.module, nn.Module)
    for side in (16, 32, 64):
        assert built.module(torch.zeros(2, 3, side, side)).shape == (2, 7)
