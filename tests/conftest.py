"""What all tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from bakeoff.execution.machine import usable_cores

# Timings on a busy machine say nothing about correctness; the suite's own limits are pytest-timeout's.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none of them is left to one process alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def _own_share_of_the_cores() -> None:
    """Where several processes test at once, let torch use no more threads in each than there are cores for."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        torch.set_num_threads(max(1, usable_cores() // processes))


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's data and cache folders out of the tests; one cache serves the whole session.

    Processes that test at once share compiled kernels, which take a while, but no timings: one's would change what
    another's studies choose.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        kernels = base.parent / "kernels"
        kernels.mkdir(exist_ok=True)
        (base / "shared-cache").mkdir()
        (base / "shared-cache" / "kernels").symlink_to(kernels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAKEOFF_CACHE_DIR", str(base / "shared-cache"))
        patch.setenv("BAKEOFF_DATA_DIR", str(base / "shared-data"))
        yield


@pytest.fixture
def cifar10_folder() -> Path:
    """The folder of CIFAR-10 pictures that BAKEOFF_DATA names, `train/<class>/*` and `test/<class>/*`."""
    folder = os.environ.get("BAKEOFF_DATA")
    if not folder or not (Path(folder) / "train").is_dir():
        pytest.skip("needs CIFAR-10 as pictures: set BAKEOFF_DATA to a folder with train/<class>/* and test/<class>/*")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'bakeoff[dev]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a chromium on the path: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
