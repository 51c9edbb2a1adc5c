"""Depthwise convolutions joined with the normalisations around them compute what PyTorch's layers do one after the other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bakeoff import models
from bakeoff.errors import RunError
from bakeoff.training import convolution
from bakeoff.training.convolution import joined
from bakeoff.training.convolution.joined import join, joinable
from bakeoff.training.kernels import normalization
from bakeoff.training.kernels.pending import settled
from bakeoff.training.threads import torch_threads
from tests.training.maps import maps, normalization_of, trained

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""Of the largest value, against float64."""

BOUNDS = {nn.ReLU: (0.0,), nn.ReLU6: (0.0, 6.0)}
"""Where an activation's gradient jumps."""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if (reason := joined.unavailable()) is not None:
        pytest.skip(reason)


def block(
    channels: int = 24,
    *,
    taps: int = 3,
    stride: int = 1,
    padding: int = 1,
    activation: type[nn.Module] = nn.ReLU6,
    before: bool = True,
) -> nn.Sequential:
    """Return layers as networks have them, in a `Sequential` within another, so that they can be joined."""
    draws = torch.Generator().manual_seed(1)
    filtering = nn.Conv2d(channels, channels, taps, stride, padding, groups=channels, bias=False)
    with torch.no_grad():
        filtering.weight.copy_(torch.randn(filtering.weight.shape, generator=draws))
    first = [nn.Sequential(normalization_of(channels, draws), activation())] if before else []
    return nn.Sequential(
        nn.Sequential(*first, nn.Sequential(filtering, normalization_of(channels, draws), activation()))
    )


def joined_twin(layers: nn.Sequential) -> nn.Sequential:
    """Return the same layers, joined."""
    twin = copy.deepcopy(layers)
    normalization.install(twin, waits=True)
    join(twin)
    return twin


def joined_in(layers: nn.Module, inputs: torch.Tensor) -> list[bool]:
    """Return of each convolution that a step computes in one go whether a normalisation before it is, too."""
    found: list[bool] = []
    apply = joined._Joined.apply

    def noted(*arguments: Any) -> torch.Tensor:
        found.append(arguments[-1].before is not None)
        return apply(*arguments)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(joined._Joined, "apply", noted)
        settled(layers(inputs))
    return found


