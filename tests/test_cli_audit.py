"""`bakeoff audit` and `bakeoff audit --json`: what they print, and the exit code that programs go by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bakeoff.audit import registry
from bakeoff.store import Store
from bakeoff.study.folder import DATABASE
from tests.audit.made_up import fair_study, finished
from tests.test_cli import bakeoff

ACCURACIES = {"resnet18": 0.93, "mobilenet_v2": 0.90}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with nothing the matter."""
    study = fair_study(audit={"silence": {"D7": "one size of map is <b>as good</b> as another\x1b[31m"}})
    return finished(tmp_path_factory.mktemp("clean") / "study", study, lambda one: ACCURACIES[one.model]).folder


@pytest.fixture
def broken(clean: Path, tmp_path: Path) -> Path:
    """The same, but one candidate's runs have left part of the network as it was."""
    folder = tmp_path / "study"
    shutil.copytree(clean, folder)
    with Store.create_or_open(folder / DATABASE) as store:
        runs = store.runs_frame()
        for run in runs[runs["model"] == "mobilenet_v2"].to_dict("records"):
            store.set_health(run["run_id"], run["health"] | {"not_in_optimizer": ["classifier.1.weight"]})
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_clean_study_ends_with_exit_code_0_and_counts_what_passed(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bakeoff("audit", str(clean)) == 0
    said = capsys.readouterr().out
    assert "error" not in said
    assert "warning" not in said
    assert "not run  H2" in said
    assert "rules passed, 1 not run" in said


def test_an_open_error_ends_with_exit_code_1_and_names_candidate_threshold_and_claim(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bakeoff("audit", str(broken)) == 1
    said = capsys.readouterr().out
    assert said.startswith("error H5 dead or frozen parts: mobilenet_v2, all 5 runs: the optimizer does not hold")
    assert "threshold: any trainable parameter" in said
    assert "does not hold: that these candidates' whole networks were trained" in said


def test_json_has_every_rule_with_its_state_and_why_it_was_not_run(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bakeoff("audit", str(broken), "--json") == 1
    document = told(capsys)
    assert document["study"] == "fair"
    assert document["open_errors"] == 1
    assert set(document["candidates"].values()) == {"resnet18", "mobilenet_v2"}
    findings = {one["rule"]: one for one in document["findings"]}
    assert set(findings) == {rule.id for rule in registry.built_in()}
    assert {one["state"] for one in findings.values()} == {"pass", "fires", "not run"}
    assert all(one["message"] for one in findings.values() if one["state"] != "pass")
    assert findings["H2"]["state"] == "not run"
    assert "--deep" in findings["H2"]["message"]
    (touched,) = findings["H5"]["candidates"]
    assert document["candidates"][touched] == "mobilenet_v2"


def test_a_silenced_rule_is_there_with_its_reason_and_opens_no_error(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken / "study.toml"
    path.write_text(path.read_text().replace("D7 = ", 'H5 = "frozen on purpose, see the log"\nD7 = '))
    assert bakeoff("audit", str(broken), "--json") == 0
    document = told(capsys)
    assert document["open_errors"] == 0
    (silenced,) = [one for one in document["findings"] if one["rule"] == "H5"]
    assert silenced["state"] == "fires"
    assert silenced["silenced"] == "frozen on purpose, see the log"
    assert bakeoff("audit", str(broken)) == 0
    said = capsys.readouterr().out
    assert "silenced H5 dead or frozen parts (error)" in said
    assert "Reason given: frozen on purpose, see the log" in said


def test_the_reason_for_a_silence_is_in_json_whatever_became_of_the_rule(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bakeoff("audit", str(clean), "--json") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    (passed,) = [one for one in json.loads(printed)["findings"] if one["rule"] == "D7"]
    assert passed["state"] == "pass"
    assert passed["silenced"].startswith("one size of map")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], ["nowhere"]),
        (["nowhere.toml"], ["nowhere.toml"]),
        (["."], ["study.toml", "has none"]),
        ([".", "--data", "digits"], ["--data", "leave it out"]),
        ([], ["Missing argument"]),
        ([".", "--jsno"], ["--jsno"]),
    ],
)
def test_what_cannot_be_audited_ends_with_exit_code_2_and_says_why(
    arguments: list[str],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bakeoff("audit", *arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    for words in said:
        assert words in captured.err
    assert "Traceback" not in captured.err


def test_a_rule_that_there_is_not_is_refused_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text('[data]\nsource = "digits"\n[audit.silence]\nD11 = "a slip"\n')
    assert bakeoff("audit", str(path)) == 2
    assert "'D11'" in capsys.readouterr().err
