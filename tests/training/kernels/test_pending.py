"""What waits for an addition and an activation gives what PyTorch's layers give, whatever a network does with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bakeoff import models
from bakeoff.errors import RunError
from bakeoff.training.channels import DeadChannels
from bakeoff.training.kernels import normalization
from bakeoff.training.kernels.activation import NONE
from bakeoff.training.kernels.pending import Pending, settled
from bakeoff.training.threads import torch_threads
from tests.training.maps import maps, normalization_of, trained

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Of the largest value, against float64."""

Rest = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What a network makes of a normalised map and a shortcut."""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if (reason := normalization.unavailable()) is not None:
        pytest.skip(reason)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """What is computed in one go: whether something was added, and whether it was activated."""
    found: list[tuple[bool, bool]] = []
    normalised = normalization.Batch.__call__

    def noted(batch: Any, added: Any, activation: Any) -> torch.Tensor:
        found.append((added is not None, activation != NONE))
        return normalised(batch, added, activation)

    monkeypatch.setattr(normalization.Batch, "__call__", noted)
    return found


class Block(nn.Module):
    """A normalisation and what comes after it."""

    def __init__(self, rest: Rest, channels: int = 24) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(1)
        self.normalization = normalization_of(channels, draws)
        self.shortcut = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.shortcut.weight.data = torch.randn(self.shortcut.weight.shape, generator=draws)
        self.rest = rest

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.rest(self.normalization(inputs), self.shortcut(inputs))


def waiting(plain: nn.Module) -> nn.Module:
    twin = copy.deepcopy(plain)
    normalization.install(twin, waits=True)
    return twin


def added_in_place(maps: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
    maps += shortcut
    return maps


def as_in_residual_networks(maps: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
    maps += shortcut
    return F.relu(maps, inplace=True)


def alone(maps: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
    """Without the shortcut, though it has a gradient, of zero."""
    return torch.cat([maps, 0 * shortcut])[: len(maps)]


WAYS: dict[str, tuple[Rest, tuple[bool, bool]]] = {
    "nothing": (alone, (False, False)),
    "addition": (lambda maps, shortcut: maps + shortcut, (True, False)),
    "addition the other way": (lambda maps, shortcut: shortcut + maps, (True, False)),
    "addition in place": (added_in_place, (True, False)),
    "torch.add": (lambda maps, shortcut: torch.add(maps, shortcut), (True, False)),
    "residual": (as_in_residual_networks, (True, True)),
    "residual, copied": (lambda maps, shortcut: torch.relu(shortcut + maps), (True, True)),
    "ReLU6": (lambda maps, shortcut: F.relu6(maps.add_(shortcut)), (True, True)),
    "hardtanh": (lambda maps, shortcut: F.hardtanh(maps + shortcut, -0.7, max_val=0.7), (True, True)),
    "ReLU6, doubled in place": (lambda maps, shortcut: F.relu6(maps + shortcut).mul_(2), (True, True)),
    "SiLU": (lambda maps, shortcut: F.silu(maps + shortcut), (True, True)),
    "GELU": (lambda maps, shortcut: nn.GELU()(maps + shortcut), (True, True)),
    "activation before": (lambda maps, shortcut: maps.relu() + shortcut, (False, True)),
    "activation in place before": (lambda maps, shortcut: maps.relu_() + shortcut, (False, True)),
    "other GELU": (lambda maps, shortcut: F.gelu(maps + shortcut, approximate="tanh"), (True, False)),
    "scaled": (lambda maps, shortcut: torch.add(maps, shortcut, alpha=2), (False, False)),
    "to itself": (lambda maps, shortcut: (maps + maps) + shortcut, (False, False)),
    "a number": (lambda maps, shortcut: F.relu(maps + 0.5 + shortcut), (False, False)),
    "other shape": (lambda maps, shortcut: maps + shortcut.mean((2, 3), keepdim=True), (False, False)),
    "other type": (lambda maps, shortcut: (maps + shortcut.double()).to(maps.dtype), (False, False)),
    "into the shortcut": (lambda maps, shortcut: shortcut.mul(1).add_(maps), (False, False)),
}
BOUNDS = (-0.7, 0.0, 0.7, 6.0)
"""Where an activation's gradient jumps."""


