"""Who cannot be told apart from whom, and which ranks are possible."""

from __future__ import annotations

import itertools
import string
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.analysis.statistics.intervals import Bits

RANK_DRAWS = 1_000
DRAWS_AT_ONCE = 100
"""Bootstrap draws of pictures that are computed in one matrix product, in a tenth of the time of a product for each."""


def tie_groups(order: Sequence[str], separated: Collection[tuple[str, str]]) -> list[list[str]]:
    """Return the largest groups of candidates of which no two are separated; groups may overlap.

    Ties are not transitive: A and B may be tied, and B and C, while A is better than C. By inserting one separation
    after another into one group of all, and absorbing what lies within another group (Piepho 2004, Journal of
    Computational and Graphical Statistics 13). The number of groups can grow fast only where separations contradict
    any order, which differences of means do not.

    Args:
        order: All candidates, best first; decides the order within and among groups.
        separated: Pairs, in either direction, of which one is better.
    """
    groups = [frozenset(order)] if order else []
    for pair in separated:
        halves = [group - {one} for group in groups if group >= set(pair) for one in pair]
        kept = [group for group in groups if not group >= set(pair)]
        groups = _absorbed([*kept, *halves])
    places = {candidate: place for place, candidate in enumerate(order)}
    return sorted(
        (sorted(group, key=places.__getitem__) for group in groups), key=lambda group: [places[c] for c in group]
    )


def _absorbed(groups: list[frozenset[str]]) -> list[frozenset[str]]:
    distinct = list(dict.fromkeys(groups))
    return [group for group in distinct if not any(group < other for other in distinct)]


def letters(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the letters of each candidate's groups: `a`, `ab`, `b`; two that share no letter are separated."""
    names = [*string.ascii_lowercase, *("".join(pair) for pair in itertools.product(string.ascii_lowercase, repeat=2))]
    joint = "" if len(groups) <= len(string.ascii_lowercase) else "."
    members = dict.fromkeys(itertools.chain.from_iterable(groups))
    return {one: joint.join(names[place] for place, group in enumerate(groups) if one in group) for one in members}


def rank_intervals(candidates: Sequence[Bits], *, level: float = 0.95) -> list[tuple[int, int]]:
    """Return the ranks that each candidate would take with new seeds on new pictures, as the middle `level` of them.

    By a bootstrap that draws pictures and, crossed with them, seeds within each candidate. k - 1 of k seeds are drawn,
    which makes the variance of their mean unbiased (McCarthy and Snowden 1985); noise that each seed has on each
    picture counts twice, so the intervals are a little wide (Owen 2007, The pigeonhole bootstrap). One seed does not
    vary: its candidate's interval is that of one network.

    Args:
        candidates: Of each, shape (seeds, pictures), of the same pictures in the same order.
        level: The share of draws between the two ranks.
    """
    generator = np.random.default_rng(0)  # the same results give the same ranks
    seeds = [len(correct) for correct in candidates]
    results = np.concatenate(candidates).T.astype(np.float32)
    pictures = len(results)
    by_run = np.concatenate([_drawn(generator, pictures) @ results for _ in range(RANK_DRAWS // DRAWS_AT_ONCE)])
    by_run /= pictures
    bounds = np.cumsum([0, *seeds])
    means = np.empty((RANK_DRAWS, len(candidates)))
    for place, count in enumerate(seeds):
        taken = max(1, count - 1)
        weights = generator.multinomial(taken, np.full(count, 1 / count), RANK_DRAWS) / taken
        means[:, place] = (by_run[:, bounds[place] : bounds[place + 1]] * weights).sum(axis=1)
    ranks = 1 + (means[:, None, :] > means[:, :, None] + 1e-9).sum(axis=2)
    low, high = np.quantile(ranks, [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf")
    return [(int(one), int(other)) for one, other in zip(low, high, strict=True)]


def _drawn(generator: np.random.Generator, pictures: int) -> NDArray[np.float32]:
    """Return how often each picture comes in as many draws as there are pictures, `DRAWS_AT_ONCE` times."""
    places = generator.integers(pictures, size=(DRAWS_AT_ONCE, pictures))
    return np.stack([np.bincount(one, minlength=pictures) for one in places]).astype(np.float32)
