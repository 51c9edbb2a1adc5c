"""Seeds are added where the leader's comparisons are open, as many as settle them, and none where they would not."""

from __future__ import annotations

import pytest

from bakeoff.analysis.comparison import Comparison
from bakeoff.analysis.decision import Decision, Pair
from bakeoff.analysis.further_seeds import further_seeds
from bakeoff.analysis.settling import Settling
from bakeoff.analysis.statistics.differences import Superiority, gap_on_new_pictures
from bakeoff.analysis.verdict import Standing, Verdict
from bakeoff.analysis.wording import open_words
from tests.stored import bits

OPEN = Decision.NO_WINNER

NEW_PICTURES = gap_on_new_pictures(bits(0.9, seeds=2, pictures=100), bits(0.8, seeds=2, pictures=100))
"""Of no weight here, but that it is there."""


def standing(name: str, seeds: int) -> Standing:
    return Standing(
        candidate_id=name,
        candidate=f"the {name}",
        seeds=seeds,
        seed_numbers=tuple(range(seeds)),
        attempted=seeds,
        test_accuracy=0.9,
        test_accuracies=(0.9,) * seeds,
        validation_accuracy=0.9,
        validation_accuracies=(0.9,) * seeds,
        interval=None,
        seed_interval=None,
        noise=None,
        seed_chances=(),
        ties="a",
        ranks=None,
    )


def pair(
    first: str,
    second: str,
    decision: Decision = OPEN,
    *,
    seeds: tuple[int, int] = (5, 5),
    gap: float = 0.004,
    predictions: bool = True,
    **needed: int | None,
) -> Pair:
    total = needed.get("total")
    settling = Settling(
        seeds=total, further=None if total is None else total - min(seeds), pictures=needed.get("pictures")
    )
    return Pair(
        comparison=Comparison(
            first=first,
            second=second,
            accuracies=(0.9, 0.9 - gap),
            seeds=seeds,
            welch=None,
            new_pictures=NEW_PICTURES if predictions else None,
            superiority=Superiority(1.0, None),
        ),
        decision=decision,
        settling=settling if decision is OPEN else None,
    )


def verdict(*pairs: Pair) -> Verdict:
    seeds = {}
    for one in pairs:
        seeds |= dict(zip((one.comparison.first, one.comparison.second), one.comparison.seeds, strict=True))
    return Verdict(
        candidates=tuple(standing(name, number) for name, number in sorted(seeds.items())),
        excluded=(),
        pairs=pairs,
        tie_groups=(),
        winner=None,
        pictures=10_000,
        ranked_by="val",
        smallest_difference=0.005,
        alpha=0.05,
    )


def attempted(one: Verdict, **others: int) -> dict[str, int]:
    return {each.candidate_id: each.seeds for each in one.candidates} | others


def test_each_side_of_an_open_pair_gets_what_it_lacks() -> None:
    judged = verdict(pair("a", "b", seeds=(5, 6), total=8))
    found = further_seeds(judged, attempted(judged))
    assert found.seeds == {"a": 3, "b": 2}
    assert found.pairs == (("the a", "the b"),)
    assert not found.beyond


def test_only_the_leaders_open_pairs_count() -> None:
    judged = verdict(
        pair("a", "b", Decision.BETTER),
        pair("a", "c", Decision.BETTER),
        pair("a", "d", total=7),
        pair("b", "c", total=9),
        pair("b", "d", Decision.BETTER),
        pair("c", "d", total=9),
    )
    assert further_seeds(judged, attempted(judged)).seeds == {"a": 2, "d": 2}


def test_a_candidate_in_two_open_pairs_gets_what_the_harder_one_takes() -> None:
    judged = verdict(pair("a", "b", total=7), pair("a", "c", total=9), pair("b", "c", Decision.EQUIVALENT))
    assert further_seeds(judged, attempted(judged)).seeds == {"a": 4, "b": 2, "c": 4}


