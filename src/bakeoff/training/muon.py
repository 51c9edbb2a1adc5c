"""Muon: momentum whose step on each bank of filters is made orthogonal.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (kellerjordan.github.io/posts/muon). torch's
own `torch.optim.Muon` takes matrices only; a convolution's filters are one too, a filter a row. As in the CIFAR-10 speed
runs a bank keeps the norm it began with, so that the learning rate is the relative change of a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz polynomial (Jordan et al. 2024): steep at zero; takes singular values to between 0.7 and 1.2."""

ITERATIONS = 3
"""Iterations of the polynomial: what the CIFAR-10 speed runs use; torch's default for language models is 5."""

OTHERS = 0.25
"""Share of the learning rate for what is no filter bank: what suits parameters that begin as torch makes them."""

MOMENTUM_OF_OTHERS = 0.85
"""Nesterov's momentum of what is no filter bank, as in the CIFAR-10 speed runs."""


class Muon(torch.optim.Optimizer):
    """Muon for filters, Nesterov's momentum for biases, normalisation and linear layers.

    A bank of filters W with gradient G and momentum m moves by `W -= rate * |W| * O / |O|`, with O the orthogonalised
    `G + m * M` and `M = m * M + G`, and is then brought back to the norm it began with. It is meant for filters whose
    output is normalised, which makes their norm free.

    Args:
        parameters: Or groups of them; those with four dimensions are banks of filters.
        lr: Relative change of a bank in a step; the other parameters learn with a quarter of it.
        momentum: Of the banks.
        weight_decay: Share of the learning rate by which the other parameters shrink in a step, apart from their
            gradient (Loshchilov & Hutter 2019).
        factor: How many times as fast the other parameters of a group learn.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.6,
        weight_decay: float = 0.0,
        factor: float = 1.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "factor": factor}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None, "bakeoff computes gradients before the step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if parameter.ndim == 4:
                    _move_filters(parameter, state, group["lr"], group["momentum"])
                else:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    step = _momentum(state, parameter.grad, MOMENTUM_OF_OTHERS)
                    parameter.sub_(step, alpha=OTHERS * group["factor"] * group["lr"])


def _move_filters(filters: torch.Tensor, state: dict[str, torch.Tensor], rate: float, momentum: float) -> None:
    if "norm" not in state:
        state["norm"] = filters.norm()
    assert filters.grad is not None
    step = orthogonalised(_momentum(state, filters.grad, momentum).flatten(1)).view_as(filters)
    norm = state["norm"]
    filters.sub_(step * (rate * norm / step.norm().clamp_min(torch.finfo(step.dtype).tiny)))
    filters.mul_(norm / filters.norm().clamp_min(torch.finfo(step.dtype).tiny))


def _momentum(state: dict[str, torch.Tensor], gradient: torch.Tensor, momentum: float) -> torch.Tensor:
    """Return Nesterov's step and keep the momentum in the state."""
    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(gradient)
    state["momentum"].mul_(momentum).add_(gradient)
    return gradient.add(state["momentum"], alpha=momentum)


def orthogonalised(matrix: torch.Tensor, iterations: int = ITERATIONS) -> torch.Tensor:
    """Return a matrix with the same singular vectors and singular values near 1, by Newton and Schulz's iteration.

    An iteration takes X to `(a + b G + c G^2) X` with `G = X X^T`. All factors are polynomials of the first G, so they
    are multiplied among themselves, in the smaller side alone, and only their product with X.

    Args:
        matrix: Shape (rows, columns).
        iterations: Of the polynomial, at least 1.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    near = matrix.t() if tall else matrix
    near = near / near.norm().clamp_min(1e-7)
    gram = near @ near.t()
    factor = step = _step(gram)
    for _ in range(iterations - 1):
        gram = step @ gram @ step
        step = _step(gram)
        factor = step @ factor
    orthogonal: torch.Tensor = factor @ near
    return orthogonal.t() if tall else orthogonal


def _step(gram: torch.Tensor) -> torch.Tensor:
    """Return what an iteration multiplies by: `a + b G + c G^2`."""
    first, second, third = COEFFICIENTS
    step = torch.addmm(gram, gram, gram, beta=second, alpha=third)
    step.diagonal().add_(first)
    return step
