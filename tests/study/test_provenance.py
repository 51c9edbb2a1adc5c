"""What a command writes down of itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bakeoff.store import Store
from bakeoff.study import provenance
from bakeoff.study.provenance import COMMANDS, KEPT, commands_of, git_state, write_down


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *named, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_git_state_is_the_commit_and_whether_files_were_changed_since(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == f"{commit} (unchanged)"
    (tmp_path / "file").write_text("other")
    assert git_state(tmp_path) == f"{commit} (with changes)"


def test_without_git_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance.shutil, "which", lambda _: None)
    assert git_state(tmp_path) is None


def test_the_first_command_and_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        for place in range(KEPT + 5):
            monkeypatch.setattr("sys.argv", ["bakeoff", "run", str(place)])
            monkeypatch.setattr(provenance, "git_state", lambda _: None)
            write_down(store)
        commands = [one.command for one in commands_of(store)]
    assert len(commands) == KEPT
    assert commands[0] == "bakeoff run 0"
    assert commands[-1] == f"bakeoff run {KEPT + 4}"


def test_bytes_that_are_no_text_do_not_cost_the_commands_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "git_state", lambda _: None)
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        for place in ("first", "p\udc80", "last"):
            monkeypatch.setattr("sys.argv", ["bakeoff", "run", "--data-dir", place])
            write_down(store)
        first, strange, last = (one.command for one in commands_of(store))
    assert (first, last) == ("bakeoff run --data-dir first", "bakeoff run --data-dir last")
    assert "\\udc80" in strange


@pytest.mark.parametrize("text", ["", "not JSON", "[1]", '[{"command": "x"}]', "{}"])
def test_what_another_version_wrote_is_left_out(tmp_path: Path, text: str) -> None:
    with Store.create_or_open(tmp_path / "results.sqlite") as store:
        store.set_note(COMMANDS, text)
        assert commands_of(store) == []
