"""Which candidate is better, which are equivalent, and where there is no winner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bakeoff.analysis import wording
from bakeoff.analysis.comparison import compare
from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.decision import ALPHA, ALPHA_OF_A_LOOK, Decision, Pair, decide
from bakeoff.analysis.facts import plain
from bakeoff.analysis.progress import COMPLETE, Progress
from bakeoff.analysis.ranking import NO_SEED
from bakeoff.analysis.statistics.intervals import (
    Interval,
    SeedNoise,
    accuracy_interval,
    seed_chances,
    seed_interval,
    seed_noise,
)
from bakeoff.analysis.ties import letters, rank_intervals, tie_groups
from bakeoff.errors import SpecError
from bakeoff.spec.audit import SMALLEST_DIFFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One judged candidate."""

    candidate_id: str
    candidate: str
    """Its label."""

    seeds: int
    """Seeds that finished; where predictions of some are missing, only those that have theirs."""

    seed_numbers: tuple[int, ...]
    """Numbers of these seeds, in the order of the accuracies."""

    attempted: int
    """Planned, those that failed or have not finished among them."""

    test_accuracy: float
    """Mean over seeds."""

    test_accuracies: tuple[float, ...]
    validation_accuracy: float | None
    """Mean over seeds; None without a validation split."""

    validation_accuracies: tuple[float, ...]
    """Accuracies of these seeds after the last epoch; empty without a validation split."""

    interval: Interval | None
    """Interval of the test accuracy with new seeds on new pictures (for one seed: of this network on new pictures)."""

    seed_interval: Interval | None
    """Interval of the test accuracy with new seeds on these pictures; None for one seed."""

    noise: SeedNoise | None
    """How far the seeds lie apart and should; None for one seed or without predictions."""

    seed_chances: tuple[float, ...]
    """How likely chance brings each seed so far from the others; empty for one seed or without predictions."""

    ties: str
    """Letters; candidates that share none are separated. Nothing for one that is not ranked."""

    ranks: tuple[int, int] | None
    """The ranks that it would likely take with new seeds on new pictures; None without predictions, or not ranked."""

    unranked: str = ""
    """Why it is not ranked, though what there is of it is compared; nothing if it is ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A candidate that is not judged."""

    candidate_id: str
    candidate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a study shows about its candidates' accuracy.

    The order is by validation accuracy, which decides; the test set, which decided nothing, is the evidence. Winner and
    ties are among the ranked candidates alone.
    """

    candidates: tuple[Standing, ...]
    """The judged candidates, best first; those that are not ranked come last."""

    excluded: tuple[Excluded, ...]
    pairs: tuple[Pair, ...]
    tie_groups: tuple[tuple[str, ...], ...]
    """Ids of ranked candidates of which none is better than another; a candidate may be in several."""

    winner: str | None
    """Id of the ranked candidate that is better than every other."""

    pictures: int
    """Test pictures whose predictions were compared; 0 if none were kept."""

    ranked_by: str
    """`val`, or `test` where no validation split was kept."""

    smallest_difference: float
    alpha: float
    """Chance of a false alarm in the whole study; where it is sequential, of one look."""

    sequential: bool = False
    """Whether results are looked at several times, and seeds added by what they show."""

    missing: tuple[str, ...] = ()
    """Runs whose predictions could not be used, with the reason."""

    progress: Progress = COMPLETE
    """How many of the study's runs have ended; while some have not, all this holds for the time being."""

    @property
    def ranked(self) -> tuple[Standing, ...]:
        """The candidates that are ranked, best first."""
        return tuple(one for one in self.candidates if not one.unranked)

    @property
    def contending(self) -> tuple[Standing, ...]:
        """The candidates among which a choice is made: the ranked ones, or all where none of those judged is ranked."""
        return self.ranked or self.candidates

    def standing(self, candidate_id: str) -> Standing:
        """Return a judged candidate by id."""
        return next(one for one in self.candidates if one.candidate_id == candidate_id)

    def pair(self, one: str, other: str) -> Pair:
        """Return the judgement on two candidates, in whichever order it stands."""
        return next(pair for pair in self.pairs if {pair.comparison.first, pair.comparison.second} == {one, other})

    def better(self, one: str, other: str) -> bool:
        """Return whether the first is better than the second."""
        pair = self.pair(one, other)
        return pair.decision is Decision.BETTER and pair.comparison.first == one

    def equivalent(self, one: str, other: str) -> bool:
        """Return whether two candidates are equivalent."""
        return self.pair(one, other).decision is Decision.EQUIVALENT

    def unbeaten(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the candidates that none (of those given; default those contending) is better than, best first."""
        ids = [one.candidate_id for one in self.contending if among is None or one.candidate_id in among]
        return [one for one in ids if not any(self.better(other, one) for other in ids if other != one)]

    def sentences(self) -> list[str]:
        """Return the verdict in plain words."""
        return wording.of_verdict(self)

    def facts(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values; intervals of differences are of level 1 - alpha."""
        return {
            **plain(self),
            "runs_left": self.progress.runs_left,
            "pairs": [_pair_facts(pair, 1 - self.alpha) for pair in self.pairs],
            "sentences": self.sentences(),
        }

    def __str__(self) -> str:
        return "\n".join(self.sentences())


def judge(
    candidates: Sequence[Contender],
    *,
    excluded: Mapping[str, str] | None = None,
    unranked: Mapping[str, str] | None = None,
    smallest_difference: float = SMALLEST_DIFFERENCE,
    sequential: bool = False,
    ranked_by: str = "val",
    missing: Sequence[str] = (),
    progress: Progress = COMPLETE,
) -> Verdict:
    """Judge every pair of candidates by the rule of `decide`.

    Args:
        candidates: In the order of the ranking.
        excluded: Candidates that are not to be judged, by id, with the reason, such as an error of the audit.
        unranked: Candidates that are compared but not ranked, by id, with the reason, such as a single seed.
        smallest_difference: That counts, a share above 0; to be chosen before looking at results.
        sequential: Whether results are looked at several times, at most `MOST_LOOKS`, and seeds added by what they show:
            each look is then the stricter.
        ranked_by: What the order comes from.
        missing: Runs whose predictions could not be used.
        progress: How many of the study's runs have ended.

    Raises:
        SpecError: If the smallest difference is not above 0 and below 1.
    """
    _check_difference(smallest_difference)
    not_judged = {one.candidate_id: NO_SEED for one in candidates if not one.seeds} | dict(excluded or {})
    not_ranked = dict(unranked or {})
    judged = sorted(
        (one for one in candidates if one.candidate_id not in not_judged),
        key=lambda one: one.candidate_id in not_ranked,
    )
    ranked = [one.candidate_id for one in judged if one.candidate_id not in not_ranked]
    comparisons = compare(judged)
    alpha = ALPHA_OF_A_LOOK if sequential else ALPHA
    tested = sum(one.p is not None for one in comparisons)
    pairs = tuple(decide(one, pairs=tested, smallest=smallest_difference, alpha=alpha) for one in comparisons)
    better = [(p.comparison.first, p.comparison.second) for p in pairs if p.decision is Decision.BETTER]
    separated = [pair for pair in better if set(pair) <= set(ranked)]
    groups = tie_groups(ranked, separated)
    return Verdict(
        candidates=tuple(_standings(judged, letters(groups), not_ranked)),
        excluded=tuple(
            Excluded(candidate_id=one.candidate_id, candidate=one.label, reason=not_judged[one.candidate_id])
            for one in candidates
            if one.candidate_id in not_judged
        ),
        pairs=pairs,
        tie_groups=tuple(map(tuple, groups)),
        winner=_winner(ranked, separated),
        pictures=max((one.correct.shape[1] for one in judged if len(one.correct)), default=0),
        ranked_by=ranked_by,
        smallest_difference=smallest_difference,
        alpha=alpha,
        sequential=sequential,
        missing=tuple(missing),
        progress=progress,
    )


def _check_difference(smallest: float) -> None:
    """Refuse a smallest difference that is none.

    Raises:
        SpecError: If it is not above 0 and below 1.
    """
    if not 0 < smallest < 1:
        raise SpecError(
            "the smallest difference that counts must be above 0 and below 1, which is 100 points, but got "
            f"{smallest:g}; 0.005 is half a point"
        )


def _winner(ranked: Sequence[str], separated: Sequence[tuple[str, str]]) -> str | None:
    """Return the ranked candidate that is better than every other, if there is one."""
    wins = Counter(first for first, _ in separated)
    return next((one for one, count in wins.items() if count == len(ranked) - 1), None)


def _standings(judged: Sequence[Contender], ties: Mapping[str, str], unranked: Mapping[str, str]) -> list[Standing]:
    pictured = [one for one in judged if len(one.correct) and one.candidate_id not in unranked]
    ranks = rank_intervals([one.correct for one in pictured]) if len(pictured) > 1 else []
    by_id = {one.candidate_id: interval for one, interval in zip(pictured, ranks, strict=False)}
    return [
        _standing(one, ties.get(one.candidate_id, ""), by_id.get(one.candidate_id), unranked.get(one.candidate_id, ""))
        for one in judged
    ]


def _standing(one: Contender, ties: str, ranks: tuple[int, int] | None, unranked: str) -> Standing:
    accuracies = tuple(float(accuracy) for accuracy in one.test)
    validation = float(one.validation.mean())
    return Standing(
        candidate_id=one.candidate_id,
        candidate=one.label,
        seeds=len(one.seeds),
        seed_numbers=one.seeds,
        attempted=one.attempted,
        test_accuracy=float(np.mean(accuracies)),
        test_accuracies=accuracies,
        validation_accuracy=None if np.isnan(validation) else validation,
        validation_accuracies=() if np.isnan(validation) else tuple(float(accuracy) for accuracy in one.validation),
        interval=accuracy_interval(one.correct) if one.correct.size > 1 else None,
        seed_interval=seed_interval(accuracies),
        noise=seed_noise(one.correct) if len(one.correct) > 1 else None,
        seed_chances=seed_chances(one.correct) if len(one.correct) > 1 else (),
        ties=ties,
        ranks=ranks,
        unranked=unranked,
    )


def _pair_facts(pair: Pair, level: float) -> dict[str, Any]:
    known = pair.comparison
    interval = known.new_pictures.interval(level) if known.new_pictures else None
    return {
        "first": known.first,
        "second": known.second,
        "decision": pair.decision.value,
        "gap": known.gap,
        "interval": plain(interval),
        "p_seeds": known.welch.p if known.welch else None,
        "p_new_pictures": known.new_pictures.p if known.new_pictures else None,
        "p": known.p,
        "p_adjusted": known.p_adjusted,
        "p_permutation": known.permutation_p,
        "seeds": list(known.seeds),
        "superiority": plain(known.superiority),
        "networks": plain(known.networks),
        "lacking": list(pair.lacking),
        "settling": plain(pair.settling),
    }
