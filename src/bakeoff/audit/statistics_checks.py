"""The checks behind rules S1 to S5: from a verdict, or from what seeds did, to a finding.

Every check is a pure function of evidence given by keyword. Evidence that is None has not been gathered, and the rule
then has not run. Errors here block a claim, such as that one candidate is better than another. A verdict keeps to them
by its own rule, so it needs no candidate to be excluded for them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from bakeoff.analysis.comparison import Comparison
from bakeoff.analysis.decision import ALPHA
from bakeoff.analysis.settling import SEEDS_FOR_A_VERDICT, SEEDS_FOR_A_WIDE_GAP
from bakeoff.analysis.statistics.intervals import SeedNoise
from bakeoff.analysis.statistics.power import WORTHWHILE_SEEDS, pairs, seeds_needed, smallest_difference
from bakeoff.analysis.verdict import Verdict
from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule
from bakeoff.words import duration, plural

Labels = Mapping[str, str]
"""Candidates' short names by id."""

Pair = tuple[str, str]
"""Ids of two candidates; where one is claimed to be better, it stands first."""

UNSTABLE = 0.001
"""Chance that seeds which differ by chance alone are called unstable in a study: by both signs together, and of all its
candidates and seeds (Bonferroni)."""

LONELY = 5.0
"""Robust standard deviations (1.4826 times the median deviation from the median) from which a seed stands apart. Of
five normal seeds one in nine studies has one beyond, since the median deviation of few seeds is often small; so chance
must be ruled out besides."""

LONELY_GAP = 0.01


def s1_seeds(
    asking: Rule, *, seeds: Mapping[str, int] | None, labels: Labels, seconds_per_run: Mapping[str, float] | None = None
) -> Finding:
    """Check that every candidate has enough seeds to be ranked.

    Args:
        asking: The rule that asks.
        seeds: Of each candidate that is compared, by id, how many finished; before training, how many are planned.
        labels: Of the candidates.
        seconds_per_run: What one more seed of each takes, where it is known.
    """
    threshold = f"an error with 1 seed, a warning below {SEEDS_FOR_A_VERDICT}"
    if seeds is None or len(seeds) < 2:
        return asking.not_run("there are not two candidates with seeds to compare")
    few = {one: count for one, count in seeds.items() if count < SEEDS_FOR_A_VERDICT}
    evidence = {"fewest_seeds": min(seeds.values()), "candidates_short_of_seeds": len(few)}
    if not few:
        message = f"Every candidate has {min(seeds.values())} seeds or more."
        return asking.passes(message, evidence=evidence, threshold=threshold)
    fewest, who = min(seeds.values()), min(few, key=few.__getitem__)
    single = fewest < 2
    missing = {one: SEEDS_FOR_A_VERDICT - count for one, count in few.items()}
    who_have = _with_others(labels[who], list(few.values()).count(fewest) - 1)
    message = (
        f"{who_have} {plural(fewest, 'seed')}: networks of one candidate differ by chance, and one says nothing of the next."
        if single
        else f"{who_have} {fewest} of the {SEEDS_FOR_A_VERDICT} seeds that a verdict asks for (3 do for gaps above 2 points)."
    )
    touched = tuple(one for one, count in few.items() if count < 2 or not single)
    if others := len(few) - len(touched):
        have = "candidate has" if others == 1 else "candidates have"
        message += f" {others} other {have} fewer than the {SEEDS_FOR_A_VERDICT} seeds that a verdict asks for."
    most = max(missing.values())
    each = (
        f"{plural(most, 'more seed')} of each" if most == min(missing.values()) else f"Up to {most} more seeds of each"
    )
    on = " on smaller gaps, too" if fewest >= SEEDS_FOR_A_WIDE_GAP else ""
    advice = f"{each}{_time(missing, seconds_per_run)} would allow a verdict{on}."
    return asking.fires(
        Severity.ERROR if single else Severity.WARNING,
        message,
        candidates=touched,
        evidence=evidence,
        threshold=threshold,
        advice=advice,
    )


