"""Verdicts in plain words: two or three sentences with their numbers, and no more than follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bakeoff.analysis.comparison import Comparison
from bakeoff.analysis.decision import ALPHA, MOST_LOOKS, Decision, Pair
from bakeoff.analysis.settling import seeds_asked
from bakeoff.analysis.statistics.intervals import Interval
from bakeoff.analysis.statistics.power import WORTHWHILE_SEEDS
from bakeoff.words import percent, plural

if TYPE_CHECKING:
    from bakeoff.analysis.verdict import Standing, Verdict

AFTER_HOLM = "after Holm, the larger of two tests"
"""What the p value of a pair is."""

NAMED = 3
"""Candidates named in one sentence; more are counted."""


def of_verdict(verdict: Verdict) -> list[str]:
    """Return a verdict as sentences: what was found, what would settle what is open, who is not ranked or judged.

    Of a study whose runs have not all ended, how far it has come is told first, and what was found holds so far.
    """
    contending = verdict.contending
    if not contending:
        nothing = so_far(verdict, "There is nothing to judge")
        said = [f"{nothing}: no candidate has a finished seed that may be judged."]
    elif len(contending) == 1:
        said = [_alone(verdict, contending[0])]
    elif len(contending) == 2:
        said = _of_two(verdict, verdict.pair(*(one.candidate_id for one in contending)))
    else:
        said = _of_many(verdict)
    return [*verdict.progress.sentences(), *said, *_on_the_test(verdict), *_on_looks(verdict), *left_out(verdict)]


def _on_the_test(verdict: Verdict) -> list[str]:
    """Say that the evidence chose, too, where no validation split did."""
    if verdict.ranked_by != "test" or len(verdict.contending) < 2:
        return []
    return [
        "The test set both chose and judged, as there is no validation split: the best accuracies tend to be too high."
    ]


def _on_looks(verdict: Verdict) -> list[str]:
    """Say why pairs are tested more strictly than at 5 %, where they are."""
    if not (verdict.sequential and verdict.pairs):
        return []
    return [
        f"Seeds are added by what results show, so each of up to {MOST_LOOKS} looks at them is tested at {100 * verdict.alpha:g} % "
        f"instead of {100 * ALPHA:g} %."
    ]


def so_far(verdict: Verdict, opening: str) -> str:
    """Return how a sentence begins that the rest of a study's runs may change; unchanged once all have ended.

    Args:
        verdict: That the sentence is of.
        opening: Its first words; nothing where it begins with a name, which stays as it is spelt.
    """
    return f"So far {opening[:1].lower()}{opening[1:]}" if verdict.progress.runs_left else opening


def left_out(verdict: Verdict) -> list[str]:
    """Return who is not ranked or not judged, and which predictions could not be used, a sentence for each reason."""
    if not verdict.missing:
        return apart(verdict)
    more = f" and {len(verdict.missing) - NAMED} more" if len(verdict.missing) > NAMED else ""
    missing = f"Predictions are missing: {'; '.join(verdict.missing[:NAMED])}{more}."
    without = [" These seeds are not judged."] if verdict.pictures else []
    return [*apart(verdict), "".join([missing, *without])]


def apart(verdict: Verdict) -> list[str]:
    """Return who is not ranked or not judged, a sentence for each reason."""
    return _not_ranked(verdict) + [
        f"Not judged: {', '.join(names)}: {reason}."
        for reason, names in _by_reason((one.candidate, one.reason) for one in verdict.excluded).items()
    ]


def _not_ranked(verdict: Verdict) -> list[str]:
    known = _by_reason((one.candidate, one.unranked) for one in verdict.candidates if one.unranked)
    if len(known) == 1 and not verdict.ranked:
        return [f"No candidate is ranked: {reason}." for reason in known]
    return [f"Not ranked: {', '.join(names)}: {reason}." for reason, names in known.items()]


def _by_reason(known: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return names by the reason that they have, without its full stop."""
    found: dict[str, list[str]] = {}
    for name, reason in known:
        found.setdefault(reason.rstrip("."), []).append(name)
    return found


