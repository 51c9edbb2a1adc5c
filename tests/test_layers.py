"""Imports run downwards in the house: a room may use those below it, never those above or across."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bakeoff

ROOT = Path(bakeoff.__file__).parent

# Each room with the rooms it may import from. Whatever is not listed may be imported by nobody.
BELOW = {
    "errors": set(),
    "words": set(),
    "units": {"errors"},
    "records": set(),
    "cost_records": set(),
    "lean": set(),
    "files": {"errors"},
    "predictions": {"errors", "files"},
    "spec": {"errors", "units"},
    "flags": {"errors", "spec"},
    "data": {"errors", "records", "files", "spec"},
    "models": {"errors", "spec"},
    "training": {"errors", "records", "files", "predictions", "spec", "data", "models"},
    "execution": {"errors", "lean", "records", "files", "spec", "data", "models", "training"},
    "cost": {"errors", "records", "cost_records", "spec", "data", "models", "training", "execution"},
    "rows": {"errors", "records", "cost_records", "spec"},
    "schema": {"records"},
    "store": {"errors", "records", "files", "spec", "rows", "schema"},
    "analysis": {"errors", "words", "records", "cost_records", "predictions", "spec", "store"},
    "audit": {"errors", "words", "records", "cost_records", "predictions", "spec", "store", "analysis"},
    "report": {
        "errors",
        "words",
        "records",
        "cost_records",
        "files",
        "predictions",
        "spec",
        "store",
        "analysis",
        "audit",
    },
    "study": {
        "errors",
        "words",
        "records",
        "cost_records",
        "files",
        "predictions",
        "spec",
        "data",
        "models",
        "cost",
        "training",
        "execution",
        "store",
        "analysis",
        "audit",
        "flags",
    },
    "forecast": {"errors", "records", "spec", "execution", "study"},
    "reporting": {"errors", "files", "analysis", "report", "store", "study"},
    "watch": {"errors", "words", "records", "spec", "store", "report", "study", "reporting"},
    "cli": {
        "errors",
        "words",
        "units",
        "lean",
        "flags",
        "data",
        "models",
        "execution",
        "analysis",
        "audit",
        "report",
        "study",
        "forecast",
        "reporting",
        "watch",
        "__init__",
    },
    "__main__": {"cli"},
    "__init__": {"errors", "flags", "spec", "report", "study", "reporting"},
}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path, *, at_run_time: bool) -> set[str]:
    """The rooms a file imports from; imports only for type checking do not count at run time."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    if at_run_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                skipped.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bakeoff":
            parts = node.module.split(".")
            found.update([parts[1]] if len(parts) > 1 else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found.update(parts[1] if len(parts) > 1 else "__init__" for parts in names if parts[0] == "bakeoff")
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_room_imports_only_from_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    above = imported_rooms(path, at_run_time=True) - BELOW[room] - {room}
    assert not above, f"{path.name} imports from {above}"


def test_the_order_of_rooms_has_no_circle() -> None:
    placed: set[str] = set()
    while len(placed) < len(BELOW):
        ready = {room for room, below in BELOW.items() if room not in placed and below <= placed}
        assert ready, f"a circle among {set(BELOW) - placed}"
        placed |= ready


def modules_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_command_line_loads_without_torch_and_pandas() -> None:
    loaded = modules_after("import bakeoff.cli")
    assert not loaded & {"torch", "torchvision", "pandas", "sklearn", "sqlalchemy", "matplotlib"}


def test_workers_load_without_what_draws_and_judges() -> None:
    unwanted = {"matplotlib", "sklearn", "timm", "pandas", "sqlalchemy", "scipy"}
    assert not modules_after("import bakeoff.execution.worker, bakeoff.training.loop") & unwanted


def test_the_driver_loads_without_torch_and_matplotlib() -> None:
    """A worker loads torch meanwhile, and takes longer than a study of known networks takes to be planned."""
    unwanted = {"torch", "torchvision", "matplotlib", "sklearn", "timm"}
    assert not modules_after("import bakeoff.cli.run, bakeoff.cli.reports, bakeoff.study") & unwanted


def test_python_runs_the_package_as_a_program() -> None:
    command = [sys.executable, "-m", "bakeoff", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == bakeoff.__version__


def test_nothing_is_printed_outside_the_command_line() -> None:
    for path in FILES:
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        printing = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not printing or room_of(path) == "cli", f"{path}: lines {printing}"
