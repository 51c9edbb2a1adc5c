"""A study's page from its folder, from the command line and from Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bakeoff
from bakeoff import cli, reporting
from bakeoff.cli.reports import write_page_of_run
from bakeoff.records import RunResult, RunStatus
from bakeoff.report.page import page_facts
from bakeoff.reporting import material_of, page_of, write_page
from bakeoff.store import Store
from bakeoff.study import Study, predictions_path
from bakeoff.study.folder import DATABASE
from bakeoff.study.provenance import write_down
from tests.stored import Network, bits, stored_study, uneven_study, write_predictions
from tests.synthetic import Run, planned


def command(*arguments: str) -> int:
    before, sys.argv = sys.argv, ["bakeoff", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture
def study(tmp_path: Path) -> Study:
    networks = [Network(name=name, correct=bits(0.9, seeds=2, pictures=200)) for name in ("one", "other")]
    return stored_study(tmp_path / "study", networks)


def test_the_page_is_written_into_the_studys_folder_or_where_it_is_wanted(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("report", str(study.folder)) == 0
    assert command("report", str(study.folder), "--out", str(tmp_path / "there" / "page.html")) == 0
    paths = [Path(line) for line in capsys.readouterr().out.split()]
    assert paths == [study.folder / "report" / "index.html", tmp_path / "there" / "page.html"]
    assert all("other" in path.read_text(encoding="utf-8") for path in paths)


def test_a_study_of_one_seed_each_shows_its_effects_and_claims_none(tmp_path: Path) -> None:
    networks = [Network(name=name, correct=bits(0.9, seeds=1, pictures=200)) for name in ("one", "other")]
    study = uneven_study(tmp_path / "study", *networks, seeds=1)
    effects = page_facts(material_of(study.reading())).effects
    assert [one.factor for one in effects.influences] == ["model"]
    assert "S1 too few seeds" in effects.caveat
    assert effects.caveat in write_page(study).read_text(encoding="utf-8")


def test_python_writes_the_same_page(study: Study, tmp_path: Path) -> None:
    path = bakeoff.write_report(study.folder, out=tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == write_page(study).read_text(encoding="utf-8")


def test_an_unknown_format_is_refused_with_the_known_ones(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("report", str(study.folder), "--format", "htm") == 2
    assert "did you mean 'html'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "name"), [("md", "table.md"), ("latex", "table.tex"), ("csv", "table.csv"), ("json", "table.json")]
)
def test_the_table_is_written_in_other_formats(
    study: Study, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    assert command("report", str(study.folder), "--format", kind) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == study.folder / "report" / name
    assert "other" in path.read_text(encoding="utf-8")


def test_figures_are_written_as_files_of_the_wanted_kind(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("report", str(study.folder), "--format", "svg", "--out", str(tmp_path / "figures")) == 0
    paths = [Path(line) for line in capsys.readouterr().out.split()]
    assert {path.suffix for path in paths} == {".svg"}
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())


@pytest.mark.parametrize("kind", ["html", "md", "latex", "csv", "json"])
def test_a_dash_stands_for_standard_output(
    study: Study, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("report", str(study.folder), "--format", kind, "--out", "file") == 0
    capsysbinary.readouterr()
    assert command("report", str(study.folder), "--format", kind, "--out", "-") == 0
    assert capsysbinary.readouterr().out == (tmp_path / "file").read_bytes()
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["report", "STUDY", "--format", "png"],
        ["report", "STUDY", "--format", "svg"],
        ["figures", "STUDY"],
        ["run", "--data", "digits"],
    ],
)
def test_a_dash_is_refused_where_several_files_are_written(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*[str(study.folder) if one == "STUDY" else one for one in words], "--out", "-") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--out takes a folder for" in said
    assert "but got '-', which stands for standard output; give a folder, such as" in said
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("name", ["fig.png", "fig.SVG", "there/fig.pdf"])
def test_a_file_for_several_figures_is_refused_with_a_folder_in_its_place(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command("report", str(study.folder), "--format", "png", "--out", str(tmp_path / name)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--out takes a folder where figures are drawn" in said
    assert f"such as '{(tmp_path / name).with_suffix('')}'" in said
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["study"]


def test_figures_go_into_any_folder_that_is_there_but_into_no_file(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.png").mkdir()
    assert command("report", str(study.folder), "--format", "svg", "--out", str(tmp_path / "odd.png")) == 0
    assert list((tmp_path / "odd.png").iterdir())
    (tmp_path / "notes").write_text("mine")
    assert command("report", str(study.folder), "--format", "svg", "--out", str(tmp_path / "notes")) == 2
    assert "notes-figures" in capsys.readouterr().err.replace("\n", "")
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize("words", [["report", "--format", "png"], ["figures"]])
def test_a_study_of_which_nothing_can_be_drawn_is_an_error_that_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    folder = stored_study(tmp_path / "study", []).folder
    with Store.create_or_open(folder / DATABASE) as store:
        store.add_runs([planned(Run())])
    assert command(words[0], str(folder), *words[1:]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "figures show epochs of runs" in said
    assert "no run has finished an epoch" in said
    assert not (folder / "report").exists()


def test_a_page_that_cannot_be_written_loses_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object, **__: object) -> Path:
        raise RuntimeError("no more \x1b[31mink")

    monkeypatch.setattr(reporting, "write_page", breaks)
    write_page_of_run(study, None)
    said = capsys.readouterr().err
    assert "The report was not written: no more \\x1b[31mink" in said
    assert f"bakeoff report {study.folder}" in said.replace("\n", "")


def test_what_is_judged_stands_in_the_material(study: Study) -> None:
    known = material_of(study.reading())
    assert known.recommendation is not None
    assert [one.label for one in known.classes] == ["one", "other"]
    assert known.pictures is not None


def test_a_study_that_cannot_be_judged_has_a_page_that_says_why_and_the_table_all_the_same(study: Study) -> None:
    write_predictions(predictions_path(study.folder, "other/0"), bits(0.9, seeds=1, pictures=300)[0])
    with Store.create_or_open(study.folder / DATABASE) as store:
        accuracy = float(bits(0.9, seeds=1, pictures=300).mean())
        store.finish(
            "other/0",
            RunResult(status=RunStatus.DONE, test_loss=0.1, test_accuracy=accuracy, seconds_test=1.0, message=None),
        )
    page = page_of(study.reading())
    assert "There is no verdict: runs that are compared must be tested on the same pictures" in page
    assert "winner" not in [row.mark for row in page_facts(material_of(study.reading())).standings.rows]


def test_how_it_was_made_is_what_the_commands_wrote_down(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert material_of(study.reading()).made.command is None
    for seeds in ("0", "0,1"):
        monkeypatch.setattr(sys, "argv", ["/usr/bin/bakeoff", "run", "--seeds", seeds, "my study"])
        with Store.create_or_open(study.folder / DATABASE) as store:
            write_down(store)
    made = material_of(study.reading()).made
    assert made.command == "bakeoff run --seeds 0 'my study' (and 1 more that went on with it)"
    assert {"Python", "torch", "bakeoff"} <= set(made.versions)


@pytest.mark.parametrize("name", ["results.sqlite", "results.sqlite-wal", "study.toml", "predictions/a.npz", "link"])
@pytest.mark.parametrize("form", ["html", "csv", "png"])
def test_a_report_never_takes_the_place_of_the_studys_own_files(tmp_path: Path, name: str, form: str) -> None:
    folder = stored_study(tmp_path / "own", [Network(name="a", correct=bits(0.5, seeds=1, pictures=40))]).folder
    (folder / "link").symlink_to(folder / DATABASE)
    before = (folder / DATABASE).read_bytes(), (folder / "study.toml").read_bytes()
    assert command("report", str(folder), "--format", form, "--out", str(folder / name)) == 2
    assert ((folder / DATABASE).read_bytes(), (folder / "study.toml").read_bytes()) == before


def test_a_report_may_lie_beside_the_studys_own_files(tmp_path: Path) -> None:
    folder = stored_study(tmp_path / "own", [Network(name="a", correct=bits(0.5, seeds=1, pictures=40))]).folder
    assert command("report", str(folder), "--format", "csv", "--out", str(folder / "mine.csv")) == 0
    assert (folder / "mine.csv").is_file()