def seen(layers: nn.Sequential, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return what enters each normalisation, and what leaves it, in turn."""
    found: list[torch.Tensor] = []
    layers = copy.deepcopy(layers)
    for layer in layers.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(lambda _, entering, leaving: found.extend([entering[0], leaving]))
    with torch.no_grad():
        layers(inputs)
    return found


@settings(max_examples=80)
@given(
    batch=st.integers(1, 4),
    channels=st.integers(16, 44),
    height=st.integers(1, 9),
    width=st.integers(1, 11),
    taps=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    padding=st.integers(0, 4),
    activation=st.sampled_from([nn.ReLU, nn.ReLU6, nn.SiLU, nn.Identity]),
    before=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    mean=st.sampled_from([0.0, 10.0]),
)
@example(
    batch=3, channels=600, height=4, width=20, taps=3, stride=2, padding=1, activation=nn.SiLU, before=True,
    dtype=torch.float32, mean=0.0,
)  # fmt: skip
@example(
    batch=2, channels=33, height=2, width=300, taps=5, stride=1, padding=2, activation=nn.Identity, before=True,
    dtype=torch.float32, mean=0.0,
)  # fmt: skip
def test_values_gradients_and_running_statistics_are_pytorchs(
    batch: int,
    channels: int,
    height: int,
    width: int,
    taps: int,
    stride: int,
    padding: int,
    activation: type[nn.Module],
    before: bool,
    dtype: torch.dtype,
    mean: float,
) -> None:
    assume(padding < taps and min(height, width) + 2 * padding >= taps)
    plain = block(channels, taps=taps, stride=stride, padding=padding, activation=activation, before=before)
    if dtype is torch.bfloat16:
        with torch.no_grad():  # the weight as bfloat16 has it, so that what is compared is the arithmetic
            for parameter in plain.parameters():
                if parameter.ndim == 4:
                    parameter.copy_(parameter.bfloat16())
    twin, own = joined_twin(plain), copy.deepcopy(plain)
    inputs = maps((batch, channels, height, width), dtype, 2, mean)
    outputs = tuple((size + 2 * padding - taps) // stride + 1 for size in (height, width))
    assume(batch * outputs[0] * outputs[1] > 4 and batch * height * width > 4)
    gradient = maps((batch, channels, *outputs), dtype, 3)
    expected = trained(plain.double(), inputs.double(), gradient.double())
    found = trained(twin, inputs, gradient)
    assert found.keys() == expected.keys()
    entering, leaving = (seen(plain, inputs.double())[which::2] for which in (0, 1))
    # Rounding grows where values that lie close together far from zero are spread by a normalisation.
    spreads = [
        float((one.abs().amax((0, 2, 3)) / one.std((0, 2, 3), correction=0).clamp_min(1e-3)).max()) for one in entering
    ]
    steep = max(1.0, *(spread / 3 for spread in spreads))
    # Where a value lies at an activation's bound up to rounding, its gradient may pass or not, and all sums with it.
    doubt = steep * TOLERANCE[dtype]
    doubtful = any(
        bool(((values - bound).abs() < doubt).any()) for values in leaving for bound in BOUNDS.get(activation, ())
    )
    names = [name for name in expected if "running" in name or name == "output"] if doubtful else list(expected)
    # A gradient that comes to nothing by itself, as of a weight before a normalisation, is a sum of others that do not.
    summed = (batch * height * width) ** 0.5 * float(expected["inputs"].abs().max())
    assert joined_in(copy.deepcopy(twin), inputs) == [before]
    pytorchs = trained(own, inputs.float(), gradient.float())
    for name in names:
        difference, allowed = (float((one[name].double() - expected[name]).abs().max()) for one in (found, pytorchs))
        size = max(1.0, float(expected[name].abs().max()), 0 if name in ("output", "inputs") else summed)
        assert difference <= max(TOLERANCE[dtype] * steep * size, 4 * allowed), name


def test_the_numbers_do_not_depend_on_the_threads() -> None:
    inputs, gradient = maps((5, 40, 15, 15)), maps((5, 40, 8, 8), seed=3)
    found = []
    for threads in (1, 2, 3):
        with torch_threads(threads):
            found.append(trained(joined_twin(block(40, stride=2)), inputs, gradient))
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())


def test_networks_keep_their_state_dict_and_join_their_depthwise_layers() -> None:
    network = models.build("mobilenet_v2", classes=4, stem="original", size=32).module
    before = list(network.state_dict())
    convolution.install(network, convolution.library_for_all(network))
    normalization.install(network, waits=True)
    join(network)
    assert list(network.state_dict()) == before
    inputs = maps((2, 3, 32, 32))
    assert joined_in(network, inputs) == [True] * 17  # one in each inverted residual
    network(inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_convolutions_that_are_joined_can_be_asked_for() -> None:
    names = joinable(models.build("mobilenet_v2", classes=4, stem="original", size=32).module, 32)
    assert names[:2] == ["features.1.conv.0.0", "features.2.conv.1.0"]
    assert len(names) == 17
    assert joinable(models.build("resnet18", classes=4, stem="original", size=32).module, 32) == []


def test_for_a_network_without_depthwise_layers_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in (joined, normalization):
        monkeypatch.setattr(asked, "unavailable", lambda: pytest.fail("compiled"))
    assert joinable(nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)), 16) == []


def test_timms_blocks_join_their_depthwise_layers() -> None:
    pytest.importorskip("timm")
    plain = models.build("timm/efficientnet_b0", classes=4, stem="original", size=32).module.train()
    twin, inputs = joined_twin(plain), maps((4, 3, 64, 64))
    assert joined_in(copy.deepcopy(twin), inputs) == [True] * 16
    outputs = []
    for network in (plain, twin):
        torch.manual_seed(1)  # of paths that are dropped
        outputs.append(settled(network(inputs)))
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-3)


class Block(nn.Module):
    """An inverted residual in somebody's own words."""

    def __init__(self, look: Callable[[torch.Tensor], object] = lambda maps: None) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(1)
        self.first, self.second = normalization_of(24, draws), normalization_of(24, draws)
        self.filtering = depthwise()
        self.filtering.weight.data = torch.randn(self.filtering.weight.shape, generator=draws)
        self.look = look

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        widened = F.relu6(self.first(inputs))
        filtered = self.filtering(widened)
        self.look(filtered)
        return F.relu(self.second(filtered) + inputs) if self.look is added else F.relu6(self.second(filtered))


def added(maps: torch.Tensor) -> None:
    """Look at nothing: a shortcut is added to what comes out."""


def seen_by_two(maps: torch.Tensor) -> torch.Tensor:
    return maps.sum()


@pytest.mark.parametrize(
    ("look", "expected"),
    [(lambda maps: maps.shape, [True]), (added, []), (seen_by_two, [])],
    ids=["its shape", "a shortcut", "its sum"],
)
def test_layers_find_each_other_in_anybodys_code(look: Callable[[torch.Tensor], object], expected: list[bool]) -> None:
    plain = Block(look)
    twin, inputs, gradient = joined_twin(plain), maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    assert joined_in(copy.deepcopy(twin), inputs) == expected
    wanted, found = trained(plain, inputs, gradient), trained(twin, inputs, gradient)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3)