def _alone(verdict: Verdict, standing: Standing) -> str:
    what = "judged" if len(verdict.candidates) == 1 else "ranked"
    return (
        f"{so_far(verdict, 'Only')} {standing.candidate} can be {what}, so there is nothing to compare: "
        f"{accuracy_words(standing, verdict.pictures)}, {plural(standing.seeds, 'seed')}."
    )


def accuracy_words(standing: Standing, pictures: int) -> str:
    """Return how many test pictures a candidate gets right, with its interval for new ones."""
    of = f" of {pictures:,} test pictures" if pictures else " of the test pictures"
    interval = standing.interval
    return f"{percent(standing.test_accuracy)}{of} right" + (f" ({_range(interval)})" if interval else "")


def _range(interval: Interval) -> str:
    return f"{100 * interval.level:g} % interval {100 * interval.low:.2f} to {percent(interval.high)}"


def _of_two(verdict: Verdict, pair: Pair) -> list[str]:
    first, second = (verdict.standing(one).candidate for one in (pair.comparison.first, pair.comparison.second))
    between = f"{_against(pair.comparison)} of {_pictures(verdict)}"
    if pair.decision is Decision.BETTER:
        return [f"{so_far(verdict, '')}{first} is better than {second}: {between}, {_evidence(pair, verdict)}."]
    if pair.decision is Decision.EQUIVALENT:
        return [f"{so_far(verdict, '')}{first} and {second} are equivalent: {between}, {_evidence(pair, verdict)}."]
    return [
        f"{so_far(verdict, 'There is')} no winner between {first} and {second}: {between}, {_evidence(pair, verdict)}.",
        open_words(pair),
    ]


def _pictures(verdict: Verdict) -> str:
    return f"{verdict.pictures:,} test pictures" if verdict.pictures else "the test pictures"


def _against(comparison: Comparison) -> str:
    return f"{100 * comparison.accuracies[0]:.2f} against {percent(comparison.accuracies[1])}"


def _evidence(pair: Pair, verdict: Verdict) -> str:
    """Say what a judgement rests on, with the interval that its kind is judged by."""
    comparison = pair.comparison
    if comparison.networks is not None:
        networks = comparison.networks
        first, second = (verdict.standing(one).candidate for one in (comparison.first, comparison.second))
        return (
            f"{networks.only_first:,} of which only this network of {first} gets right and {networks.only_second:,} only that of "
            f"{second} ({p_value(networks.p)} by McNemar's test, which speaks of these two networks alone)"
        )
    if comparison.new_pictures is None:
        return "without the predictions by picture that a verdict needs"
    level = 1 - (2 if pair.decision is Decision.EQUIVALENT else 1) * verdict.alpha
    interval = comparison.new_pictures.interval(level)
    gap = f"{points(comparison.gap)} apart with {_seeds(comparison)} each"
    between = f"from {100 * interval.low:+.2f} to {100 * interval.high:+.2f} with new seeds and new pictures"
    within = f", within the {points(verdict.smallest_difference)} that count"
    tested = f"; {p_value(comparison.p_adjusted)} {AFTER_HOLM}"
    tail = within if pair.decision is Decision.EQUIVALENT else tested
    return f"{gap} ({100 * level:g} % interval {between}{tail})"


def on_p_values(verdict: Verdict) -> str:
    """Return how the p value and the interval in a verdict's sentences go together; nothing where no p value is told."""
    if not any(AFTER_HOLM in one for one in of_verdict(verdict)):
        return ""
    tested = sum(pair.comparison.p_adjusted is not None for pair in verdict.pairs)
    raised = f" and is raised for the {tested} pairs that were tested (Holm)" if tested > 1 else ""
    return (
        "The interval is of that pair alone, for new seeds and new pictures. The p value is the larger of two tests, for "
        f"new seeds on these pictures and for new seeds on new pictures{raised}: it can be above {verdict.alpha:g} where "
        "the interval leaves out 0."
    )


def _seeds(comparison: Comparison) -> str:
    first, second = comparison.seeds
    return plural(first, "seed") if first == second else f"{first} and {second} seeds"


def points(share: float) -> str:
    """Return a difference of accuracies in percentage points."""
    return f"{100 * share:.2f} points"


