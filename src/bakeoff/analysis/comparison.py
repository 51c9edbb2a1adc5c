"""Every pair of candidates, held against each other by every statistic; judging is the verdict's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.statistics.differences import (
    Gap,
    McNemar,
    Superiority,
    Welch,
    gap_on_new_pictures,
    holm,
    mcnemar,
    permutation_p,
    superiority,
    welch,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two candidates on the test set: what the statistics say, without a judgement."""

    first: str
    """Id of the candidate with the higher mean test accuracy, or of the better ranked where they are equal."""

    second: str
    accuracies: tuple[float, float]
    """Mean test accuracies."""

    seeds: tuple[int, int]
    """Finished seeds."""

    welch: Welch | None
    """Over seeds, on these pictures. None where a candidate has one seed."""

    p_adjusted: float | None = None
    """`p` after Holm, over all pairs of the study that have one.

    A pair without (a candidate has one seed) cannot be called different, so it adds no false alarm, and the number of
    seeds left it out, not its result: it does not count among the pairs.
    """

    permutation_p: float | None = None
    """The exact check on Welch's p; from four seeds on."""

    new_pictures: Gap | None = None
    """The gap with new seeds on new pictures. None where a candidate has one seed, or no predictions were kept."""

    networks: McNemar | None = None
    """McNemar's test of the first network of each, where a candidate has one seed."""

    superiority: Superiority

    @property
    def p(self) -> float | None:
        """The larger p value of two tests that a better candidate passes both: over seeds, and on new pictures.

        Welch's alone would call nearly every pair different: on given pictures nearly every pair is. None where a
        candidate has one seed.
        """
        if self.welch is None:
            return None
        return self.welch.p if self.new_pictures is None else max(self.welch.p, self.new_pictures.p)

    @property
    def gap(self) -> float:
        """How much higher the first's mean test accuracy is, 0 or above."""
        return self.accuracies[0] - self.accuracies[1]


def compare(candidates: Sequence[Contender]) -> list[Comparison]:
    """Return the comparison of every pair, with p values adjusted for their number.

    Args:
        candidates: Those with a finished seed, best ranked first.
    """
    found = [_pair(one, other) for one, other in itertools.combinations(candidates, 2)]
    tested = {place: pair.p for place, pair in enumerate(found) if pair.p is not None}
    for place, p in zip(tested, holm([*tested.values()]), strict=True):
        found[place] = replace(found[place], p_adjusted=p)
    return found


def _pair(one: Contender, other: Contender) -> Comparison:
    first, second = (one, other) if one.test.mean() >= other.test.mean() else (other, one)
    pictured = min(len(first.correct), len(second.correct)) > 0 and first.correct.shape[1] > 1
    single = min(len(first.seeds), len(second.seeds)) == 1
    return Comparison(
        first=first.candidate_id,
        second=second.candidate_id,
        accuracies=(float(first.test.mean()), float(second.test.mean())),
        seeds=(len(first.seeds), len(second.seeds)),
        welch=welch(first.test, second.test),
        permutation_p=permutation_p(first.test, second.test),
        new_pictures=gap_on_new_pictures(first.correct, second.correct) if pictured else None,
        networks=mcnemar(first.correct[0], second.correct[0]) if pictured and single else None,
        superiority=superiority(first.test, second.test),
    )
