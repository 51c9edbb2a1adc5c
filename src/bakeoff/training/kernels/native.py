"""Small C kernels, compiled on first use for this processor where there is a C compiler.

They only ever make faster what also works without them. A compiled kernel is kept in the cache folder, by the text it
was made from, the compiler and the processor. Its file's name ends in its checksum: a damaged library may end the process
that loads it, so it is made again instead.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

from bakeoff.data.cache import cache_root
from bakeoff.errors import StudyError
from bakeoff.files import unfinished_folder

FOLDER = "kernels"
"""Folder within the cache folder."""

COMPILERS = ("cc", "gcc", "clang")
"""Tried in this order; the environment variable CC takes their place, and may hold arguments."""

FLAGS = ("-O3", "-march=native", "-fPIC", "-fopenmp", "-std=gnu11")

COMPILE_SECONDS = 120.0


class UnavailableError(Exception):
    """This machine cannot make or use kernels; the message says why."""


@cache
def load(source: str) -> ctypes.CDLL:
    """Return the library compiled from C text, from the cache folder if it was compiled before.

    Args:
        source: A whole C file. Its loops may use OpenMP: they run in PyTorch's own threads, as many as PyTorch uses.

    Raises:
        UnavailableError: If there is no compiler, or it fails, or the result cannot be loaded.
    """
    compiler = _compiler()
    name = hashlib.sha256(
        "\0".join((source, *FLAGS, *compiler[1:], _version(tuple(compiler)), processor(), instructions())).encode()
    ).hexdigest()[:16]
    library = _kept(name) or _compile(compiler, source, name)
    try:
        # PyTorch has loaded its OpenMP for all to see; the kernels are not linked with another, whose threads would get
        # in the way of PyTorch's.
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UnavailableError(f"a kernel compiled by {shlex.join(compiler)} cannot be loaded: {error}") from error


def whole() -> list[str]:
    """Return the names of the files of all compiled kernels that are kept and undamaged, in order."""
    return sorted(path.name for path in _folder().glob("*.so") if _is_whole(path))


def _folder() -> Path:
    return cache_root(None) / FOLDER


def _kept(name: str) -> Path | None:
    """Return the undamaged library of a name, or None."""
    return next(filter(_is_whole, _folder().glob(f"{name}.*.so")), None)


def _is_whole(library: Path) -> bool:
    try:
        return library.name.endswith(f".{_checksum(library)}.so")
    except OSError:
        return False


def _checksum(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()[:16]


def processor() -> str:
    """Return the name of the processor."""
    return _cpuinfo().get("model name") or platform.machine()


def instructions() -> str:
    """Return the names of the instructions that the processor has, as Linux gives them; nothing elsewhere.

    Processors of one name may differ in them, as virtual machines show, and share a cache folder.
    """
    known = _cpuinfo()
    return " ".join(sorted(known.get("flags", known.get("Features", "")).split()))  # on x86, on ARM


@cache
def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first core; reading it takes long where there are many."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return {}
    first, _, _ = info.read_text().partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def arithmetic() -> list[str]:
    """Return what decides how this machine computes: its processor, and which of its instructions torch is told to use."""
    return [processor(), instructions(), os.environ.get("ATEN_CPU_CAPABILITY", "")]


def made_with() -> list[str]:
    """Return what decides whether kernels can be made here, the compiler and the processor, without starting the compiler.

    Raises:
        UnavailableError: If there is no compiler.
    """
    compiler = _compiler()
    status = os.stat(compiler[0])  # of the program behind links: another one has another size or time
    return [*compiler, f"{status.st_size} bytes of {status.st_mtime_ns}", processor(), instructions()]


def _compiler() -> list[str]:
    """Return the command of the compiler: its program's path, and arguments where the variable CC has some."""
    wanted = os.environ.get("CC")
    for command in [_words(wanted)] if wanted else [[name] for name in COMPILERS]:
        found = shutil.which(command[0])
        if found:
            return [found, *command[1:]]
    raise UnavailableError(f"there is no C compiler: tried {wanted or ', '.join(COMPILERS)}")


def _words(command: str) -> list[str]:
    """Split a command as a shell does, unless it is the path of a program as it is."""
    if shutil.which(command):
        return [command]
    try:
        return shlex.split(command) or [command]
    except ValueError:  # a quotation without an end
        return [command]


@cache
def _version(compiler: tuple[str, ...]) -> str:
    return _run([*compiler, "--version"], None)


def _compile(compiler: list[str], source: str, name: str) -> Path:
    """Compile C text and return the library, under a name that ends in its checksum."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = unfinished_folder(folder / f"{name}.so")
    except (OSError, StudyError) as error:
        raise UnavailableError(f"a kernel cannot be compiled: {error}") from error
    try:
        (work / "kernel.c").write_text(source)
        _run([*compiler, *FLAGS, "-c", "kernel.c", "-o", "kernel.o"], work)
        _run([*compiler, "-shared", "kernel.o", "-o", "kernel.so"], work)
        with (work / "kernel.so").open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave the name without the content
        library = folder / f"{name}.{_checksum(work / 'kernel.so')}.so"
        os.replace(work / "kernel.so", library)
    except OSError as error:
        raise UnavailableError(f"a kernel cannot be compiled: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return library


def _run(command: list[str], folder: Path | None) -> str:
    """Run a compiler and return what it prints."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        last_words = error.stderr.strip().splitlines()[-1:] or [f"exit status {error.returncode}"]
        raise UnavailableError(f"{command[0]} failed: {last_words[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]} failed: {error}") from error
    return done.stdout
