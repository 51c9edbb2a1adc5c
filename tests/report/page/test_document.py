"""The page as a file: what it may not hold, what it must, and how large it may be."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakeoff.analysis.pictures import Pictures
from bakeoff.audit import Finding, Severity, State
from bakeoff.records import RunStatus
from bakeoff.report.page import Made, Material, document, page_facts, scripts
from bakeoff.report.page.embedding import json_text
from bakeoff.words import clean
from tests.report.page.building import (
    HOSTILE,
    classes_of,
    material,
    of_frames,
    pictures_of,
    views_of,
)
from tests.synthetic import Run

MEGABYTE = 1_000_000


class Reader(HTMLParser):
    """Reads a page as a browser does, roughly: its elements, its texts, its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and not self.scripts[-1]:
            self.scripts[-1] = data
        else:
            self.text += data

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def read(known: Material) -> Reader:
    return Reader(document(page_facts(known)))


def hostile(folder: Path) -> Material:
    """A study all of whose names want to be more than text."""
    finding = Finding(
        rule="D1", title=HOSTILE, state=State.FIRES, severity=Severity.ERROR, message=HOSTILE, advice=HOSTILE,
        threshold=HOSTILE, blocks=HOSTILE, candidates=(HOSTILE,), evidence={HOSTILE: HOSTILE},
    )  # fmt: skip
    pictures = replace(pictures_of(*[HOSTILE] * 4, views_of(HOSTILE)), missing=HOSTILE)
    runs = [Run(candidate=HOSTILE, model=HOSTILE, seed=seed, message=HOSTILE) for seed in (0, 1)]
    failed = Run(candidate="b", status=RunStatus.FAILED, message=HOSTILE)
    return material(
        folder,
        *runs,
        failed,
        findings=[finding, replace(finding, silenced=HOSTILE), replace(finding, state=State.NOT_RUN)],
        no_verdict=HOSTILE,
        pictures=pictures,
        classes=classes_of([HOSTILE, "b"], HOSTILE),
        made=Made(command=HOSTILE, git=HOSTILE, versions={HOSTILE: HOSTILE}, hardware=HOSTILE),
    )


def test_no_name_becomes_markup_or_a_program(tmp_path: Path) -> None:
    page = read(hostile(tmp_path))
    assert [attributes.get("type") for attributes in page.tags("script")] == ["application/json", None, None]
    assert tuple(page.scripts[1:]) == scripts()
    assert all(
        attributes["src"] and attributes["src"].startswith("data:image/png;base64,") for attributes in page.tags("img")
    )
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not page.tags("b")
    assert page.text.count("window.hacked = 1") > 10


def test_names_are_read_as_they_are(tmp_path: Path) -> None:
    page = read(hostile(tmp_path))
    assert clean(HOSTILE) in page.text
    assert "\u202e" not in page.text
    known = json.loads(page.scripts[0])
    assert known["candidates"][0][0] == clean(HOSTILE)
    assert known["classes"]["names"][0] == clean(HOSTILE)


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028\u2029", "]]>", "&lt;", '"\\'])
def test_json_in_a_page_is_plain_ascii_without_angles(text: str) -> None:
    written = str(json_text({text: text}))
    assert json.loads(written) == {text: text}
    assert written.isascii()
    assert not set("<>&") & set(written)


def test_the_policy_lets_nothing_be_fetched_and_only_the_pages_programs_run(tmp_path: Path) -> None:
    page = read(material(tmp_path, Run()))
    policy = (
        next(one["content"] for one in page.tags("meta") if one.get("http-equiv") == "Content-Security-Policy") or ""
    )
    kept = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert kept["default-src"] == "'none'"
    assert kept["img-src"] == "data: blob:"
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in page.scripts[1:]]
    assert kept["script-src"].split() == [f"'sha256-{one}'" for one in digests]
    assert not re.search(r"https?:", policy)


def test_the_page_asks_for_nothing_by_its_elements(tmp_path: Path) -> None:
    page = read(hostile(tmp_path))
    asked = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href") and value
    ]
    assert all(value.startswith(("#", "data:")) for value in asked)


def test_a_server_may_add_to_a_page_and_then_sends_the_policy_itself(tmp_path: Path) -> None:
    page = document(page_facts(material(tmp_path, Run())), head="<style>.x{}</style>", top="<p id='bar'></p>")
    assert "Content-Security-Policy" not in page
    assert page.index(".x{}") < page.index("</head>") < page.index("id='bar'") < page.index("<main")


def test_the_page_can_be_read_without_programs(tmp_path: Path) -> None:
    text = read(material(tmp_path, Run(), no_verdict="nobody judged")).text
    for told in ("There is no verdict: nobody judged.", "alpha", "60.00 %", "55.00 %", "11.2 M", "not recorded"):
        assert told in text


