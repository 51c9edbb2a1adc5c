"""What a command that trains writes down of itself, so that whoever reads the results can repeat it."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bakeoff.execution.machine import may_have_gpu, usable_cores
from bakeoff.store import Store

COMMANDS = "commands"
"""The key under which a study's database keeps the commands that trained it, with their versions and hardware."""

KEPT = 50
"""Commands that are kept: the first, and the latest of all others."""

PACKAGES = ("bakeoff", "torch", "torchvision", "timm", "numpy", "pillow")
"""Packages whose versions may decide numbers."""

PATIENCE = 5.0
"""Seconds that git may take to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One command that trained a study, or went on with it."""

    command: str
    """The command as a shell takes it."""

    git: str | None
    """The commit of the folder that it was given in, and whether files had been changed; None where there is none."""

    versions: dict[str, str]
    hardware: str
    started: str
    """ISO 8601, UTC."""


def provenance_now() -> Provenance:
    """Return what is to be written down of the command that runs."""
    from bakeoff.training.kernels.native import processor

    return Provenance(
        command=_readable(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        git=git_state(Path.cwd()),
        versions={"Python": platform.python_version()}
        | {name: found for name in PACKAGES if (found := _version(name))},
        hardware=f"{processor()}, {usable_cores()} cores, {platform.system()}{_gpu()}",
        started=datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat(" "),
    )


def _readable(command: str) -> str:
    """Return a command with what is no text in it (bytes in a path that are no UTF-8) written as escapes."""
    return command.encode("utf-8", "backslashreplace").decode()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu() -> str:
    if not may_have_gpu():
        return ""
    import torch

    return f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""


def git_state(folder: Path) -> str | None:
    """Return the commit that is checked out around a folder, and whether its files have been changed since.

    Returns:
        None where there is no repository, no commit yet, or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    state = "state unknown" if changed is None else "with changes" if changed else "unchanged"
    return f"{commit} ({state})"


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):  # what cannot be known is not written down
        return None
    return done.stdout.strip()


def write_down(store: Store) -> None:
    """Keep what is to be known of the command that runs with the study."""
    before = commands_of(store)
    kept = [*before[:1], *before[1:][-(KEPT - 2) :], provenance_now()]
    store.set_note(COMMANDS, json.dumps([asdict(one) for one in kept]))


def commands_of(store: Store) -> list[Provenance]:
    """Return the commands that trained a study, the first one first; none where nobody wrote them down."""
    try:
        return TypeAdapter(list[Provenance]).validate_json(store.note(COMMANDS) or "[]")
    except ValidationError:  # another bakeoff's
        return []