def _with_others(name: str, more: int) -> str:
    return f"{name} and {plural(more, 'other candidate')} have" if more else f"{name} has"


def _time(missing: Mapping[str, int], seconds_per_run: Mapping[str, float] | None) -> str:
    if seconds_per_run is None or not missing.keys() <= seconds_per_run.keys():
        return ""
    return (
        f" (about {duration(sum(count * seconds_per_run[one] for one, count in missing.items()))} of training in all)"
    )


def s2_claims(asking: Rule, *, verdict: Verdict, claims: Collection[Pair] | None) -> Finding:
    """Check that no candidate is said to be better than another without the evidence.

    Args:
        asking: The rule that asks.
        verdict: On the candidates.
        claims: Who of them is said to be better than whom; empty if nobody is, None if that cannot be told.
    """
    threshold = f"enough seeds, p < {verdict.alpha:g} after Holm over seeds and on new pictures, the smallest difference that counts"
    if claims is None:
        return asking.not_run("conclusions are drawn from training accuracy, on which there is no verdict")
    judged = {one.candidate_id: one.candidate for one in verdict.candidates}
    wrong = [pair for pair in claims if not verdict.better(*pair)]
    evidence = {"claims": len(claims), "claims_without_evidence": len(wrong)}
    if not wrong:
        message = f"{plural(len(claims), 'claim')} of a better candidate, all shown."
        return asking.passes(message, evidence=evidence, threshold=threshold)
    better, worse = wrong[0]
    known, decision = verdict.pair(better, worse).comparison, verdict.pair(better, worse).decision
    gap = known.new_pictures.interval(1 - verdict.alpha) if known.new_pictures else None
    between = f", {100 * gap.level:g} % interval {100 * gap.low:+.2f} to {100 * gap.high:+.2f} points" if gap else ""
    reversed_ = verdict.better(worse, better)
    shown = "the opposite is shown" if reversed_ else f"the verdict is {decision}"
    message = (
        f"{judged[better]} is said to be better than {judged[worse]}, but {shown}: "
        f"{judged[known.first]} is {100 * known.gap:.2f} points ahead on the test set{between}."
    )
    touched = tuple(dict.fromkeys(itertools.chain.from_iterable(wrong)))
    advice = (
        "Look for what makes validation pictures unlike the test set's; until then trust neither order."
        if reversed_
        else "Call it a tie, or add the seeds that settle it."
    )
    return asking.fires(
        Severity.WARNING, message, candidates=touched, evidence=evidence, threshold=threshold, advice=advice
    )