@settings(max_examples=150)
@given(
    way=st.sampled_from(sorted(WAYS)),
    batch=st.integers(1, 4),
    channels=st.integers(1, 70),
    height=st.integers(1, 20),
    width=st.integers(2, 20),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_values_gradients_and_running_statistics_are_pytorchs(
    way: str, batch: int, channels: int, height: int, width: int, dtype: torch.dtype
) -> None:
    rest, _ = WAYS[way]
    plain = Block(rest, channels)
    twin, shape = waiting(plain), (batch, channels, height, width)
    twin.shortcut.to(dtype)
    inputs, gradient = maps(shape, dtype, 2), maps(shape, dtype, 3)
    exact = copy.deepcopy(plain).double()
    exact.shortcut.weight.data = twin.shortcut.weight.data.double()
    apart = copy.deepcopy(exact)
    normalised = apart.normalization(inputs.double())
    leaving = torch.cat([normalised, normalised + apart.shortcut(inputs.double())])
    doubtful = any(bool(((leaving - bound).abs() < 0.06).any()) for bound in BOUNDS)
    expected, found = trained(exact, inputs.double(), gradient.double()), trained(twin, inputs, gradient)
    assert found.keys() == expected.keys()
    steep = max(1.0, float(1 / inputs.double().std(dim=(0, 2, 3), correction=0).clamp_min(1e-3).min()))
    names = [name for name in expected if "running" in name or name == "output"] if doubtful else list(expected)
    for name in names:
        difference = float((found[name].double() - expected[name]).abs().max())
        assert difference <= 2 * TOLERANCE[dtype] * steep * max(1.0, float(expected[name].abs().max())), name


@pytest.mark.parametrize("way", sorted(WAYS))
def test_what_comes_right_after_is_computed_with_it(way: str, computed: list[tuple[bool, bool]]) -> None:
    rest, expected = WAYS[way]
    twin = waiting(Block(rest))
    settled(twin(maps((2, 24, 5, 5))))
    assert computed == [expected]


def test_a_map_that_is_used_twice_is_counted_once() -> None:
    plain = Block(lambda maps, shortcut: F.relu(maps) + torch.sigmoid(maps + shortcut))
    twin = waiting(plain)
    inputs, gradient = maps((3, 24, 7, 7)), maps((3, 24, 7, 7), seed=3)
    expected, found = trained(plain, inputs, gradient), trained(twin, inputs, gradient)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    assert int(twin.normalization.num_batches_tracked) == 1


def test_residual_networks_wait_at_every_normalisation_and_give_the_same_bits(
    computed: list[tuple[bool, bool]],
) -> None:
    plain = models.build("resnet18", classes=4, stem="original", size=32).module
    apart, together = copy.deepcopy(plain), waiting(plain)
    normalization.install(apart)
    inputs = maps((4, 3, 32, 32))
    for network in (apart, together):
        F.cross_entropy(network(inputs), torch.arange(4)).backward()
    assert sorted(computed[20:]) == sorted([(False, True)] * 9 + [(True, True)] * 8 + [(False, False)] * 3)
    for one, other in zip(apart.parameters(), together.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(apart.buffers(), together.buffers(), strict=True):
        assert torch.equal(one, other)


def test_the_sums_do_not_depend_on_the_threads() -> None:
    inputs, gradient, found = maps((4, 24, 30, 30)), maps((4, 24, 30, 30), seed=3), []
    for threads in (1, 2, 3):
        with torch_threads(threads):
            found.append(trained(waiting(Block(as_in_residual_networks)), inputs, gradient))
    for other in found[1:]:
        for name, value in found[0].items():
            assert name == "shortcut.weight" or torch.equal(value, other[name])  # PyTorch's own


def test_it_says_its_shape_without_being_computed(computed: list[tuple[bool, bool]]) -> None:
    layer = waiting(nn.Sequential(normalization_of(24, torch.Generator())))
    waits = layer(maps((2, 24, 5, 7)))
    assert isinstance(waits, Pending)
    assert (waits.shape, waits.size(1), waits.dim(), waits.ndim, waits.numel()) == ((2, 24, 5, 7), 24, 4, 4, 1680)
    assert waits.dtype is torch.float32
    assert waits.device.type == "cpu"
    assert computed == []
    assert float(waits.detach().mean()) == pytest.approx(0, abs=1)
    assert waits.requires_grad
    assert computed == [(False, False)]
    assert "grad_fn" in repr(waits)


def test_nothing_waits_without_a_gradient_or_where_one_is_watched() -> None:
    plain = nn.Sequential(normalization_of(24, torch.Generator()))
    inputs = maps((2, 24, 5, 5))
    layer = waiting(plain)
    with torch.no_grad():
        assert not isinstance(layer(inputs), Pending)
    assert not isinstance(layer.eval()(inputs), Pending)
    watched = waiting(plain)
    watched[0].register_full_backward_hook(lambda *_: None)
    assert not isinstance(watched(inputs.requires_grad_()), Pending)
    assert type(copy.deepcopy(waiting(plain)(inputs.detach()).detach())) is torch.Tensor


def test_who_watches_activations_sees_what_they_give() -> None:
    plain = Block(as_in_residual_networks)
    with torch.no_grad():
        plain.normalization.bias.zero_()
        plain.normalization.bias[:6], plain.normalization.weight[:6], plain.shortcut.weight[:6] = -9.0, 0.1, 0.0
    shares = []
    for block in (plain, waiting(plain)):
        with DeadChannels(block) as channels:
            block(maps((2, 24, 9, 9)))
        shares.append(channels.shares())
    assert shares[0] == shares[1] == {"shortcut": pytest.approx(6 / 24)}


def test_a_clipped_value_passes_no_gradient_though_a_bound_is_rounded() -> None:
    twin = waiting(Block(lambda maps, shortcut: F.hardtanh(maps + shortcut, -0.7, 0.7))).bfloat16()  # that is 0.699
    twin.normalization.float()
    with torch.no_grad():
        twin.normalization.bias.copy_(torch.linspace(-30, 30, 24).sign() * 30)
    inputs = maps((2, 24, 5, 5), torch.bfloat16).requires_grad_()
    twin(inputs).sum().backward()
    assert torch.equal(inputs.grad, torch.zeros_like(inputs))


def test_what_is_done_without_a_gradient_has_none() -> None:
    plain = nn.Sequential(normalization_of(24, torch.Generator().manual_seed(1)))
    found = []
    for layer in (plain, waiting(plain)):
        inputs = maps((2, 24, 5, 5)).requires_grad_()
        normalised = layer(inputs)
        with torch.no_grad():
            constant = F.relu(normalised) + (normalised + inputs)
        (constant * normalised).sum().backward()
        found.append(inputs.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_inference_mode_may_measure_and_look() -> None:
    layer, inputs = waiting(nn.Sequential(normalization_of(24, torch.Generator()))), maps((2, 24, 5, 5))
    with torch.inference_mode():
        assert not isinstance(layer(maps((2, 24, 5, 5)).clone()), Pending)  # in training: statistics measured anew
        constant = maps((2, 24, 5, 5)).clone()
    waits = layer(inputs.requires_grad_())
    with torch.inference_mode():
        waits.mean()
    F.relu(waits).sum().backward()
    with torch.no_grad():
        layer(inputs) + constant
    assert inputs.grad is not None


def test_what_was_added_may_be_written_to_afterwards() -> None:
    plain, found = Block(lambda maps, shortcut: F.silu(maps + shortcut)), []
    for block in (plain, waiting(plain)):
        shortcut = maps((2, 24, 5, 5), seed=3)
        block.shortcut = nn.Identity()
        block.rest = lambda maps, _, shortcut=shortcut: F.silu(maps + shortcut)
        output = block(maps((2, 24, 5, 5))) * 2
        shortcut.zero_()
        output.sum().backward()
        found.append(block.normalization.weight.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_a_shortcut_that_waits_itself_is_added_in_one_go(computed: list[tuple[bool, bool]]) -> None:
    twin = waiting(nn.Sequential(normalization_of(24, torch.Generator()), normalization_of(24, torch.Generator())))
    first, second = twin
    shortcut = F.relu(first(maps((2, 24, 5, 5))))
    settled(F.relu(shortcut + second(shortcut)))
    assert computed == [(False, True), (True, True)]
    assert isinstance(shortcut + second(shortcut), Pending)


def test_bounds_the_wrong_way_round_are_refused_as_by_pytorch() -> None:
    layer = waiting(nn.Sequential(normalization_of(24, torch.Generator())))
    with pytest.raises(ValueError, match="greater than"):
        F.hardtanh(layer(maps((2, 24, 5, 5))), 1.0, -1.0)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2


class OfStorage(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        with torch._C.DisableTorchFunctionSubclass():
            return inputs * 2


def test_a_gradient_that_would_be_lost_is_refused() -> None:
    twin = waiting(Block(lambda maps, shortcut: Doubled.apply(maps) + shortcut))
    with pytest.raises(RunError, match=r"a function with a gradient of its own, .*; train with --no-tune"):
        twin(maps((2, 24, 5, 5))).sum().backward()


def test_values_that_are_not_there_are_refused() -> None:
    twin = waiting(Block(lambda maps, shortcut: OfStorage.apply(maps) + shortcut))
    with pytest.raises(RunError, match=r"aten.mul.* does not look through Python; train with --no-tune"):
        twin(maps((2, 24, 5, 5)))


def overwritten(maps: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
    shortcut = shortcut * 1
    maps = maps + shortcut
    shortcut.zero_()
    return F.relu(maps)


def test_a_shortcut_that_is_written_to_meanwhile_is_refused() -> None:
    with pytest.raises(RunError, match="added to a normalised one before that is computed; train with --no-tune"):
        settled(waiting(Block(overwritten))(maps((2, 24, 5, 5))))


def test_a_map_that_is_written_to_meanwhile_is_refused() -> None:
    layer, inputs = waiting(nn.Sequential(normalization_of(24, torch.Generator()))), maps((2, 24, 5, 5))
    waits = layer(inputs)
    inputs.zero_()
    with pytest.raises(RunError, match="writes into a map that is normalised before that is computed"):
        settled(waits)
