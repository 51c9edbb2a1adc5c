"""Which candidates need how many more seeds for the verdict to be settled, within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.analysis.decision import MOST_LOOKS, Decision, Pair
from bakeoff.analysis.settling import seeds_asked
from bakeoff.analysis.verdict import Verdict
from bakeoff.analysis.wording import open_words

DEFAULT_MOST_SEEDS = 10
"""Seeds of one candidate in all, unless more are allowed. At a spread of 0.2 points, which is usual for CIFAR-10, ten show a
gap of 0.3 points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherSeeds:
    """What would settle a verdict."""

    seeds: dict[str, int]
    """How many more by candidate id; none where nothing is open, or no number within the bound settles it."""

    pairs: tuple[tuple[str, str], ...] = ()
    """The labels of the candidates between whom they are to decide."""

    beyond: tuple[str, ...] = ()
    """The open pairs that seeds within the bound do not settle, in a sentence or two each."""


def further_seeds(
    verdict: Verdict, attempted: Mapping[str, int], *, most: int = DEFAULT_MOST_SEEDS, last: bool = False
) -> FurtherSeeds:
    """Return how many more seeds the verdict asks for, of the candidates that it concerns.

    Only pairs of the leader (the first that none is better than) with another count: they decide which candidate to
    use. A pair with fewer seeds than a verdict asks for is first brought to those: so few say little of how many it takes.

    Args:
        verdict: As it stands.
        attempted: By candidate id, the seeds that it has, whatever became of them.
        most: Seeds of one candidate in all.
        last: Whether results are looked at for the last time, so that no seeds may be added.
    """
    names = {one.candidate_id: one.candidate for one in verdict.candidates}
    wanted: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []
    beyond: list[str] = []
    for pair in _open(verdict):
        first, second = names[pair.comparison.first], names[pair.comparison.second]
        more = _within(pair, attempted, most)
        if more is None:
            beyond.append(f"{first} and {second} stay open. {open_words(pair)}{_bound(pair, attempted, most)}")
            continue
        if last:
            beyond.append(f"{first} and {second} stay open. {open_words(pair)} {_another_study(pair, more)}")
            continue
        pairs.append((first, second))
        for one, number in more.items():
            wanted[one] = max(wanted.get(one, 0), number)
    return FurtherSeeds(seeds=wanted, pairs=tuple(pairs), beyond=tuple(beyond))


def _open(verdict: Verdict) -> list[Pair]:
    if len(verdict.candidates) < 2:
        return []
    leader = verdict.unbeaten()[0]
    # With a candidate that is not ranked a pair is open too: its seeds are what it lacks.
    pairs = [pair for pair in verdict.pairs if leader in (pair.comparison.first, pair.comparison.second)]
    return [pair for pair in pairs if pair.decision is Decision.NO_WINNER]


def _within(pair: Pair, attempted: Mapping[str, int], most: int) -> dict[str, int] | None:
    """Return the seeds to add by candidate id; None if seeds within the bound do not settle the pair."""
    known = pair.comparison
    if _lacks_predictions(pair):
        return None
    finished = dict(zip((known.first, known.second), known.seeds, strict=True))
    for target in (seeds_asked(known.gap), pair.settling.seeds if pair.settling else None):
        more = {one: target - has for one, has in finished.items() if has < target} if target is not None else {}
        if more and all(attempted[one] + number <= most for one, number in more.items()):
            return more
    return None


def _lacks_predictions(pair: Pair) -> bool:
    """Whether seeds are not what a verdict lacks, but what each got right of them that are there."""
    return pair.comparison.new_pictures is None and min(pair.comparison.seeds) > 1


def _another_study(pair: Pair, more: Mapping[str, int]) -> str:
    seeds = min(pair.comparison.seeds) + max(more.values())
    return (
        f"But results are looked at {MOST_LOOKS} times at most while seeds are added, so that looking makes no false alarms: "
        f"another study, with {seeds} seeds of each from the beginning, would decide."
    )


def _bound(pair: Pair, attempted: Mapping[str, int], most: int) -> str:
    """Say which bound would allow what settles a pair: seeds that came to nothing count towards it, too."""
    if pair.settling is None or pair.settling.seeds is None or _lacks_predictions(pair):
        return ""
    known, target = pair.comparison, pair.settling.seeds
    finished = zip((known.first, known.second), known.seeds, strict=True)
    needed = max(attempted[one] + max(0, target - has) for one, has in finished)
    return f" That is beyond the {most} seeds that a candidate may have here; --most-seeds {needed} allows it."