def s3_resolution(
    asking: Rule,
    *,
    seeds: int | None,
    sd: float | None,
    candidates: int | None,
    difference: float,
    verdict: Verdict | None = None,
    picture_margin: float | None = None,
) -> Finding:
    """Check that the seeds can show the difference that matters.

    Args:
        asking: The rule that asks.
        seeds: Of the candidate with fewest, planned or finished.
        sd: Standard deviation of accuracy between seeds, a share; of a study before, or of this one's.
        candidates: That are compared.
        difference: The smallest that counts, a share.
        verdict: Where there is one in which every pair is settled, the question has been answered.
        picture_margin: How far new pictures alone would move a difference, a share; None where that is not known.
    """
    threshold = "the smallest difference that the seeds show with a chance of 80 % <= the smallest that counts"
    if seeds is None or candidates is None or candidates < 2:
        return asking.not_run("there are not two candidates with seeds to compare")
    if seeds < 2:
        return asking.not_run("one seed shows no difference of any size (S1)")
    alpha = (ALPHA if verdict is None else verdict.alpha) / pairs(candidates)
    if verdict is not None and verdict.pairs and not any(pair.settling for pair in verdict.pairs):
        return asking.passes(
            "Every pair of candidates is settled.", evidence={"pairs": len(verdict.pairs)}, threshold=threshold
        )
    if sd is None or not sd > 0:
        return asking.not_run("how far seeds lie apart is not known")
    shown = smallest_difference(seeds, sd, alpha=alpha)
    needed = seeds_needed(difference, sd, alpha=alpha)
    evidence: dict[str, Any] = {
        "seeds": seeds,
        "sd": sd,
        "smallest_shown": shown,
        "smallest_that_counts": difference,
        "alpha": alpha,
        "picture_margin": picture_margin,
    }
    of_all = f"{plural(seeds, 'seed')} of each of {candidates} candidates"
    seen = (
        f"{of_all} show differences from {100 * shown:.2f} points on" if shown <= 1 else f"{of_all} show no difference"
    )
    apart = f"seeds lie {100 * sd:.2f} points apart"
    by_pictures = (
        f" No seed narrows what new pictures would change: {100 * picture_margin:.2f} points either way."
        if picture_margin is not None and picture_margin > difference
        else ""
    )
    if shown <= difference:
        return asking.passes(f"{seen} ({apart}).{by_pictures}", evidence=evidence, threshold=threshold)
    message = f"{seen} ({apart}), but {100 * difference:.2f} points were said to count."
    if needed is not None and needed <= WORTHWHILE_SEEDS:
        advice = f"Use {needed} seeds of each.{by_pictures}"
        return asking.fires(
            Severity.WARNING, message, evidence=evidence | {"seeds_needed": needed}, threshold=threshold, advice=advice
        )
    reachable = smallest_difference(WORTHWHILE_SEEDS, sd, alpha=alpha)
    advice = (
        f"So small a difference is out of reach of seeds here: even {WORTHWHILE_SEEDS} of each show {100 * reachable:.2f} points. "
        "Treat candidates without a winner as a tie and choose by cost, or train for longer, which often brings seeds closer together."
        f"{by_pictures}"
    )
    evidence |= {"seeds_needed": None, "worthwhile_seeds": WORTHWHILE_SEEDS, "worthwhile_shown": reachable}
    return asking.fires(Severity.WARNING, message, evidence=evidence, threshold=threshold, advice=advice)


def s4_stability(
    asking: Rule,
    *,
    accuracies: Mapping[str, Sequence[float]],
    noise: Mapping[str, SeedNoise],
    chances: Mapping[str, Sequence[float]],
    labels: Labels,
    seeds: Mapping[str, Sequence[int]] | None = None,
) -> Finding:
    """Check that seeds do not lie farther apart than chance explains. No seed is ever dropped.

    Args:
        asking: The rule that asks.
        accuracies: Test accuracies of each candidate's seeds, by id.
        noise: How far they should lie apart, by id, as `statistics.intervals.seed_noise` gives it; whoever is missing
            is not checked.
        chances: How likely chance brings each seed so far from the others, as `statistics.intervals.seed_chances` gives
            it, in the order of the accuracies.
        labels: Of the candidates.
        seeds: Their numbers, in the order of the accuracies, to name the one that stands apart.
    """
    threshold = (
        f"variance seen / expected and each seed's distance such as chance brings in all but {UNSTABLE:g} of studies"
    )
    checked = [one for one in accuracies if one in noise and len(accuracies[one]) >= 3]
    if not checked:
        return asking.not_run("no candidate has three finished seeds with their predictions")
    granted = UNSTABLE / 2 / len(checked)  # to each of the two signs
    lonely = {one: place for one in checked if (place := _lonely(accuracies[one], chances[one], granted)) is not None}
    unstable = [one for one in checked if one in lonely or noise[one].ratio > _most_ratio(noise[one].seeds, granted)]
    worst = max(checked, key=lambda one: _comparable(noise[one].ratio))
    evidence: dict[str, Any] = {
        "checked": len(checked),
        "unstable": len(unstable),
        "largest_ratio": _comparable(noise[worst].ratio),
    }
    if not unstable:
        return asking.passes("Seeds lie as far apart as chance makes them.", evidence=evidence, threshold=threshold)
    who = worst if worst in unstable else unstable[0]
    its = [100 * accuracy for accuracy in accuracies[who]]
    message = (
        f"{labels[who]}: seeds lie {100 * noise[who].sd:.2f} points apart where {100 * noise[who].expected_sd:.2f} were expected, from "
        f"{min(its):.2f} to {max(its):.2f} %, median {float(np.median(its)):.2f} %."
    )
    if who in lonely:
        place = lonely[who]
        number = seeds[who][place] if seeds else f"number {place + 1}"
        message += f" Seed {number} stands apart with {its[place]:.2f} %."
    advice = (
        "Look at the curves of the seeds that lie apart; a lower learning rate or a warm-up makes training steadier."
    )
    return asking.fires(
        Severity.WARNING, message, candidates=tuple(unstable), evidence=evidence, threshold=threshold, advice=advice
    )


