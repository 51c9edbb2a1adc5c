"""Looking again after each round of seeds raises no more false alarms than a study may, however many are compared."""

from __future__ import annotations

import numpy as np
import pytest

from bakeoff.analysis import comparison, verdict
from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.decision import MOST_LOOKS, Decision
from bakeoff.analysis.further_seeds import DEFAULT_MOST_SEEDS, further_seeds
from bakeoff.analysis.statistics.differences import Superiority
from bakeoff.analysis.verdict import Verdict, judge
from tests.analysis.statistics.worlds import World

PICTURES = 4000

LESS_ALIKE = World(unstable=0.3, own=0.3).with_accuracy(0.91)
"""Seeds lie 2.3 points apart, and some pictures are easier for one candidate than for another."""


@pytest.fixture(autouse=True)
def _without_what_only_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what decides nothing and takes most of the time."""
    monkeypatch.setattr(verdict, "rank_intervals", lambda known: [(1, len(known))] * len(known))
    monkeypatch.setattr(verdict, "seed_chances", lambda correct: ())
    monkeypatch.setattr(comparison, "permutation_p", lambda first, second: None)
    monkeypatch.setattr(comparison, "superiority", lambda first, second: Superiority(0.5, None))


def alike(generator: np.random.Generator, candidates: int, seeds: int, sd: float) -> np.ndarray:
    """Return what networks get right to whom the same pictures are hard: hardly more than seeds tells them apart.

    Args:
        generator: Where chance comes from.
        candidates: All of the same true accuracy.
        seeds: Of each.
        sd: By how much seeds differ in quality, a share.
    """
    difficulty = np.linspace(0, 1, PICTURES, dtype=np.float32)
    reached = generator.normal(0.9, sd, (candidates, seeds, 1)).astype(np.float32)
    return difficulty + 0.03 * generator.standard_normal((candidates, seeds, PICTURES), dtype=np.float32) < reached


def less_alike(generator: np.random.Generator, candidates: int, seeds: int) -> np.ndarray:
    seen = LESS_ALIKE.pictures(generator, PICTURES)
    return np.stack([LESS_ALIKE.networks(generator, seen, seeds) for _ in range(candidates)])


def settled(generator: np.random.Generator, correct: np.ndarray, start: int, most: int) -> tuple[Verdict, int]:
    """Add seeds to a study as `bakeoff run --settle` does.

    Args:
        generator: Where chance comes from.
        correct: Shape (candidates, seeds, pictures): what the networks get right that may be trained.
        start: Seeds to begin with.
        most: Seeds of one candidate.

    Returns:
        The last verdict, and how often there was one.
    """
    validation = correct.mean(axis=2) + generator.normal(0, 0.003, correct.shape[:2])
    have = {str(place): start for place in range(len(correct))}
    for look in range(1, MOST_LOOKS + 1):
        known = [
            contender(name, correct[place, :seeds], validation[place, :seeds])
            for place, (name, seeds) in enumerate(have.items())
        ]
        judged = judge(sorted(known, key=lambda one: -one.validation.mean()), sequential=True)
        more = further_seeds(judged, have, most=most, last=look == MOST_LOOKS).seeds
        if not more:
            break
        have = {name: seeds + more.get(name, 0) for name, seeds in have.items()}
    return judged, look


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


def alarmed(judged: Verdict) -> bool:
    """Whether one of some equal candidates was called better than another."""
    return any(pair.decision is Decision.BETTER for pair in judged.pairs)


def most_alarms(studies: int) -> float:
    """Return the share that 5 % do not exceed but with a chance of 2 %."""
    return 0.05 + 2 * (0.05 * 0.95 / studies) ** 0.5


def test_equal_candidates_are_rarely_called_different_though_seeds_are_added_until_they_are() -> None:
    generator = np.random.default_rng(0)
    alarms = [alarmed(settled(generator, alike(generator, 2, 30, sd=0.02), start=3, most=30)[0]) for _ in range(500)]
    assert np.mean(alarms) <= most_alarms(500)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("most", [DEFAULT_MOST_SEEDS, 30])
@pytest.mark.parametrize("start", [2, 3, 5])
@pytest.mark.parametrize("candidates", [2, 4])
def test_the_promise_holds_over_1000_studies(candidates: int, start: int, most: int) -> None:
    for sd in (0.005, 0.01, 0.02):
        generator = np.random.default_rng([candidates, start, most, int(1000 * sd)])
        ends = [settled(generator, alike(generator, candidates, most, sd), start, most)[0] for _ in range(1000)]
        assert np.mean([alarmed(one) for one in ends]) <= most_alarms(1000)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("candidates", [2, 4])
def test_the_promise_holds_where_pictures_tell_candidates_apart(candidates: int) -> None:
    generator = np.random.default_rng(candidates)
    ends = [settled(generator, less_alike(generator, candidates, 30), start=3, most=30)[0] for _ in range(1000)]
    assert np.mean([alarmed(one) for one in ends]) <= most_alarms(1000)
