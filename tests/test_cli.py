"""The command line: what it accepts, what it prints, how it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff import cli
from bakeoff.audit import Finding, Severity, State
from bakeoff.cli.parsing import numbers, word_list
from bakeoff.cost import turns
from bakeoff.study import Study, predictions_path
from bakeoff.study.reading import Reading
from tests.costs import a_cost
from tests.stored import Network, bits, stored_study, uneven_study, write_predictions

pytestmark = pytest.mark.slow

QUICK = [
    "--data",
    "digits",
    "--models",
    "shufflenet_v2_x0_5",
    "--stem",
    "original",
    "--limit",
    "160",
    "--validation",
    "20",
]
QUICK += ["--batch-size", "35", "--no-costs", "--epochs", "1"]


def bakeoff(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    before, sys.argv = sys.argv, ["bakeoff", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "study"
    assert bakeoff("run", *QUICK, "--lrs", "0.01,0.001", "--seeds", "0,1", "--out", str(out)) == 0
    return out


@pytest.mark.timed
def test_help_takes_under_0_4_seconds() -> None:
    command = [sys.executable, "-c", "from bakeoff.cli import main; main()", "--help"]
    seconds = []
    for _ in range(3):  # the first may read files from a cold disk
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.4


FLAGS = {
    "--data", "--models", "--optimizers", "--lrs", "--epochs", "--batch-size", "--seeds", "--schedule", "--stem", "--validation",
    "--only", "--despite", "--limit", "--precision", "--protocol", "--budget", "--settle",
    "--most-seeds", "--device", "--workers", "--tune", "--costs", "--out", "--dry-run", "--data-dir",
}  # fmt: skip


def test_the_flags_of_run_are_these() -> None:
    import typer

    run = typer.main.get_command(cli.app).commands["run"]  # type: ignore[attr-defined]
    found = {option for parameter in run.params for option in parameter.opts if option.startswith("--")}
    assert found - {"--help"} == FLAGS


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert {"run", "show", "watch", "models"} <= set(commands)
    for command in commands:
        assert bakeoff(command, "--help") == 0
        assert f"bakeoff {command}" in capsys.readouterr().out


def test_a_run_ends_with_the_table_and_the_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("show", str(folder)) == 0
    said = capsys.readouterr().out
    assert "ranked by validation accuracy" in said
    assert "shufflenet_v2_x0_5" in said
    assert str(folder) in said.replace("\n", "")


def test_show_gives_csv_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("show", str(folder), "--csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("rank,unranked,candidate")
    assert bakeoff("show", str(folder), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["runs"]) == 4
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= document["runs"][0]["epochs"][0].keys()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose truth is known: `big` is better, `small` is faster."""
    networks = [
        Network(name="big", correct=bits(0.95, seed=1, pictures=1000), validation=0.95, costs={"latency_p95": 0.02}),
        Network(name="small", correct=bits(0.8, seed=2, pictures=1000), validation=0.8, costs={"latency_p95": 0.002}),
    ]
    return stored_study(tmp_path_factory.mktemp("known"), networks).folder