def _most_ratio(seeds: int, granted: float) -> float:
    """Return the ratio of variances that chance exceeds with the probability that it is granted."""
    return float(scipy.stats.chi2.isf(granted, seeds - 1)) / (seeds - 1)


def _comparable(ratio: float) -> float:
    return 0.0 if math.isnan(ratio) else ratio


def _lonely(accuracies: Sequence[float], chances: Sequence[float], granted: float) -> int | None:
    """Return the place of the seed that stands apart from the others, if one does."""
    away = np.abs(np.asarray(accuracies, float) - np.median(accuracies))
    place = int(away.argmax())
    stands_apart = away[place] > max(LONELY_GAP, LONELY * 1.4826 * float(np.median(away)))
    return place if stands_apart and chances[place] < granted / len(accuracies) else None


def s5_multiplicity(asking: Rule, *, verdict: Verdict, claims: Collection[Pair]) -> Finding:
    """Check that claims of a difference hold among all pairs that were tested, and not each by itself alone.

    Args:
        asking: The rule that asks.
        verdict: On the candidates; it tests every pair of which both have two seeds, and adjusts for their number.
        claims: Pairs of them that are said to differ.
    """
    threshold = f"Holm's p < {verdict.alpha:g} over all pairs that were tested"
    tested = sum(pair.comparison.p is not None for pair in verdict.pairs)
    if not tested:
        return asking.not_run("no pair was tested")
    wrong = [pair for pair in claims if _alone(verdict.pair(*pair).comparison, verdict.alpha)]
    evidence: dict[str, Any] = {"tested": tested, "claims": len(claims), "claims_too_many": len(wrong)}
    if not wrong:
        message = f"{plural(len(claims), 'claim')} among {plural(tested, 'tested pair')}."
        return asking.passes(message, evidence=evidence, threshold=threshold)
    known = verdict.pair(*wrong[0]).comparison
    first, second = (verdict.standing(one).candidate for one in (known.first, known.second))
    message = (
        f"{first} and {second} are said to differ, which they do as a pair by itself (p = {known.p:.2g}), but not among the "
        f"{tested} pairs that were tested (p = {known.p_adjusted:.2g} after Holm)."
    )
    evidence |= {"p": known.p, "p_adjusted": known.p_adjusted}
    touched = tuple(dict.fromkeys(itertools.chain.from_iterable(wrong)))
    return asking.fires(
        Severity.WARNING,
        message,
        candidates=touched,
        evidence=evidence,
        threshold=threshold,
        advice="Claim what the verdict shows after Holm.",
    )


def _alone(known: Comparison, alpha: float) -> bool:
    """Return whether two candidates differ if theirs is the only pair, and no longer with all others."""
    return known.p is not None and known.p_adjusted is not None and known.p < alpha <= known.p_adjusted
