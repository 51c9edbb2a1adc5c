"""Compiled batch normalisation computes what PyTorch's does, with the activation after it, in values and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from bakeoff import models
from bakeoff.training.kernels import normalization
from bakeoff.training.kernels.normalization import FusedBatchNorm2d, fusable, install
from tests.training.maps import maps, normalization_of, trained

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Of the largest value, against float64."""

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Identity)
CLIPPING = (nn.ReLU, nn.ReLU6)


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if (reason := normalization.unavailable()) is not None:
        pytest.skip(reason)


def layers(channels: int, activation: type[nn.Module], seed: int) -> nn.Sequential:
    return nn.Sequential(normalization_of(channels, torch.Generator().manual_seed(seed)), activation())


@settings(max_examples=60)
@given(
    batch=st.integers(1, 5),
    channels=st.integers(1, 70),
    height=st.integers(1, 20),
    width=st.integers(2, 20),
    activation=st.sampled_from(ACTIVATIONS),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    mean=st.sampled_from([0.0, 30.0]),
)
# Two values that lie close together far from zero: what the gradient is made of almost cancels.
@example(batch=1, channels=4, height=1, width=2, activation=nn.ReLU, dtype=torch.float32, mean=30.0)
@example(batch=1, channels=18, height=1, width=2, activation=nn.GELU, dtype=torch.float32, mean=30.0)
def test_values_gradients_and_running_statistics_are_pytorchs(
    batch: int, channels: int, height: int, width: int, activation: type[nn.Module], dtype: torch.dtype, mean: float
) -> None:
    plain = layers(channels, activation, 1)
    fused = copy.deepcopy(plain)
    install(fused)
    shape = (batch, channels, height, width)
    inputs, gradient = maps(shape, dtype, 2, mean), maps(shape, dtype, 3)
    expected = trained(plain.double(), inputs.double(), gradient.double())
    found = trained(fused, inputs, gradient)
    assert found.keys() == expected.keys()
    steep = max(1.0, float(1 / inputs.double().std(dim=(0, 2, 3), correction=0).clamp_min(1e-3).min()), mean / 3)
    # Where a clipped value lies at its bound up to rounding, the gradient may pass or not, and all sums with it.
    normalised = copy.deepcopy(plain)[0](inputs.double())
    doubtful = activation in CLIPPING and bool(((normalised.abs() < 0.05) | ((normalised - 6).abs() < 0.05)).any())
    names = ["output", "0.running_mean", "0.running_var"] if doubtful else list(expected)
    for name in names:
        difference = float((found[name].double() - expected[name]).abs().max())
        assert difference <= TOLERANCE[dtype] * steep * max(1.0, float(expected[name].abs().max())), name


def test_a_clipped_value_passes_no_gradient() -> None:
    fused = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    install(fused)
    inputs = torch.tensor([-1.0, -3.0, 2.0, 4.0]).view(1, 1, 2, 2).requires_grad_()
    fused(inputs)[0, 0, 0].sum().backward()  # of the two that come out as zero
    assert torch.equal(inputs.grad, torch.zeros_like(inputs))


def test_what_is_not_a_number_stays_so() -> None:
    for dtype in TOLERANCE:
        fused = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU6())
        install(fused)
        inputs = torch.zeros(2, 3, 4, 4, dtype=dtype)
        inputs[0, 1, 2, 2] = float("nan")
        assert torch.isnan(fused(inputs)).any(dim=(0, 2, 3)).tolist() == [False, True, False]


def test_the_sums_do_not_depend_on_the_threads() -> None:
    inputs, gradient = maps((4, 24, 30, 30), torch.float32, 4), maps((4, 24, 30, 30), torch.float32, 5)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        fused = layers(24, nn.ReLU, 6)
        install(fused)
        found.append(trained(fused, inputs, gradient))
    torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_evaluation_uses_the_running_statistics(activation: type[nn.Module]) -> None:
    plain = layers(5, activation, 7)
    plain[0].running_mean.copy_(torch.arange(5.0))
    plain[0].running_var.copy_(torch.arange(1.0, 6.0))
    fused = copy.deepcopy(plain)
    install(fused)
    inputs = maps((2, 5, 3, 3), torch.float32, 8)
    plain.eval(), fused.eval()
    with torch.inference_mode():
        torch.testing.assert_close(fused(inputs), plain(inputs))
    torch.testing.assert_close(fused(inputs), plain(inputs))  # and where gradients may be asked for


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_than_a_layer_has_are_refused_as_by_pytorch(channels: int) -> None:
    fused = nn.Sequential(nn.BatchNorm2d(3))
    install(fused)
    with pytest.raises(RuntimeError, match="running_mean"):
        fused(torch.zeros(2, channels, 4, 4))


