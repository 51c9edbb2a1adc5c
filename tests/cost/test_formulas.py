"""The formulas of depthwise separable convolutions agree with torch's counter, layer by layer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bakeoff import cost
from bakeoff.cost.counts import Kind
from bakeoff.cost.formulas import by_formula, in_numbers, separable
from bakeoff.models import build


@pytest.mark.parametrize(
    ("name", "size"), [("mobilenet_v1", 224), ("mobilenet_v2", 224), ("resnet18", 32), ("alexnet", 224)]
)
def test_every_layer_counts_what_its_formula_gives(name: str, size: int) -> None:
    with torch.device("meta"):
        network = build(name, classes=10, stem="original", size=size).module
    layers = cost.layers(network, size)
    assert {by_formula(layer) == layer.macs for layer in layers} == {True}


def test_mobilenet_v1_is_thirteen_separable_convolutions_whose_ratio_is_the_papers() -> None:
    with torch.device("meta"):
        network = build("mobilenet_v1", classes=10, stem="original", size=224).module
    layers = cost.layers(network, 224)
    pairs = separable(layers)
    assert len(pairs) == 13
    for pair, channels in zip(pairs, (64, 128, 128, 256, 256, 512, *(512,) * 5, 1024, 1024), strict=True):
        assert pair.ratio == 1 / channels + 1 / 9
        assert pair.counted == pytest.approx(pair.ratio, rel=1e-12)
    first = pairs[0]
    assert (in_numbers(first.depthwise), first.depthwise.macs) == ("3·3·32·112·112", 3_612_672)
    assert (in_numbers(first.pointwise), first.pointwise.macs) == ("32·64·112·112", 25_690_112)
    assert first.standard == 3 * 3 * 32 * 64 * 112 * 112


@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    read=st.integers(2, 24),
    written=st.integers(1, 24),
    side=st.integers(7, 12),
    stride=st.integers(1, 2),
)
@settings(max_examples=25)
def test_a_separable_pair_takes_one_over_n_plus_one_over_k_squared(
    kernel: int, read: int, written: int, side: int, stride: int
) -> None:
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, read, 1),
            nn.Conv2d(read, read, kernel, stride, padding=kernel // 2, groups=read),
            nn.Conv2d(read, written, 1),
        )
    (pair,) = separable(cost.layers(network, side))
    out = math.ceil(side / stride)
    assert pair.depthwise.macs == by_formula(pair.depthwise) == kernel * kernel * read * out * out
    assert pair.pointwise.macs == by_formula(pair.pointwise) == read * written * out * out
    assert pair.counted == pytest.approx(1 / written + 1 / kernel**2)


def test_groups_repetitions_and_calls_are_part_of_the_formula() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=2)
            self.first = nn.Conv2d(3, 4, (1, 3), padding=(0, 1))
            self.linear = nn.Linear(4, 6)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            maps = self.conv(self.conv(self.first(inputs)))
            return self.linear(maps.flatten(2).transpose(1, 2))

    layers = {layer.name: layer for layer in cost.layers(Twice(), 5)}
    assert in_numbers(layers["first"]) == "1·3·3·4·5·5"
    assert in_numbers(layers["conv"]) == "3·3·4·4·5·5·2/2"
    assert in_numbers(layers["linear"]) == "4·6·25"
    assert {by_formula(layer) == layer.macs for layer in layers.values()} == {True}
    assert layers["conv"].macs == 2 * 9 * 2 * 4 * 25


def test_a_product_has_no_formula() -> None:
    with torch.device("meta"):
        network = build("vit_b_16", classes=10, stem="original", size=224).module
    product = next(layer for layer in cost.layers(network, 224) if layer.kind is Kind.PRODUCT)
    assert by_formula(product) is None
    assert in_numbers(product) == ""
