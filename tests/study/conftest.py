"""A study that ran to its end."""

from __future__ import annotations

import pytest

from bakeoff.study import Outcome, Study
from tests.study.tiny import run_tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that ran to its end without a pause."""
    study, outcome, _ = run_tiny(tmp_path_factory.mktemp("whole") / "study")
    assert outcome == Outcome(interrupted=False, failed=0)
    return study