def test_a_single_value_a_channel_is_refused_as_by_pytorch() -> None:
    fused = nn.Sequential(nn.BatchNorm2d(3))
    install(fused)
    with pytest.raises(ValueError, match="more than 1 value"):
        fused(torch.zeros(1, 3, 1, 1))


def test_networks_keep_their_state_dict_and_give_up_only_activations_right_behind() -> None:
    network = models.build("mobilenet_v2", classes=4, stem="original", size=32).module
    before = list(network.state_dict())
    install(network)
    assert list(network.state_dict()) == before
    assert sum(isinstance(layer, FusedBatchNorm2d) for layer in network.modules()) == 52
    assert not any(isinstance(layer, nn.ReLU6) for layer in network.modules())
    residual = models.build("resnet18", classes=4, stem="original", size=32).module
    install(residual)
    assert any(isinstance(layer, nn.ReLU) for layer in residual.modules())  # shared, and after an addition


def test_timms_layers_that_normalise_and_activate_are_taken_whole() -> None:
    pytest.importorskip("timm")
    plain = models.build("timm/efficientnet_b0", classes=4, stem="original", size=32).module
    names = list(plain.state_dict())
    fused = copy.deepcopy(plain)
    install(fused)
    assert list(fused.state_dict()) == names
    assert sum(isinstance(layer, FusedBatchNorm2d) for layer in fused.modules()) == 49
    assert not any(type(layer).__name__ == "BatchNormAct2d" for layer in fused.modules())
    inputs, gradient = maps((3, 3, 32, 32), torch.float32, 1), torch.ones(3, 4)
    plain.eval(), fused.eval()
    torch.testing.assert_close(fused(inputs), plain(inputs))
    plain.blocks[1].train(), fused.blocks[1].train()  # of the whole network's many layers, rounding would make noise
    expected, found = trained(plain, inputs, gradient), trained(fused, inputs, gradient)
    largest = max(float(parameter.grad.abs().max()) for parameter in plain.parameters())
    for name, value in expected.items():  # a bias before a normalisation has a gradient of rounding alone
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5 * largest, msg=name)


def test_timms_layers_with_another_activation_are_left_alone() -> None:
    layers = pytest.importorskip("timm.layers")
    assert fusable(layers.BatchNormAct2d(3, act_layer=nn.SiLU))
    assert fusable(layers.BatchNormAct2d(3, apply_act=False))
    assert not fusable(layers.BatchNormAct2d(3, act_layer=nn.Hardswish))
    assert not fusable(layers.BatchNormAct2d(3, drop_layer=nn.Dropout))


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.BatchNorm2d(3, momentum=None),
        nn.BatchNorm1d(3),
        nn.GroupNorm(1, 3),
    ],
    ids=["no weights", "no statistics", "means over all", "one dimension", "groups"],
)
def test_layers_of_other_kinds_are_left_alone(layer: nn.Module) -> None:
    assert not fusable(layer)


@pytest.mark.parametrize("curve", [nn.GELU, nn.SiLU])
def test_curves_and_their_slopes_are_exact_to_float32_from_tail_to_tail(curve: type[nn.Module]) -> None:
    far = torch.tensor([-1e38, -1e4, -88.0, 88.0, 1e4])
    values = torch.cat([torch.linspace(-15, 15, 4001), torch.linspace(-0.01, 0.01, 4001), far])
    fused = nn.Sequential(nn.BatchNorm2d(len(values), eps=0.0), curve())
    install(fused)
    with torch.no_grad():
        fused[0].weight.copy_(values)  # a channel each, whose two pictures come out as the value and its negative
    inputs = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, len(values), 1, 1).requires_grad_()
    output = fused(inputs)
    output[0].sum().backward()
    exact = values.double().requires_grad_()
    expected = curve()(exact)
    expected.sum().backward()
    assert exact.grad is not None
    torch.testing.assert_close(output[0].flatten().double(), expected, rtol=5e-7, atol=5e-7)
    torch.testing.assert_close(fused[0].bias.grad.double(), exact.grad, rtol=5e-7, atol=1e-6)
