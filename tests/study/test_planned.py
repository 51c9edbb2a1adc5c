"""What is promised of a run's numerics holds when the run begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bakeoff.execution.tuner import Job, Tuned
from bakeoff.study import tuning
from bakeoff.study.planned import compiled_normalization
from bakeoff.study.tuning import choose_algorithms
from bakeoff.training.convolution import joined
from bakeoff.training.kernels import native, normalization

JOB = Job(model="alexnet", classes=4, stem="small", size=8, batch=2, precision="float32")


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler of its own, with a cache folder of its own, and nothing remembered in this process."""
    if not any(shutil.which(name) for name in native.COMPILERS):
        pytest.skip("there is no C compiler")
    (real,) = native._compiler()
    program = tmp_path / "mycc"
    program.write_text(
        f'#!/bin/sh\n[ -f {tmp_path}/broken ] && [ "$1" != --version ] && exit 1\nexec {real} "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    monkeypatch.setenv("BAKEOFF_CACHE_DIR", str(tmp_path / "cache"))
    forget()
    return program


def forget() -> None:
    """Be another process, as far as compiled kernels are concerned."""
    for cached in (native.load, normalization._kernels, normalization.unavailable, joined._kernels, joined.unavailable):
        cached.cache_clear()


def test_compiled_normalization_is_promised_without_the_compiler_as_long_as_the_kernels_are_there(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert compiled_normalization("cpu", cache)
    forget()
    (tmp_path / "broken").touch()
    with monkeypatch.context() as patch:
        patch.setattr(native, "_run", lambda *_: pytest.fail("the compiler was started"))
        assert compiled_normalization("cpu", cache)
    assert normalization.unavailable() is None
    forget()
    shutil.rmtree(cache / native.FOLDER)
    assert not compiled_normalization("cpu", cache)
    forget()


def test_a_choice_is_made_anew_where_a_compiled_kernel_is_gone(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []

    def tune(jobs: list[Job], **_: object) -> list[Tuned]:
        native.load("int one(void) { return 1; }\n")
        asked.extend(jobs)
        return [Tuned(layers=[], choices={"features.0": ["winograd"] * 3}, joined=[], peak=None) for _ in jobs]

    monkeypatch.setattr(tuning, "tune", tune)
    for _ in range(2):
        choose_algorithms([JOB], 1, tmp_path / "cache")
    assert asked == [JOB]
    (kernel,) = (tmp_path / "cache" / native.FOLDER).iterdir()
    kernel.unlink()
    forget()
    choose_algorithms([JOB], 1, tmp_path / "cache")
    assert asked == [JOB, JOB]
