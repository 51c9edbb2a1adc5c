"""torch's compiler stays out of processes that do not compile, and is there for those that do."""

from __future__ import annotations

import subprocess
import sys

STEP = """
import sys
from bakeoff.lean import postpone_compiler
postpone_compiler()
import torch, torchvision
weight = torch.ones(3, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.5)
optimizer.zero_grad()
(2 * weight).sum().backward()
optimizer.step()
print(weight.tolist(), "torch._dynamo.symbolic_convert" in sys.modules)
"""


def output(program: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_an_optimizer_takes_its_step_without_the_compiler() -> None:
    assert output(STEP) == ["[0.0, 0.0, 0.0] False"]


def test_whoever_compiles_gets_the_real_compiler() -> None:
    program = f"""{STEP}
double = torch.compile(lambda x: 2 * x, backend="eager")
print(double(torch.ones(2)).tolist(), "torch._dynamo.symbolic_convert" in sys.modules)
import torch._dynamo.utils
print(torch._dynamo.utils.is_compile_supported.__module__, torch._dynamo.disable.__module__)
"""
    assert output(program)[1:] == ["[2.0, 2.0] True", "torch._dynamo.utils torch._dynamo.decorators"]


def test_a_compiler_that_is_loaded_already_is_left_alone() -> None:
    program = """
import torch._dynamo
before = torch._dynamo
from bakeoff.lean import postpone_compiler
postpone_compiler()
print(torch._dynamo is before)
"""
    assert output(program) == ["True"]
