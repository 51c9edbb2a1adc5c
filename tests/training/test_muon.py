"""Muon's step is orthogonal, as torch's for matrices, and keeps the norm of filters."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bakeoff.training.muon import MOMENTUM_OF_OTHERS, OTHERS, Muon, orthogonalised


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_singular_vectors_stay_and_singular_values_come_near_one(rows: int, columns: int, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, rows, generator=draws))[0][:, : min(rows, columns)]
    right = torch.linalg.qr(torch.randn(columns, columns, generator=draws))[0][:, : min(rows, columns)]
    values = torch.linspace(1, 0.5, min(rows, columns))
    found = left.t() @ orthogonalised((left * values) @ right.t(), 5) @ right
    torch.testing.assert_close(found, torch.diag(found.diagonal()), rtol=0, atol=1e-3)
    assert 0.6 < float(found.diagonal().min()) <= float(found.diagonal().max()) < 1.3


def test_orthogonalising_agrees_with_torchs_own_muon() -> None:
    gradient = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.zeros(12, 30))
    weight.grad = gradient.clone()
    torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False, ns_steps=5).step()
    step = orthogonalised(gradient, 5)
    # torch's iterates in bfloat16, and scales the rate by the shape.
    scale = float(-weight.detach().norm() / step.norm())
    torch.testing.assert_close(weight.detach(), scale * step, rtol=0, atol=0.03)


@pytest.mark.parametrize("shape", [(64, 216), (256, 2304), (300, 40)])
def test_orthogonalising_is_the_published_iteration(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = matrix.double() / matrix.double().norm()
    for _ in range(3):
        square = expected @ expected.t()
        expected = 3.4445 * expected + (-4.7750 * square + 2.0315 * square @ square) @ expected
    torch.testing.assert_close(orthogonalised(matrix).double(), expected, rtol=0, atol=1e-5)


def bank(seed: int = 0) -> nn.Parameter:
    return nn.Parameter(torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_filters_keep_their_norm_and_change_by_the_rate(rate: float) -> None:
    filters = bank()
    before = filters.detach().clone()
    optimizer = Muon([filters], lr=rate)
    for step in range(3):
        filters.grad = bank(step + 1).detach()
        previous = filters.detach().clone()
        optimizer.step()
        torch.testing.assert_close(filters.norm(), before.norm())
        change = float((filters.detach() - previous).norm() / before.norm())
        assert change == pytest.approx(rate, rel=0.15)


def test_filters_without_a_gradient_or_with_none_but_zeros_stay() -> None:
    still, zero = bank(1), bank(2)
    zero.grad = torch.zeros_like(zero)
    before = copy.deepcopy([still, zero])
    Muon([still, zero], lr=0.2).step()
    torch.testing.assert_close([still, zero], before)


def test_other_parameters_follow_torchs_nesterov() -> None:
    mine, theirs = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    optimizer = Muon([{"params": [mine], "factor": 3.0}], lr=0.2)
    reference = torch.optim.SGD([theirs], lr=0.2 * OTHERS * 3, momentum=MOMENTUM_OF_OTHERS, nesterov=True)
    for step in range(4):
        mine.grad = torch.randn(5, generator=torch.Generator().manual_seed(step))
        theirs.grad = mine.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(mine, theirs)


def test_other_parameters_decay_apart_from_their_gradient() -> None:
    weight = nn.Parameter(torch.ones(5))
    weight.grad = torch.zeros(5)
    Muon([{"params": [weight], "factor": 3.0}], lr=0.2, weight_decay=0.1).step()
    torch.testing.assert_close(weight.detach(), torch.full((5,), 0.98))


def test_a_reloaded_optimizer_goes_on_bit_for_bit() -> None:
    one, two = bank(), bank()
    first, second = Muon([one], lr=0.1), Muon([two], lr=0.1)
    for step in range(4):
        if step == 2:
            with torch.no_grad():
                two.copy_(one)
            second.load_state_dict(copy.deepcopy(first.state_dict()))
        one.grad = bank(step + 1).detach()
        two.grad = one.grad.clone()
        first.step()
        if step >= 2:
            second.step()
    assert torch.equal(one, two)