def test_nothing_is_added_where_nothing_is_open() -> None:
    judged = verdict(pair("a", "b", Decision.BETTER))
    assert not further_seeds(judged, attempted(judged)).seeds
    assert not further_seeds(judged, attempted(judged)).beyond
    alone = Verdict(**{**vars_of(judged), "candidates": judged.candidates[:1], "pairs": ()})
    assert not further_seeds(alone, {"a": 5}).seeds


def vars_of(judged: Verdict) -> dict:
    return {name: getattr(judged, name) for name in Verdict.__dataclass_fields__}


def test_a_pair_beyond_the_bound_gets_no_seed_and_is_told_with_the_remedy() -> None:
    judged = verdict(pair("a", "b", total=40))
    found = further_seeds(judged, attempted(judged), most=10)
    assert not found.seeds
    assert "the a and the b stay open" in found.beyond[0]
    assert "about 35 more seeds of each would settle it" in found.beyond[0]
    assert "--most-seeds 40 allows it" in found.beyond[0]
    assert further_seeds(judged, attempted(judged), most=40).seeds == {"a": 35, "b": 35}


def test_seeds_that_failed_count_towards_the_bound() -> None:
    judged = verdict(pair("a", "b", total=9))
    assert further_seeds(judged, attempted(judged, b=6)).seeds == {"a": 4, "b": 4}
    assert not further_seeds(judged, attempted(judged, b=7)).seeds


def test_the_bound_that_is_advised_allows_what_it_is_advised_for() -> None:
    judged = verdict(pair("a", "b", total=9))
    tried = attempted(judged, a=8, b=8)  # three of each came to nothing
    (words,) = further_seeds(judged, tried, most=10).beyond
    assert "--most-seeds 12 allows it" in words
    assert not further_seeds(judged, tried, most=11).seeds
    assert further_seeds(judged, tried, most=12).seeds == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ((5, 5), "about 7 more seeds of each would settle it"),
        ((5, 12), "about 7 more seeds of the one that has fewer would settle it"),
        ((10, 5), "about 7 more seeds of the one that has fewer and 2 of the other would settle it"),
    ],
)
def test_what_would_settle_a_pair_is_told_of_each_candidate(seeds: tuple[int, int], words: str) -> None:
    assert words in open_words(pair("a", "b", seeds=seeds, total=12))


@pytest.mark.parametrize(("gap", "asked"), [(0.004, 5), (0.03, 3)])
def test_fewer_seeds_than_a_verdict_asks_for_are_filled_up_before_a_pair_is_given_up(gap: float, asked: int) -> None:
    judged = verdict(pair("a", "b", seeds=(2, 2), total=40, gap=gap))
    assert further_seeds(judged, attempted(judged)).seeds == {"a": asked - 2, "b": asked - 2}
    assert not further_seeds(judged, attempted(judged), most=2).seeds


def test_what_few_seeds_foresee_is_not_added_before_as_many_as_a_verdict_asks_for() -> None:
    judged = verdict(pair("a", "b", seeds=(2, 4), total=40))
    assert further_seeds(judged, attempted(judged), most=100).seeds == {"a": 3, "b": 1}


def test_what_no_number_of_seeds_settles_is_told_with_the_pictures_it_takes() -> None:
    judged = verdict(pair("a", "b", total=None, pictures=60_000))
    found = further_seeds(judged, attempted(judged))
    assert not found.seeds
    assert "no number of seeds settles it on so few pictures: about 60,000 would" in found.beyond[0]
    assert "--most-seeds" not in found.beyond[0]


def test_seeds_do_not_stand_in_for_predictions_that_are_lost() -> None:
    judged = verdict(pair("a", "b", seeds=(3, 3), total=5, predictions=False))
    found = further_seeds(judged, attempted(judged))
    assert not found.seeds
    assert "every run's predictions" in found.beyond[0]


def test_at_the_last_look_no_seed_is_added_and_another_study_is_the_remedy() -> None:
    judged = verdict(pair("a", "b", seeds=(5, 6), total=8))
    found = further_seeds(judged, attempted(judged), last=True)
    assert not found.seeds
    assert "the a and the b stay open" in found.beyond[0]
    assert "looked at 3 times at most" in found.beyond[0]
    assert "another study, with 8 seeds of each from the beginning" in found.beyond[0]