def p_value(p: float | None) -> str:
    """Return a p value as it is read."""
    if p is None:
        return "no p value"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def open_words(pair: Pair) -> str:
    """Say what would settle a pair without a winner."""
    needed = pair.settling
    if needed is None or (pair.comparison.new_pictures is None and min(pair.comparison.seeds) > 1):
        return (
            "It takes every run's predictions to judge: restore the folder `predictions` from a copy of the study, "
            "or delete the study and run it again."
        )
    if needed.at_least:
        return (
            "Nothing follows for other seeds: one network of a candidate says little of the next. "
            f"A verdict asks for at least {_more_seeds(pair)}."
        )
    if needed.out_of_reach:
        return (
            f"It would take more than {WORTHWHILE_SEEDS} seeds of each to settle it, which is out of reach: beside what a seed changes, "
            "they differ too little. Treat them as a tie, and choose by cost."
        )
    if needed.further is not None:
        asked, more = seeds_asked(pair.comparison.gap), f"about {_more_seeds(pair)} would settle it"
        if needed.near:
            more = (
                f"about {_more_seeds(pair)} may settle it, so near does it lie to the smallest difference that counts"
            )
        if min(pair.comparison.seeds) < asked:
            enough = min(pair.comparison.seeds) + needed.further <= asked
            return f"A verdict on a gap of this size asks for {asked} seeds of each{'' if enough else ', and this one for more'}: {more}."
        return f"This does not make them equal: {more}."
    if needed.pictures is not None:
        return f"This does not make them equal, and no number of seeds settles it on so few pictures: about {needed.pictures:,} would."
    return "This does not make them equal: they lie so near the smallest difference that counts that no number of seeds settles it."


def _more_seeds(pair: Pair) -> str:
    """Return how many seeds either candidate lacks of those that would settle a pair."""
    assert pair.settling is not None
    most, least = sorted((max(0, (pair.settling.seeds or 0) - has) for has in pair.comparison.seeds), reverse=True)
    if most == least:
        return f"{plural(most, 'more seed')} of each"
    fewer = f"{plural(most, 'more seed')} of the one that has fewer"
    return f"{fewer} and {least} of the other" if least else fewer


def _of_many(verdict: Verdict) -> list[str]:
    names = {one.candidate_id: one.candidate for one in verdict.contending}
    leader = verdict.unbeaten()[0]
    best = verdict.standing(leader)
    others = [one for one in names if one != leader]
    beaten = [one for one in others if verdict.better(leader, one)]
    head = f"{best.candidate}, {accuracy_words(best, verdict.pictures)},"
    if len(beaten) == len(others):
        nearest = min((verdict.pair(leader, one) for one in others), key=lambda pair: pair.comparison.gap)
        return [
            f"{so_far(verdict, '')}{head} is better than each of the other {len(others)}. "
            f"The nearest is {names[nearest.comparison.second]}: {_against(nearest.comparison)}, {_evidence(nearest, verdict)}."
        ]
    tied = [one for one in others if one not in beaten]
    equivalent = [names[one] for one in tied if verdict.equivalent(leader, one)]
    unsettled = [one for one in tied if not verdict.equivalent(leader, one)]
    leads = f"{_leads(verdict, leader)}{_better_than([names[one] for one in beaten])}"
    said = [f"{so_far(verdict, 'There is')} no single winner. {head} {leads}."]
    if equivalent:
        within = points(verdict.smallest_difference)
        said.append(
            f"{listed_briefly(equivalent)} {'is' if len(equivalent) == 1 else 'are'} equivalent to it, within {within}."
        )
    if unsettled:
        pair = verdict.pair(leader, unsettled[0])
        apart = _evidence(pair, verdict) if pair.comparison.new_pictures else f"{points(pair.comparison.gap)} apart"
        against = listed_briefly([names[one] for one in unsettled])
        said.append(f"Against {against} there is no winner: it and {names[unsettled[0]]} are {apart}.")
        said.append(open_words(pair))
    return said


def _leads(verdict: Verdict, leader: str) -> str:
    if verdict.ranked_by == "test":
        return "leads on the test set"
    if leader == verdict.contending[0].candidate_id:
        return "leads on validation"
    return "leads on validation among those that none beats"


def _better_than(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" and is better than {listed_briefly(names)}"


def listed_briefly(names: Sequence[str]) -> str:
    """Return names as a list in a sentence; beyond the first few they are counted."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