def test_a_map_that_is_used_before_and_after_is_counted_once() -> None:
    class Twice(Block):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            widened = F.relu6(self.first(inputs))
            normalised = self.second(self.filtering(widened))
            return F.relu(normalised) + widened + torch.sigmoid(normalised)

    plain = Twice()
    twin, inputs, gradient = joined_twin(plain), maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    wanted, found = trained(plain, inputs, gradient), trained(twin, inputs, gradient)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3)


def clipped(maps: torch.Tensor, filtered: torch.Tensor) -> None:
    F.relu(maps, inplace=True)


def doubled(maps: torch.Tensor, filtered: torch.Tensor) -> None:
    maps.mul_(2)


@pytest.mark.parametrize("write", [clipped, doubled])
@pytest.mark.parametrize("before", [True, False])
def test_what_a_convolution_reads_must_not_be_written_to_meanwhile(
    before: bool, write: Callable[[torch.Tensor, torch.Tensor], None]
) -> None:
    first = [nn.BatchNorm2d(24)] if before else []
    layers = joined_twin(nn.Sequential(*first, depthwise(), nn.BatchNorm2d(24)))
    read = layers[:-2](maps((2, 24, 5, 5)))
    filtered = layers[-2](read)
    write(read, filtered)
    with pytest.raises(RunError, match="writes into a map that is filtered before that is computed"):
        settled(layers[-1](filtered))


def test_what_a_normalisation_reads_must_not_be_written_to_meanwhile() -> None:
    layers = joined_twin(nn.Sequential(depthwise(), nn.BatchNorm2d(24)))
    filtered = layers[0](maps((2, 24, 5, 5)))
    normalised = layers[1](filtered)
    filtered.mul_(2)
    with pytest.raises(RunError, match="writes into a map that is normalised before that is computed"):
        settled(normalised)
    torch.testing.assert_close(layers[1](filtered).mean(), torch.tensor(0.0), rtol=0, atol=1e-4)  # written to before


def test_what_is_normalised_without_a_gradient_has_none() -> None:
    layers = joined_twin(nn.Sequential(depthwise(), nn.BatchNorm2d(24)))
    filtered = layers[0](maps((2, 24, 5, 5)))
    with torch.no_grad():
        normalised = layers[1](filtered)
    (normalised * filtered).sum().backward()
    assert layers[0].kernel.grad is not None
    assert layers[1].weight.grad is None


class Doubling(nn.Conv2d):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


class Reversing(nn.Sequential):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        for layer in reversed(self):
            inputs = layer(inputs)
        return inputs


def depthwise(**changed: object) -> nn.Conv2d:
    settings = {"kernel_size": 3, "padding": 1, "groups": 24, "bias": False} | changed
    return nn.Conv2d(24, 24, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "layers",
    [
        nn.Sequential(depthwise(bias=True), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(dilation=2), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(padding=(1, 0)), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(padding="same"), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(padding_mode="reflect"), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(kernel_size=7), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(kernel_size=(3, 5)), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(stride=3), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise(groups=12), nn.BatchNorm2d(24)),
        nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.BatchNorm2d(8)),
        nn.Sequential(depthwise(), nn.BatchNorm2d(24), nn.GELU()),
        nn.Sequential(depthwise(), nn.Dropout(), nn.BatchNorm2d(24)),
        nn.Sequential(depthwise()),
        nn.Sequential(Doubling(24, 24, 3, groups=24, bias=False), nn.BatchNorm2d(24)),
        Reversing(depthwise(), nn.BatchNorm2d(24)),
    ],
)
def test_what_the_kernels_do_not_know_stays_as_it_is(layers: nn.Sequential) -> None:
    network = nn.Sequential(nn.Conv2d(3, layers[0].in_channels if isinstance(layers[0], nn.Conv2d) else 24, 1), layers)
    plain, inputs = copy.deepcopy(network), maps((2, 3, 9, 9))
    normalization.install(network, waits=True)
    join(network)
    assert joined_in(network, inputs) == []
    torch.manual_seed(1)
    expected = plain(inputs)
    torch.manual_seed(1)
    torch.testing.assert_close(settled(network(inputs)), expected, rtol=1e-4, atol=1e-4)


