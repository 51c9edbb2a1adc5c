"""torch's compiler, loaded only by whoever compiles.

torchvision's operators and torch's optimizers import `torch._dynamo` without using it, which takes as long as torch
itself: some two seconds of every process. In our own processes, which run networks as they are, a stand-in takes its
place until something else of it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
UTILITIES = "torch._dynamo.utils"

ASKED_OF_ALL = ("__file__", "__wrapped__")
"""Attributes that `inspect` and `warnings` try on every module; `__path__` is asked of what may be a package."""


class _Postponed(ModuleType):
    """Stands where a module will be, and is replaced by it when an attribute is missed."""

    def __getattr__(self, name: str) -> Any:
        if name in ASKED_OF_ALL or (name == "__path__" and self.__name__ == UTILITIES):
            raise AttributeError(name)
        _load()
        return getattr(importlib.import_module(self.__name__), name)


def postpone_compiler() -> None:
    """Keep torch's compiler from being loaded before it is used; call it before torch loads.

    For programs, not for libraries: it changes what `import torch._dynamo` does in this process. What is asked of it
    beyond the functions that torch calls in passing loads the real one.
    """
    if COMPILER in sys.modules:
        return
    compiler, utilities = _Postponed(COMPILER), _Postponed(UTILITIES)
    compiler.disable = _as_it_is  # type: ignore[attr-defined]
    compiler.graph_break = _nothing  # type: ignore[attr-defined]
    utilities.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules |= {COMPILER: compiler, UTILITIES: utilities}


def _load() -> None:
    for name in (UTILITIES, COMPILER):
        if isinstance(sys.modules.get(name), _Postponed):
            del sys.modules[name]
    importlib.import_module(UTILITIES)


def _as_it_is(function: Callable[..., Any], recursive: bool = True, **_: Any) -> Callable[..., Any]:
    """What `disable` comes to while nothing is compiled: optimizers call it on their methods."""
    return function


def _nothing() -> None:
    """What `graph_break` comes to while nothing is compiled: optimizers call it in each step."""


def _is_compile_supported(device_type: str) -> bool:
    """Asked by torchvision's region operators when they are called."""
    _load()
    return bool(sys.modules[UTILITIES].is_compile_supported(device_type))
