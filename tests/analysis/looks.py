"""Studies to which seeds are added until they are settled, simulated: `python -m tests.analysis.looks` makes the record.

It takes a quarter of an hour on two cores; docs/statistics.md has the table.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from bakeoff.analysis import comparison, verdict
from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.decision import MOST_LOOKS, Decision
from bakeoff.analysis.further_seeds import DEFAULT_MOST_SEEDS, further_seeds
from bakeoff.analysis.statistics.differences import Superiority
from bakeoff.analysis.verdict import Verdict, judge

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "settling.json"

PICTURES = 4000


@contextlib.contextmanager
def without_what_only_describes() -> Iterator[None]:
    """Leave out what decides nothing and takes most of the time."""
    with (
        mock.patch.object(verdict, "rank_intervals", lambda known: [(1, len(known))] * len(known)),
        mock.patch.object(verdict, "seed_chances", return_value=()),
        mock.patch.object(comparison, "permutation_p", return_value=None),
        mock.patch.object(comparison, "superiority", return_value=Superiority(0.5, None)),
    ):
        yield


def alike(generator: np.random.Generator, candidates: int, seeds: int, sd: float, apart: float = 0.0) -> np.ndarray:
    """Return what networks get right to whom the same pictures are hard: hardly more than seeds tells them apart.

    Args:
        generator: Where chance comes from.
        candidates: How many.
        seeds: Of each.
        sd: By how much seeds differ in quality, a share.
        apart: By how much the first is better than the others, a share.
    """
    difficulty = np.linspace(0, 1, PICTURES, dtype=np.float32)
    reached = generator.normal(0.9, sd, (candidates, seeds, 1)).astype(np.float32)
    reached[0] += apart
    return difficulty + 0.03 * generator.standard_normal((candidates, seeds, PICTURES), dtype=np.float32) < reached


def settled(correct: np.ndarray, validation: np.ndarray, start: int, most: int, *, stricter: bool = True) -> Verdict:
    """Add seeds to a study as `bakeoff run --settle` does.

    Args:
        correct: Shape (candidates, seeds, pictures): what the networks get right that may be trained.
        validation: Shape (candidates, seeds): their validation accuracies.
        start: Seeds to begin with.
        most: Seeds of one candidate.
        stricter: Whether each look is tested at the level of three looks, as `--settle` does, and not at 5 %.

    Returns:
        The last verdict.
    """
    have = {str(place): start for place in range(len(correct))}
    for look in range(1, MOST_LOOKS + 1):
        known = [
            contender(name, correct[place, :seeds], validation[place, :seeds])
            for place, (name, seeds) in enumerate(have.items())
        ]
        judged = judge(sorted(known, key=lambda one: -one.validation.mean()), sequential=stricter)
        more = further_seeds(judged, have, most=most, last=look == MOST_LOOKS).seeds
        if not more:
            break
        have = {name: seeds + more.get(name, 0) for name, seeds in have.items()}
    return judged


def validated(generator: np.random.Generator, correct: np.ndarray) -> np.ndarray:
    """Return the networks' accuracies on other pictures."""
    noise: np.ndarray = generator.normal(0, 0.003, correct.shape[:2])
    return correct.mean(axis=2) + noise


def contender(name: str, correct: np.ndarray, validation: np.ndarray) -> Contender:
    return Contender(
        candidate_id=name,
        label=name,
        attempted=len(correct),
        seeds=tuple(range(len(correct))),
        test=correct.mean(axis=1),
        validation=validation,
        correct=correct,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Studies of one kind, and how many of them are told so."""

    told: str
    """`better` or `equivalent`."""

    sd: float
    """By how much seeds differ in quality, a share."""

    start: int
    most: int
    candidates: int = 2
    apart: float = 0.0
    """By how much the first candidate is better than the others, a share."""

    studies: int = 2000

    def measured(self) -> dict[str, object]:
        """Return the shares that are told so, with each look at 5 % and as it is."""
        generator = np.random.default_rng(
            [self.candidates, self.start, self.most, int(1e4 * self.sd), int(1e4 * self.apart)]
        )
        decision, at_5_percent, as_it_is = Decision(self.told), 0, 0
        with without_what_only_describes():
            for _ in range(self.studies):
                correct = alike(generator, self.candidates, self.most, self.sd, self.apart)
                validation = validated(generator, correct)
                for stricter in (False, True):
                    judged = settled(correct, validation, self.start, self.most, stricter=stricter)
                    told = any(pair.decision is decision for pair in judged.pairs)
                    at_5_percent += told and not stricter
                    as_it_is += told and stricter
        shares = {"at_5_percent": at_5_percent / self.studies, "as_it_is": as_it_is / self.studies}
        return asdict(self) | shares


CELLS = [
    *(
        Cell(told="better", sd=sd, start=start, most=most)
        for most in (DEFAULT_MOST_SEEDS, 30)
        for sd in (0.005, 0.01, 0.02)
        for start in (2, 3, 5)
    ),
    *(Cell(told="better", sd=0.02, start=3, most=most, candidates=4) for most in (DEFAULT_MOST_SEEDS, 30)),
    Cell(told="equivalent", sd=0.003, start=5, most=30, apart=0.005, studies=1500),
    *(Cell(told="better", sd=0.005, start=3, most=most, apart=0.01, studies=1000) for most in (DEFAULT_MOST_SEEDS, 30)),
]
"""False alarms of better and of equivalent among candidates that are neither, and how often a point is found."""


def measure() -> None:
    """Simulate all cells, a process each for two at once, and write the record."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = []
        for one in pool.imap(Cell.measured, CELLS):
            sys.stdout.write(f"{json.dumps(one)}\n")
            sys.stdout.flush()
            found.append(one)
    RECORD.write_text(json.dumps({"pictures": PICTURES, "cells": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    measure()