def test_show_ends_with_the_verdict_and_takes_targets(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("show", str(known), "--targets", "70%,0.9") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "big is better than small: 9" in said
    assert "never (0/5)" in said
    assert bakeoff("show", str(known), "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["winner"] == "big"


def test_show_takes_targets_as_json_and_csv(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("show", str(known), "--json", "--targets", "70%,0.9") == 0
    times = {
        (one["candidate_id"], one["target"]): one for one in json.loads(capsys.readouterr().out)["time_to_accuracy"]
    }
    assert times["big", 0.9]["seconds"] > 0
    assert times["small", 0.7]["hits"] == times["small", 0.7]["seeds"] == 5
    assert times["small", 0.9]["seconds"] is None
    assert times["small", 0.9]["hits"] == 0
    assert bakeoff("show", str(known), "--csv", "--targets", "70%,0.9,0.7") == 0
    big, small = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(big)[-2:] == ["seconds_to_0.7", "seconds_to_0.9"]
    assert float(big["seconds_to_0.9"]) == times["big", 0.9]["seconds"]
    assert small["seconds_to_0.9"] == "inf"
    assert bakeoff("show", str(known), "--json") == 0
    assert "time_to_accuracy" not in json.loads(capsys.readouterr().out)


def test_show_refuses_a_target_that_is_no_share_in_every_form(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ([], ["--json"], ["--csv"]):
        assert bakeoff("show", str(known), *form, "--targets", "far") == 2
        assert "--targets" in capsys.readouterr().err


def test_show_names_who_is_not_ranked_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = [Network(name=name, correct=bits(0.9, seeds=seeds)) for name, seeds in (("a", 1), ("b", 3), ("c", 0))]
    uneven_study(tmp_path, *networks)
    assert bakeoff("show", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if "Not ranked" in line or "Not judged" in line] == [
        "Not ranked: a: S1 too few seeds",
        "Not ranked: c: no seed has finished",
    ]


def test_show_gives_the_table_although_there_is_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = stored_study(tmp_path, [Network(name=name, correct=bits(0.9, pictures=100)) for name in "ab"])
    write_predictions(predictions_path(tmp_path, "b/0"), np.tile(bits(0.9, pictures=100)[0], 2))
    assert bakeoff("show", str(study.folder)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ranked by validation accuracy" in said
    assert "There is no verdict: runs that are compared must be tested on the same pictures" in said
    assert bakeoff("show", str(study.folder), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "verdict" not in document
    assert {run["candidate"] for run in document["runs"]} == {"a", "b"}


def test_recommend_answers_under_a_budget(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        bakeoff("recommend", str(known), "--max-latency", "10ms", "--max-params", "5M", "--max-train-time", "2min") == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "Use small: " in said
    assert "big is better by" in said
    assert "p95 latency 20 ms, 10 ms (100 %) over 10 ms" in said


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_recommend_ends_with_1_where_nothing_fits_so_that_scripts_can_ask(
    json_flag: list[str], known: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--min-accuracy", "99%", "--max-macs", "1G", "--max-memory", "1GB"]
    assert bakeoff("recommend", str(known), *limits, *json_flag) == 1
    assert "Nothing fits the budget." in " ".join(capsys.readouterr().out.split())


def test_recommend_gives_json(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("recommend", str(known), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pick"] == "big"
    assert facts["verdict"]["pairs"][0]["decision"] == "better"


def test_a_running_study_is_told_of_in_the_same_words_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = uneven_study(tmp_path, *(Network(name=name, correct=bits(0.9, seeds=2)) for name in "ab"))
    (words,) = study.verdict().progress.sentences()
    assert words.startswith("4 of 6 runs have ended as this is written")
    for command in ("show", "recommend"):
        assert bakeoff(command, str(tmp_path)) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert said.count(words) == 1
        assert f"{words} So far" in said
        assert bakeoff(command, str(tmp_path), "--json") == 0
        facts = json.loads(capsys.readouterr().out)["verdict"]
        assert (facts["runs_left"], facts["sentences"][0]) == (2, words)


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--max-latency", "10", "--max-latency takes a time with its unit"),
        ("--max-memory", "2", "--max-memory takes a size with its unit"),
        ("--min-accuracy", "80", "80 % is 80% or 0.8"),
        ("--difference", "0", "--difference takes percentage points"),
    ],
)
def test_a_budget_that_cannot_be_read_explains_itself(
    known: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str, said: str
) -> None:
    assert bakeoff("recommend", str(known), flag, value) == 2
    assert said in capsys.readouterr().err


def test_power_answers_from_a_spread_and_from_a_study(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("power", "--sd", "0.3", "--difference", "0.5", "--candidates", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["0.50", "points", "10"] for line in lines)
    assert not any("Difference for seeds" in line for line in lines)
    assert bakeoff("power", str(known), "--seeds", "5") == 0
    said = capsys.readouterr().out
    assert "over 10 seeds of 2 candidates" in said
    assert "Difference for seeds" in said


def test_power_takes_no_spread_from_seeds_of_a_candidate_that_an_error_took_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = np.concatenate([bits(accuracy, seeds=1, seed=9) for accuracy in (0.2, 0.4, 0.6)])
    networks = [Network(name=name, correct=bits(0.9, seeds=3, seed=seed)) for seed, name in enumerate("ab")]
    study = uneven_study(tmp_path, *networks, Network(name="c", correct=wild))
    assert bakeoff("power", str(tmp_path)) == 0
    assert "Seeds lie 11.5" in capsys.readouterr().out  # sqrt((2 * 20 ** 2) / 6) points
    left_out = Finding(
        rule="P7",
        title="simple baseline",
        state=State.FIRES,
        severity=Severity.ERROR,
        message="worse than a linear classifier",
        candidates=(study.spec.candidates[2].id,),
    )
    monkeypatch.setattr(Reading, "findings", [left_out])
    assert bakeoff("power", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "over 6 seeds of 2 candidates" in said
    assert "Seeds lie 0." in said
    monkeypatch.setattr(Reading, "findings", [replace(left_out, candidates=())])
    assert bakeoff("power", str(tmp_path)) == 2
    assert "none that an error leaves in the comparison has; give it with --sd" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize("arguments", [(), ("results/x", "--sd", "0.3")])
def test_power_needs_one_spread(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert bakeoff("power", *arguments) == 2
    assert "how far seeds lie apart" in capsys.readouterr().err


def test_a_run_ends_with_its_page_which_tells_the_command(folder: Path) -> None:
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "bakeoff run --data digits --models shufflenet_v2_x0_5" in page


def test_the_same_command_again_trains_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Study(folder).runs()
    assert bakeoff("run", *QUICK, "--lrs", "0.01,0.001", "--seeds", "0,1", "--out", str(folder)) == 0
    assert Study(folder).runs()["finished_at"].tolist() == before["finished_at"].tolist()


def test_a_study_goes_on_from_its_folder(folder: Path) -> None:
    assert bakeoff("run", str(folder)) == 0


def test_a_dry_run_forecasts_shows_what_a_budget_affords_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, budget = tmp_path / "study", ["--protocol", "flops", "--budget", "500 MMACs", "--workers", "2"]
    assert bakeoff("run", *QUICK[:-2], *budget, "--out", str(out), "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing was trained" in said
    for word in ("memory", "disk", "images/s", "In all about"):
        assert word in said
    assert "equal multiply-accumulates of training, as far as whole epochs go: 500 MMACs a run" in said
    assert re.search(r"shufflenet_v2_x0_5: \d+ epochs of [\d.]+ MMACs, [\d.]+ [Mk]MACs left", said)
    assert not out.exists()


def test_a_dry_run_leaves_out_what_has_ended(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("run", str(folder), "--dry-run") == 0
    assert "4 runs ended before; nothing was trained now, and no run is left" in " ".join(
        capsys.readouterr().out.split()
    )
    shutil.copytree(folder, tmp_path / "study")
    with sqlite3.connect(tmp_path / "study" / "results.sqlite") as database:
        database.execute("update runs set status = 'pending' where seed = 1")
    assert bakeoff("run", str(tmp_path / "study"), "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 runs ended before" in said
    assert "In all about" in said


def test_a_dry_run_refuses_what_a_run_refuses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder, tmp_path / "study")
    (tmp_path / "study" / "results.sqlite").write_bytes(b"")
    assert bakeoff("run", str(tmp_path / "study"), "--dry-run") != 0
    assert "results.sqlite" in capsys.readouterr().err
    small = tmp_path / "small.toml"
    small.write_text(
        'format = 1\nname = "small"\nseeds = [0, 1]\n[data]\nsource = "digits"\nlimit = 300\n[recipe]\nepochs = 1\n'
        '[[candidates]]\nmodel = "shufflenet_v2_x0_5"\n'
        "view = { train = { resize = 32, crop = 8, random = true }, evaluate = { resize = 32, crop = 8 } }\n"
    )
    assert bakeoff("run", str(small), "--dry-run") == bakeoff("run", str(small), "--out", str(tmp_path / "other")) == 2
    assert "errors that make training a waste" in capsys.readouterr().err


@pytest.fixture
def _unaudited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that have learned nothing yet are judged all the same."""
    monkeypatch.setattr(Reading, "findings", [])


@pytest.mark.usefixtures("_unaudited")
def test_a_dry_run_of_settling_tells_the_seeds_that_a_verdict_lacks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bakeoff("run", str(folder), "--settle", "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Round 1 to settle it: shufflenet_v2_x0_5 0.01 gets seed" in said
    assert not Study(folder).spec.further_seeds


@pytest.mark.usefixtures("_unaudited")
def test_settling_ends_with_the_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder, tmp_path / "study")
    assert bakeoff("run", str(tmp_path / "study"), "--settle", "--most-seeds", "2") == 0
    captured = capsys.readouterr()
    assert "No more seeds are added." in captured.err
    assert "stay open" in captured.err
    assert "ranked by" in captured.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--models", "resnet81"], ["no network 'resnet81'", "did you mean 'resnet18'"]),
        (["run", "--optimizers", "adma"], ["'adma'", "did you mean 'adam'"]),
        (["run", "--data", "cifar01"], ["'cifar01'", "did you mean 'cifar10'"]),
        (["run", "--lrs", "0"], ["`recipe.learning_rate` must be above 0, but got 0"]),
        (["run", "--lrs", "-0.1"], ["`recipe.learning_rate` must be above 0, but got -0.1"]),
        (["run", "--lrs", "fast"], ["--lrs takes numbers", "'fast'"]),
        (["run", "--epochs", "0"], ["epochs", "got 0"]),
        (["run", "--epochs", "5-3"], ["--epochs takes ranges from low to high", "'5-3'; give 3-5"]),
        (["run", "--optimizers", ","], ["--optimizers takes words", "','", "leave it out"]),
        (["run", "--only", ""], ["--only takes words", "''"]),
        (["run", "--dry-run", "--out", __file__], ["--out takes a folder for a study", "is a file"]),
        (["run", "--seeds", "5--3"], ["--seeds takes ranges from low to high", "'5--3'"]),
        (["run", "--seeds", "0-99999999999999999999"], ["at most 10,000 numbers"]),
        (["run", "--models", "timm/resnet18.bogus"], ["timm knows of resnet18", "'bogus'", "leave it out"]),
        (["data", "--copies"], ["--copies", "name one"]),
        (["show", "nowhere", "--csv", "--json"], ["--csv and --json", "leave one of them out"]),
        (["figures", "nowhere", "--out", "fig.png"], ["--out takes a folder", "'fig.png'"]),
        (["run", "--seeds", "a"], ["--seeds takes whole numbers", "'a'"]),
        (["run", "--schedule", "cosin"], ["did you mean 'cosine'"]),
        (["run", "--precision", "float64"], ["float32, bfloat16", "'float64'"]),
        (["run", "--protocol", "tmie"], ["epochs, time, flops", "did you mean 'time'"]),
        (["run", "--protocol", "time", "--budget", "10"], ["such as 10ms, 90s or 10min", "'10'"]),
        (["run", "--budget", "10min"], ["'10min'", "set protocol to time or flops"]),
        (["run", "--protocol", "time", "--budget", "9s", "--epochs", "3"], ["leave one of them out"]),
        (["run", "--most-seeds", "8"], ["--most-seeds", "add --settle"]),
        (["run", "--stem", "tiny"], ["auto, original, small", "'tiny'"]),
        (["run", "--validation", "0.9999"], ["validation"]),
        (["run", "--limit", "5"], ["limit", "at least 4 pictures"]),
        (["run", "--device", "gpu"], ["auto, cpu, cuda"]),
        (["run", "--only", "vgg"], ["--only", "vgg"]),
        (["run", "nowhere.toml"], ["nowhere.toml"]),
        (["show", "nowhere"], ["study.toml"]),
        (["figures", "nowhere"], ["study.toml"]),
        (["data", "nowhere"], ["'nowhere'"]),
        (["run", "--models", "vit_b_16", "--data", "digits"], ["vit_b_16"]),
    ],
)
def test_bad_input_is_told_with_rule_value_and_exit_code_2(
    arguments: list[str],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bakeoff(*arguments) == 2
    printed = capsys.readouterr().err
    for words in said:
        assert words in printed
    assert "Traceback" not in printed
    assert not list(tmp_path.iterdir())


def test_a_flag_that_takes_a_comma_list_may_be_given_again(capsys: pytest.CaptureFixture[str]) -> None:
    for seeds in (["0", "1-2"], ["0,1", "2"], ["0-2"]):
        assert numbers(seeds, "--seeds", int) == [0, 1, 2]
    assert word_list(["a,b", "c"], "--only") == ["a", "b", "c"]
    assert bakeoff("run", "--models", "resnet81", "--models", "alexnet") == 2
    assert "'resnet81'" in capsys.readouterr().err


def test_names_that_look_like_emoji_codes_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("data", "/nowhere/:rocket:") == 2
    assert ":rocket:" in capsys.readouterr().err


def test_a_terminal_without_the_letters_of_a_name_ends_nothing(tmp_path: Path) -> None:
    stored_study(
        tmp_path / "study", [Network(name="猫", correct=bits(0.9)), Network(name="dog", correct=bits(0.8, seed=2))]
    )
    for form in ((), ("--csv",), ("--json",)):
        command = [sys.executable, "-m", "bakeoff", "show", str(tmp_path / "study"), *form]
        shown = subprocess.run(
            command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=False
        )
        assert (shown.returncode, b"Traceback" in shown.stderr) == (0, False)
        assert any(name in shown.stdout for name in (b"\\u732b", "猫".encode()))


def test_hostile_names_in_errors_are_shown_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "train" / name / f"a\x1b[31m{number}.png").write_bytes(b"")
    assert bakeoff("run", "--data", str(tmp_path), "--out", str(tmp_path / "study")) == 2
    said = capsys.readouterr().err
    assert r"a\x1b[31m1.png" in said
    assert bakeoff("run", "--models", "cat\x1b[2J") == 2
    said += capsys.readouterr().err
    assert r"cat\x1b[2J" in said
    assert "\x1b" not in said


def test_an_unknown_key_in_a_file_is_told_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text("[recipe]\noptimiser = 'adam'\n")
    assert bakeoff("run", str(tmp_path / "study.toml")) == 2
    assert "did you mean 'optimizer'" in capsys.readouterr().err


def test_no_validation_split_is_allowed_and_remarked_upon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = [*QUICK]
    quick[quick.index("--validation") + 1] = "0"
    assert bakeoff("run", *quick, "--lrs", "0.01,0.001", "--out", str(tmp_path / "study")) == 0
    captured = capsys.readouterr()
    assert "P1 selection on the test set (error)" in captured.err
    assert "ranked by test accuracy" in captured.out
    assert bakeoff("show", str(tmp_path / "study"), "--targets", "50%") == 2
    assert "keeps no validation split" in " ".join(capsys.readouterr().err.split())


def test_data_says_what_is_in_a_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("data", "digits") == 0
    said = capsys.readouterr().out
    assert "1,437" in said
    assert "8x8" in said
    assert bakeoff("data") == 0
    assert "cifar100" in capsys.readouterr().out
    assert bakeoff("data", "digits", "--copies") == 0
    assert "no picture is there twice" in capsys.readouterr().out


def test_a_range_of_seeds_that_nobody_means_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("run", "--data", "digits", "--seeds", "0-100000000") == 2
    assert "at most 10,000 numbers, but '0-100000000' is 100,000,001" in " ".join(capsys.readouterr().err.split())


def test_models_lists_the_papers_networks_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("models") == 0
    said = capsys.readouterr().out
    assert said.index("resnet18") < said.index("convnext_base")
    assert "mobilenet_v1" in said


def test_tune_shows_every_layer_pass_and_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("tune", "alexnet", "--input", "8", "--batch-size", "2", "--threads", "1") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for said in ("features.10", "256>256", "to input", "to weight", "library", "matmul*", "dense", "at peak"):
        assert said.removesuffix("*") in shown
    assert "*" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnet81"], "did you mean 'resnet18'"),
        (["resnet18", "--stem", "smal"], "did you mean 'small'"),
        (["resnet18", "--precision", "float16"], "float32, bfloat16"),
        (["alexnet", "--input", "16", "--stem", "original"], "16x16"),
    ],
)
def test_tune_tells_bad_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("tune", *arguments) == 2
    assert said in capsys.readouterr().err


def test_profile_prints_a_table_or_json_and_progress_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        turns, "measure", lambda works, effort, on_progress: [a_cost(rounds=effort.rounds) for _ in works]
    )
    arguments = [
        "profile",
        "shufflenet_v2_x0_5",
        "speednet",
        "--input",
        "16",
        "--stem",
        "original",
        "--no-tune",
        "--quick",
    ]
    assert bakeoff(*arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("shufflenet_v2_x0_5", "speednet", "latency", "16 pixels", "a processor, 1 thread of 2 cores"):
        assert words in shown
    assert bakeoff(*arguments, "--rounds", "2", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["model"] for one in document["models"]] == ["shufflenet_v2_x0_5", "speednet"]
    assert document["models"][0]["cost"]["conditions"]["rounds"] == 2


def test_profile_tells_what_could_not_be_measured_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns, "measure", lambda works, effort, on_progress: [turns.Unmeasured("no\x1b[2J memory")])
    assert bakeoff("profile", "speednet", "--input", "16", "--no-tune") == 1
    assert r"speednet: no\x1b[2J memory" in capsys.readouterr().err


def test_profile_shows_layers_by_formula_and_as_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("profile", "mobilenet_v1", "--layers", "--input", "224") == 0
    shown = capsys.readouterr().out
    for words in ("depthwise", "pointwise", "3·3·32·112·112", "3,612,672"):
        assert words in shown
    assert bakeoff("profile", "mobilenet_v1", "--layers", "--input", "224", "--json") == 0
    layers = json.loads(capsys.readouterr().out)["mobilenet_v1"]
    assert 3_612_672 in [layer["counted"] for layer in layers if layer["kind"] == "depthwise"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnet81"], "did you mean 'resnet18'"),
        (["resnet18", "--stem", "smal"], "auto, original, small"),
        (["resnet18", "--precision", "float16"], "float32, bfloat16"),
        (["alexnet", "--input", "16", "--stem", "original"], "16x16"),
        (["alexnet", "--device", "gpu"], "auto, cpu, cuda"),
        (["resnet81", "--layers"], "did you mean 'resnet18'"),
    ],
)
def test_profile_tells_bad_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bakeoff("profile", *arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_figures_are_drawn_and_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert bakeoff("figures", str(folder), "--out", str(tmp_path)) == 0
    drawn = {path.name for path in tmp_path.iterdir()}
    assert {"accuracy-by-epoch.png", "accuracy-by-epoch.svg"} <= drawn
    assert "accuracy-by-epoch.png" in capsys.readouterr().out


def test_the_studies_that_ship_can_be_read() -> None:
    from bakeoff.spec import DataFacts, StudySpec

    studies = sorted((Path(__file__).parents[1] / "studies").glob("*.toml"))
    assert [study.stem for study in studies] == ["classics", "demo", "realm-of-deep-learning", "speed"]
    cifar = DataFacts(fingerprint="f", size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True)
    runs = {study.stem: StudySpec.from_file(study).resolve(cifar).runs() for study in studies if study.stem != "demo"}
    assert len(runs["realm-of-deep-learning"]) == 8
    assert len(runs["classics"]) == 120
    paper = {
        (run.candidate.model, run.candidate.recipe.optimizer, run.candidate.recipe.epochs)
        for run in runs["realm-of-deep-learning"]
    }
    assert ("mobilenet_v2", "sgd", 30) in paper
    assert {run.candidate.input_size(32) for run in runs["realm-of-deep-learning"]} == {32, 224}
    assert all(run.candidate.evaluate_view.random for run in runs["realm-of-deep-learning"])  # as the paper did
    views = {(run.candidate.train_view, run.candidate.evaluate_view) for run in runs["classics"]}
    assert len(views) == 1  # every candidate sees the same