def test_headings_do_not_skip_a_level(tmp_path: Path) -> None:
    levels = [int(tag[1]) for tag, _ in read(hostile(tmp_path)).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


# Odd studies


ODD = {
    "one run": [Run()],
    "nothing has begun": [Run(status=RunStatus.PENDING, test=None)],
    "all runs failed": [
        Run(seed=seed, status=RunStatus.FAILED, train=(), val=(), test=None, message="out of memory") for seed in (0, 1)
    ],
    "losses are not numbers": [
        Run(loss=[math.nan] * 3, status=RunStatus.DIVERGED, test=None),
        Run(candidate="b", loss=[1, math.inf, 2]),
    ],
    "no validation": [Run(val=None)],
    "one epoch": [Run(train=[0.5], val=[0.5])],
}


@pytest.mark.parametrize("runs", ODD.values(), ids=ODD)
def test_every_study_has_a_page(tmp_path: Path, runs: list[Run]) -> None:
    page = read(material(tmp_path, *runs))
    assert [attributes["id"] for attributes in page.tags("section")] == [
        "verdict", "table", "curves", "trade-offs", "effects", "classes", "views", "findings", "made",
    ]  # fmt: skip
    assert "alpha" in page.text
    assert "nan" not in page.text.lower().replace("nano", "")


def test_what_a_sentence_has_in_backticks_is_code_and_text_all_the_same(tmp_path: Path) -> None:
    advice = "Give `bakeoff audit --deep` or `<b onclick=x>`, not ` alone."
    finding = Finding(rule="D1", title="t", state=State.FIRES, severity=Severity.NOTE, message="m", advice=advice)
    page = read(material(tmp_path, Run(), findings=[finding]))
    assert len(page.tags("code")) == 2
    assert "Give bakeoff audit --deep or <b onclick=x>, not ` alone." in page.text
    assert not page.tags("b")


def test_a_study_without_any_run_has_a_page(tmp_path: Path) -> None:
    assert "No candidate has a run yet." in read(material(tmp_path)).text


def test_missing_pictures_are_told_with_the_reason(tmp_path: Path) -> None:
    assert (
        "the pictures have gone"
        in read(material(tmp_path, Run(), pictures=Pictures(missing="the pictures have gone"))).text
    )


# Size


def large(candidates: int, seeds: int, epochs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of a large study, with numbers of full length, without a database: its upserts would take minutes."""
    random = np.random.default_rng(0)
    ids = [(f"candidate-{place:03d}", seed) for place in range(candidates) for seed in range(seeds)]
    runs = pd.DataFrame(
        {
            "run_id": [f"{place:016x}" for place in range(len(ids))],
            "position": range(len(ids)),
            "candidate_id": [name for name, _ in ids],
            "label": [f"efficientnet_v2_s adamw 0.000316228 one_cycle 60 epochs batch 128 {name}" for name, _ in ids],
            "model": "efficientnet_v2_s",
            "seed": [seed for _, seed in ids],
            "parameters": 20_190_298,
            "macs": 2_876_543_210,
            "status": "done",
            "message": None,
            "test_loss": random.random(len(ids)),
            "test_accuracy": random.random(len(ids)),
            "seconds_test": random.random(len(ids)),
            "started_at": pd.Timestamp("2026-01-01"),
            "finished_at": pd.Timestamp("2026-01-02"),
        }
    )
    spec = {"candidate": {"recipe": {"optimizer": "adamw", "learning_rate": 0.000316228, "batch_size": 128}}}
    runs = runs.assign(spec=[spec] * len(runs), changes=[[]] * len(runs), numerics=[None] * len(runs))
    records = {name: random.random(len(runs) * epochs) for name in (
        "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds_train", "seconds_evaluate", "seconds_wait",
    )}  # fmt: skip
    fixed = {"steps": 391, "images": 50_000, "learning_rate": 0.000316228, "micro_batch": 128}
    epoch = np.tile(np.arange(1, epochs + 1), len(runs))
    return runs, pd.DataFrame(
        {"run_id": np.repeat(runs["run_id"], epochs).to_numpy(), "epoch": epoch, **records, **fixed}
    )


@pytest.mark.parametrize(("candidates", "seeds"), [(80, 5), (400, 1)])
def test_400_runs_of_60_epochs_take_under_12_megabytes(candidates: int, seeds: int) -> None:
    page = document(page_facts(of_frames(*large(candidates, seeds, 60), remarks=[])))
    assert len(page.encode()) < 12 * MEGABYTE
