"""Maps that are computed once it is known what is done with them first.

A network adds a shortcut to what a normalisation gives, and clips the sum. As three functions that takes three passes over
memory; where the normalisation waits for the other two, it takes one. So a normalisation may return a `Pending`: a tensor
whose values are found when somebody asks for them. An addition or an activation asks for none and is remembered instead.

The network's own code runs as it is, at each step, whichever way it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import torch
from torch.utils._pytree import tree_map

from bakeoff.errors import RunError
from bakeoff.training.kernels.activation import NONE, Activation, Call


class Source(Protocol):
    """What maps are computed from."""

    def __call__(self, added: torch.Tensor | None, activation: Activation) -> torch.Tensor:
        """Return the maps, with others added to them and then activated.

        It is called once for each thing that is done with them, by copies of a `Pending` that share it.
        """
        ...


ADDITIONS = (torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__)
ADDITIONS_IN_PLACE = (torch.Tensor.add_, torch.Tensor.__iadd__)
OF_SHAPE = (
    *(getattr(torch.Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim")),
    torch.Tensor.size, torch.Tensor.stride, torch.Tensor.dim, torch.Tensor.numel,
)  # fmt: skip
"""What can be answered without the values."""


class Pending(torch.Tensor):
    """A tensor without values, until they are asked for.

    Only Python asks. Functions that PyTorch calls past it, as those of `torch.autograd.Function` are, must be given what
    `settled` returns. A gradient that reaches such a tensor is refused, but `torch.autograd.grad`, which asks for chosen
    gradients alone, does not come by there.
    """

    _source: Source
    _waits: bool
    _added: Given | None
    _activation: Activation
    _writes: int
    """Counts what is computed in its place: as it is before there are values, afterwards with their version added."""

    _value: torch.Tensor | None

    @staticmethod
    def of(
        shape: Sequence[int], dtype: torch.dtype, source: Source, activation: Activation = NONE, *, waits: bool = True
    ) -> Pending:
        """Return maps to be computed, in the processor's memory with the channels innermost.

        Args:
            shape: (batch, channels, height, width).
            dtype: Of the values.
            source: Computes them.
            activation: What they end with; if there is one, nothing that comes later is computed with them.
            waits: Whether they wait for an addition and an activation; else, only for what asks for their source.
        """
        _, channels, height, width = shape
        pending: Pending = torch.Tensor._make_wrapper_subclass(
            Pending,
            tuple(shape),
            strides=(height * width * channels, 1, width * channels, channels),
            dtype=dtype,
            device=torch.device("cpu"),
            requires_grad=True,
        )
        pending._source, pending._waits, pending._added, pending._activation = source, waits, None, activation
        pending._writes, pending._value = 0, None
        with torch._C.DisableTorchFunctionSubclass():
            pending.register_hook(_refuse_gradient)  # type: ignore[no-untyped-call]
        return pending

    def source(self) -> tuple[Source, Activation] | None:
        """Return what the values are made of and what they end with, if they are not there yet and nothing is added."""
        return None if self._value is not None or self._added is not None else (self._source, self._activation)

    @property
    def _is_open(self) -> bool:
        """Whether what is done next may still be computed with it."""
        return self._waits and self._value is None and self._activation == NONE and torch.is_grad_enabled()

    def _settled(self) -> torch.Tensor:
        """Return the values."""
        if self._value is None:
            added = None if self._added is None else self._added.value("added to a normalised one")
            with torch.inference_mode(False), torch.enable_grad():
                self._value = self._source(added, self._activation)
            self._writes -= _version(self._value)
            del self._source, self._added
        return self._value

    def _activated(self, call: Call) -> Pending:
        result = self if call.inplace else self._copy()
        result._activation = call.activation
        result._writes += call.inplace
        return result

    def _plus(self, other: torch.Tensor, inplace: bool) -> Pending:
        result = self if inplace else self._copy()
        result._added = Given(other)
        result._writes += inplace
        return result

    def _copy(self) -> Pending:
        copy = Pending.of(self.shape, self.dtype, self._source, self._activation)
        copy._added = self._added
        return copy

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in OF_SHAPE:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        remembered = _addition(func, args, kwargs)
        if remembered is None:
            remembered = _activation(func, args, kwargs)
        return func(*tree_map(settled, args), **tree_map(settled, kwargs)) if remembered is None else remembered

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:  # type: ignore[override]
        raise RunError(passed_over(str(func)))


class Given:
    """A tensor that was given to be read later. Writes through `.data` are not seen."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self._writes = self._count()

    def _count(self) -> int:
        """Return how often it has been written to."""
        if not isinstance(self.tensor, Pending):
            return _version(self.tensor)
        values = self.tensor._value
        return self.tensor._writes + (0 if values is None else _version(values))

    def check(self, what: str) -> None:
        """Refuse a tensor that was written to since.

        Args:
            what: Is done with it, for the message.

        Raises:
            RunError: If it was.
        """
        if self._count() != self._writes:
            raise RunError(
                f"the network writes into a map that is {what} before that is computed; train with --no-tune"
            )

    def value(self, what: str) -> torch.Tensor:
        """Return its values, once `check` has passed."""
        self.check(what)
        values: torch.Tensor = settled(self.tensor)
        return values


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def settled(value: Any) -> Any:
    """Return a tensor with its values, if it is a `Pending`; anything else as it is."""
    return value._settled() if isinstance(value, Pending) else value


def _addition(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Pending | None:
    """Return the sum of two maps if one of them can wait for it, else None."""
    inplace = function in ADDITIONS_IN_PLACE
    if not (inplace or function in ADDITIONS) or named or len(arguments) != 2:
        return None
    for pending, other in (arguments,) if inplace else (arguments, reversed(arguments)):
        if not isinstance(pending, Pending) or not isinstance(other, torch.Tensor) or pending is other:
            continue
        if pending._is_open and pending._added is None and _are_alike(pending, other):
            values = settled(other)  # for which the other map may have been needed, too
            return pending._plus(values, inplace) if pending._is_open and not values.is_inference() else None
    return None


def _are_alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype is other.dtype and one.device == other.device


def _activation(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Pending | None:
    """Return what an activation gives if the maps can wait for it, else None."""
    call = Call.of(function, arguments, named)
    if call is None or not arguments or not isinstance(arguments[0], Pending) or not arguments[0]._is_open:
        return None
    return arguments[0]._activated(call)


def passed_over(function: str) -> str:
    """Return what to say where a function does not ask for values."""
    return (
        f"the network gives a map that is normalised only when it is looked at to {function}, which does not look through "
        "Python; train with --no-tune"
    )


def _refuse_gradient(gradient: torch.Tensor) -> NoReturn:
    raise RunError(passed_over("a function with a gradient of its own"))
