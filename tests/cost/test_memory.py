"""Memory is what is kept and what is resident, counted by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bakeoff.cost.memory import saved_for_backward, weight_of


def test_what_waits_for_the_backward_pass_is_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))
    inputs, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    with saved_for_backward(network) as kept:
        F.cross_entropy(network(inputs), labels).backward()
    pictures, maps, logits = 4 * 3 * 8 * 8, 4 * 8 * 6 * 6, 4 * 5
    # the picture for the convolution's gradient, the maps once for ReLU and the linear layer, the log-softmax, and for
    # the loss the labels (8 bytes each) and the number of pictures
    assert sum(kept.values()) == 4 * (pictures + maps + logits) + 4 * 8 + 4


def test_parameters_and_running_statistics_are_not_activations() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    inputs = torch.randn(2, 3, 8, 8)
    with saved_for_backward(network) as kept:
        network(inputs).sum().backward()
    # the picture, the normalisation's input, and its mean and deviation of each channel
    assert sum(kept.values()) == 4 * (2 * 3 * 64 + 2 * 4 * 64 + 4 + 4)


def test_noting_changes_no_gradient() -> None:
    torch.manual_seed(0)
    network, inputs = nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 1)), torch.randn(3, 6)
    network(inputs).sum().backward()
    plain = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    with saved_for_backward(network):
        network(inputs).sum().backward()
    assert all(torch.equal(one, parameter.grad) for one, parameter in zip(plain, network.parameters(), strict=True))


def test_shared_weights_weigh_once() -> None:
    shared = nn.Linear(4, 4, bias=False)
    assert weight_of(nn.Sequential(shared, nn.BatchNorm1d(4), shared)) == 4 * (16 + 4 * 4) + 8


IN_A_FRESH_PROCESS = """
import torch
from bakeoff.cost.memory import Gauge

gauge = Gauge(torch.device("cpu"))
held = torch.ones(10_000_000)  # 40 MB
del held
seen = gauge.peak()
gauge.restart()
print(seen, gauge.peak(), gauge.reserved())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the peak begin anew")
def test_a_peak_is_seen_after_it_has_passed_and_forgotten_when_asked() -> None:
    # As costs are measured: where other tests ran before, the system may not take back what they freed.
    done = subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=True)
    seen, left, reserved = done.stdout.split()
    assert int(seen) == pytest.approx(40e6, abs=4e6)
    assert int(left) < 4e6
    assert reserved == "None"
