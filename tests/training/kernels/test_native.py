"""Kernels are compiled once for this processor, and their absence is told and survived."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from bakeoff.errors import StudyError
from bakeoff.training.convolution import algorithm, depthwise, install, phases, winograd
from bakeoff.training.convolution.geometry import Axis, Geometry, Pass
from bakeoff.training.kernels import native

SOURCE = "int twice(int value) { return 2 * value; }\n"


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache folder of its own, and nothing remembered in this process before or after."""
    monkeypatch.setenv("BAKEOFF_CACHE_DIR", str(tmp_path / "cache"))
    caches = (
        native.load,
        native._version,
        winograd.transforms_of,
        winograd.unavailable,
        phases._library,
        phases._own_unavailable,
        depthwise._kernels,
        depthwise.unavailable,
    )
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def _compiler() -> None:
    if not any(shutil.which(name) for name in native.COMPILERS):
        pytest.skip("there is no C compiler")


@pytest.fixture
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")


@pytest.mark.usefixtures("_compiler")
def test_a_kernel_is_compiled_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.load(SOURCE).twice(21) == 42
    (library,) = (tmp_path / "cache" / native.FOLDER).iterdir()
    assert library.suffix == ".so"
    native.load.cache_clear()
    monkeypatch.setattr(native, "_compile", lambda *_: pytest.fail("compiled again"))
    assert native.load(SOURCE).twice(4) == 8


@pytest.mark.usefixtures("_compiler")
def test_a_compiler_may_be_named_with_arguments_or_by_a_path_with_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (real,) = native._compiler()
    monkeypatch.setenv("CC", f"{real} -DTHRICE=3 '-DUNUSED=a b'")
    source = "int thrice(int value) { return THRICE * value; }\n"
    assert native.load(source).thrice(5) == 15
    spaced = tmp_path / "my tools" / "cc"
    spaced.parent.mkdir()
    spaced.symlink_to(real)
    monkeypatch.setenv("CC", str(spaced))
    assert native._compiler() == [str(spaced)]


@pytest.mark.parametrize("named", ["no-such-compiler -m64", "'no end", " "])
def test_a_compiler_that_is_not_there_is_named(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", named)
    with pytest.raises(native.UnavailableError, match=f"no C compiler: tried {named}"):
        native.made_with()


@pytest.mark.usefixtures("_compiler")
def test_loops_run_in_the_threads_of_pytorch() -> None:
    library = native.load(
        "#include <omp.h>\n"
        "int threads(void) {\n int count = 0;\n#pragma omp parallel\n#pragma omp atomic\n count++;\n return count;\n}\n"
    )
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert library.threads() == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("_compiler")
def test_text_that_does_not_compile_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(native.UnavailableError, match="failed"):
        native.load("no C at all")
    assert list((tmp_path / "cache" / native.FOLDER).iterdir()) == []


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: whole[::-1]]
)
def test_a_kernel_that_was_damaged_on_the_disk_is_made_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.load(SOURCE)
    (library,) = (tmp_path / "cache" / native.FOLDER).iterdir()
    content = library.read_bytes()
    library.unlink()  # this process has it in memory
    library.write_bytes(damage(content))
    assert native.whole() == []
    for _ in range(2):
        native.load.cache_clear()
        assert native.load(SOURCE).twice(21) == 42
        monkeypatch.setattr(native, "_compile", lambda *_: pytest.fail("compiled again"))
    assert len(native.whole()) == 1


@pytest.mark.usefixtures("_compiler")
def test_a_compiler_whose_libraries_cannot_be_loaded_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(*_: str) -> Path:
        (tmp_path / "kernel.so").write_bytes(b"\x7fELF, but cut off")
        return tmp_path / "kernel.so"

    monkeypatch.setattr(native, "_compile", damage)
    with pytest.raises(native.UnavailableError, match="cannot be loaded"):
        native.load(SOURCE)


@pytest.mark.usefixtures("_compiler")
def test_a_cache_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(native.UnavailableError, match="cannot be compiled"):
        native.load(SOURCE)


@pytest.mark.usefixtures("_no_compiler")
def test_without_a_compiler_the_other_algorithms_serve() -> None:
    axis = Axis(8, 3, 1, 1, 1)
    geometry = Geometry(2, 4, 4, 1, axis, axis, torch.float32)
    assert "winograd" not in [one.name for one in algorithm.serving(geometry, Pass.FORWARD)]
    assert (
        algorithm.remark()
        == "depthwise, winograd, tilewise and phases are left out: there is no C compiler: tried no-such-compiler"
    )


@pytest.mark.usefixtures("_no_compiler")
def test_without_a_compiler_a_run_that_began_with_one_does_not_silently_go_on_otherwise() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    for name in ("depthwise", "winograd", "tilewise", "phases"):
        with pytest.raises(StudyError, match=rf"{name}.*no-such-compiler.*provide a C compiler"):
            install(network, {"0": [name, "library", "library"]})
    install(network, {"0": ["matmul", "library", "library"]})