def test_a_normalisation_with_another_kind_of_activation_is_not_joined_with_what_follows_it() -> None:
    layers = nn.Sequential(nn.BatchNorm2d(24), nn.ReLU(), depthwise(), nn.BatchNorm2d(24), nn.SiLU())
    plain, inputs, gradient = copy.deepcopy(layers), maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    twin = joined_twin(layers)
    assert joined_in(copy.deepcopy(twin), inputs) == [False]
    expected, found = trained(plain, inputs, gradient), trained(twin, inputs, gradient)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3)


def test_evaluation_uses_the_running_statistics() -> None:
    plain = block(activation=nn.ReLU)
    inputs = maps((3, 24, 7, 7))
    plain(inputs)
    twin = joined_twin(plain)
    plain.eval(), twin.eval()
    with torch.inference_mode():
        torch.testing.assert_close(twin(inputs), plain(inputs))
    torch.testing.assert_close(twin(inputs), plain(inputs))  # and where gradients may be asked for


def test_a_normalisation_that_is_held_in_evaluation_stays_there() -> None:
    plain = block()
    twin = joined_twin(plain)
    for layers in (plain, twin):
        next(layer for layer in layers.modules() if isinstance(layer, nn.BatchNorm2d)).eval()
    inputs, gradient = maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    expected, found = trained(plain, inputs, gradient), trained(twin, inputs, gradient)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)


def test_who_watches_a_layer_sees_what_it_gives() -> None:
    plain = block()
    twin = joined_twin(plain)
    inputs, given = maps((3, 24, 7, 7)), {}
    for name, layers in (("plain", plain), ("twin", twin)):
        (filtering,) = (layer for layer in layers.modules() if isinstance(layer, nn.Conv2d))
        filtering.register_forward_hook(lambda *seen, name=name: given.update({name: seen[2].detach()}))
        layers(inputs)
    torch.testing.assert_close(given["twin"], given["plain"])
    watched: list[object] = []
    inner = twin[0][0]
    inner.register_forward_hook(lambda *seen: watched.append(seen[2]))
    twin(inputs)
    assert len(watched) == 1


def test_what_needs_no_gradient_gets_none() -> None:
    twin = joined_twin(block())
    for parameter in twin.parameters():
        parameter.requires_grad_(parameter.ndim == 4)
    twin(maps((3, 24, 7, 7))).sum().backward()
    assert [parameter.grad is not None for parameter in twin.parameters()] == [
        parameter.ndim == 4 for parameter in twin.parameters()
    ]


def test_gradients_add_up_over_batches() -> None:
    twin = joined_twin(block())
    inputs, gradient = maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    once = {name: value.clone() for name, value in trained(twin, inputs, gradient).items() if "weight" in name}
    for name, value in trained(twin, inputs, gradient).items():
        if name in once:
            torch.testing.assert_close(value, 2 * once[name])


def test_what_is_not_a_number_stays_so() -> None:
    twin = joined_twin(block())
    inputs = maps((2, 24, 4, 4))
    inputs[0, 5, 2, 2] = float("nan")
    assert torch.isnan(twin(inputs)).any(dim=(0, 2, 3)).nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize(
    ("layers", "size"),
    [(block(before=False, stride=2), 2), (block(padding=2), 1)],  # one output of each channel; one input, nine outputs
)
def test_a_single_value_a_channel_is_refused_as_by_pytorch(layers: nn.Sequential, size: int) -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        joined_twin(layers)(maps((1, 24, size, size)))


def test_other_channels_than_a_layer_has_are_refused_as_by_pytorch() -> None:
    twin = joined_twin(block(before=False))
    with pytest.raises(RuntimeError, match="to have 24 channels, but got 48 channels instead"):
        twin(maps((2, 48, 4, 4)))


def test_numbers_are_rounded_where_separate_layers_round_them() -> None:
    layers = block()
    twin = joined_twin(layers)
    inputs = maps((3, 24, 7, 7), mean=300.0)  # as bfloat16, of 8 bits, no two of them would differ by less than 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(twin(inputs), layers(inputs), rtol=0.05, atol=0.2)


def test_a_run_that_began_joined_does_not_go_on_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = block()
    monkeypatch.setattr(joined, "unavailable", lambda: "there is no C compiler")
    with pytest.raises(RunError, match="there is no C compiler; provide a C compiler, or train anew with --no-tune"):
        join(layers)
    join(nn.Sequential(nn.Conv2d(3, 4, 1)))  # nothing to join
