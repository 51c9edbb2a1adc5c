"""Verdicts on candidates whose truth is known, and what is said of them."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from bakeoff.analysis.further_seeds import further_seeds
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.errors import SpecError, StudyError
from bakeoff.predictions import save_predictions
from bakeoff.study import predictions_path
from tests.analysis.people import contender
from tests.stored import Network, bits, stored_study


@functools.cache
def three(*, seeds: int = 5) -> Verdict:
    return judge(
        [
            contender("best", bits(0.95, seeds=seeds, seed=1)),
            contender("middle", bits(0.93, seeds=seeds, seed=2)),
            contender("twin", bits(0.9295, seeds=seeds, seed=3)),
        ]
    )


def said(verdict: Verdict) -> str:
    return "\n".join(verdict.sentences())


def test_the_winner_is_better_than_every_other() -> None:
    verdict = three()
    assert verdict.winner == "best"
    assert verdict.tie_groups == (("best",), ("middle", "twin"))
    assert [one.ties for one in verdict.candidates] == ["a", "b", "b"]
    assert verdict.better("best", "twin")
    assert not verdict.better("twin", "best")
    assert verdict.equivalent("twin", "middle")
    assert verdict.unbeaten() == ["best"]
    assert verdict.unbeaten(["middle", "twin"]) == ["middle", "twin"]
    assert verdict.pictures == 10_000


def test_the_words_on_a_winner_hold_the_numbers() -> None:
    words = said(three())
    assert "the best, 94.9" in words
    assert "of 10,000 test pictures right (95 % interval 94." in words
    assert "is better than each of the other 2. The nearest is the middle" in words
    assert "with 5 seeds each (95 % interval from +1." in words
    assert "p < 0.001 after Holm" in words


def test_a_standing_holds_what_a_report_needs() -> None:
    best = three().candidates[0]
    assert (best.candidate, best.seeds, best.attempted) == ("the best", 5, 5)
    assert best.interval is not None
    assert best.seed_interval is not None
    assert best.test_accuracy in best.seed_interval
    # New pictures add to what other seeds would do.
    assert best.interval.high - best.interval.low > best.seed_interval.high - best.seed_interval.low
    assert best.noise is not None
    assert best.noise.sd == pytest.approx(np.std(best.test_accuracies, ddof=1))
    assert best.ranks == (1, 1)
    assert best.validation_accuracy == 0.5


def test_the_order_comes_from_validation_and_the_evidence_from_the_test_set() -> None:
    verdict = judge([contender("liked", bits(0.9, seed=1)), contender("true", bits(0.95, seed=2))])
    assert [one.candidate_id for one in verdict.candidates] == ["liked", "true"]
    assert verdict.winner == "true"
    assert verdict.unbeaten() == ["true"]
    assert "the true is better than the liked: 94." in said(verdict)


def test_two_equivalent_candidates_are_called_so() -> None:
    verdict = judge([contender("a", bits(0.93, seed=1)), contender("b", bits(0.9295, seed=2))])
    assert verdict.winner is None
    assert "are equivalent: 9" in said(verdict)
    assert "90 % interval" in said(verdict)
    assert "within the 0.50 points that count" in said(verdict)


def test_no_winner_is_not_equality_and_names_the_seeds_that_would_settle_it() -> None:
    people = [
        contender("a", bits(0.94, seeds=5, seed=1, pictures=1500, blur=0.15)),
        contender("b", bits(0.939, seeds=5, seed=2, pictures=1500, blur=0.15)),
    ]
    verdict = judge(people)
    assert verdict.winner is None
    assert "There is no winner between the a and the b" in said(verdict)
    settling = verdict.pairs[0].settling
    assert settling is not None
    assert f"This does not make them equal: about {settling.further} more seeds of each would settle it." in said(
        verdict
    )


def test_a_gap_that_is_small_beside_what_a_seed_changes_is_a_tie_and_not_a_call_for_hundreds_of_seeds() -> None:
    generator = np.random.default_rng(3)
    difficulty = np.random.default_rng(1).random(10_000)
    reached = (0.90, 0.87, 0.93, 0.90, 0.90)
    first = np.stack([difficulty < one + 0.007 for one in reached]) ^ (generator.random((5, 10_000)) < 0.001)
    second = np.stack([difficulty < one for one in reached]) ^ (generator.random((5, 10_000)) < 0.001)
    verdict = judge([contender("a", first), contender("b", second)])
    settling = verdict.pairs[0].settling
    assert settling is not None
    assert settling.out_of_reach
    assert "more than 50 seeds of each" in said(verdict)
    assert "Treat them as a tie" in said(verdict)
    assert not further_seeds(verdict, {"a": 5, "b": 5}, most=1000).seeds


def test_seeds_that_are_all_but_equal_are_judged_without_a_warning() -> None:
    same = np.repeat(bits(0.9, seeds=1, pictures=500), 5, axis=0)
    nearly = same.copy()
    nearly[0, 0] ^= True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = judge(
            [contender(name, what) for name, what in (("a", same), ("b", nearly), ("c", same), ("d", ~same))]
        )
    assert verdict.winner is None
    assert verdict.pair("a", "c").comparison.p == 1
    assert verdict.better("a", "d")


def test_too_few_pictures_are_told_as_such() -> None:
    generator = np.random.default_rng(0)
    first, second = (np.repeat(generator.random((1, 200)) < share, 5, axis=0) for share in (0.9, 0.86))
    verdict = judge([contender("a", first), contender("b", second)])
    settling = verdict.pairs[0].settling
    assert settling is not None
    assert settling.pictures is not None
    assert f"no number of seeds settles it on so few pictures: about {settling.pictures:,} would" in said(verdict)


def test_with_one_seed_only_two_networks_differ() -> None:
    verdict = judge([contender("a", bits(0.9, seeds=1)), contender("b", bits(0.8, seeds=1))])
    words = said(verdict)
    assert verdict.winner is None
    assert "There is no winner between the a and the b" in words
    assert "by McNemar's test, which speaks of these two networks alone" in words
    assert "Nothing follows for other seeds" in words
    assert "at least 2 more seeds of each" in words
    assert verdict.candidates[0].noise is None
    assert verdict.candidates[0].seed_interval is None
    assert verdict.candidates[0].interval is not None


def test_three_candidates_of_one_seed_have_no_winner_either() -> None:
    verdict = judge([contender(name, bits(share, seeds=1)) for name, share in zip("abc", (0.9, 0.8, 0.7), strict=True)])
    assert verdict.winner is None
    assert verdict.unbeaten() == ["a", "b", "c"]
    assert "There is no single winner" in said(verdict)
    assert "Nothing follows for other seeds" in said(verdict)


def test_a_leader_with_ties_says_who_is_tied_and_who_is_beaten() -> None:
    people = [
        contender("best", bits(0.93, seed=1)),
        contender("twin", bits(0.9295, seed=2)),
        contender("low", bits(0.8)),
    ]
    words = said(judge(people))
    assert "There is no single winner. the best, 92.9" in words
    assert "leads on validation and is better than the low." in words
    assert "the twin is equivalent to it, within 0.50 points." in words


@pytest.mark.parametrize("shares", [(0.95, 0.8), (0.93, 0.93), (0.95, 0.8, 0.7), (0.93, 0.93, 0.93)])
def test_that_the_test_set_chose_too_is_told_whoever_wins(shares: tuple[float, ...]) -> None:
    people = [
        contender(name, bits(share, seed=place)) for place, (name, share) in enumerate(zip("abc", shares, strict=False))
    ]
    assert "The test set both chose and judged" in said(judge(people, ranked_by="test"))
    assert "both chose" not in said(judge(people))


def test_of_one_candidate_nobody_chose() -> None:
    assert "both chose" not in said(judge([contender("a", bits(0.93))], ranked_by="test"))


def test_without_validation_the_sentence_on_a_leader_ends_as_it_should() -> None:
    people = [
        contender(name, test=[mean, mean + 0.001, mean + 0.002])
        for name, mean in (("a", 0.95), ("b", 0.949), ("c", 0.948))
    ]
    assert judge(people, ranked_by="test").sentences()[0] == (
        "There is no single winner. the a, 95.10 % of the test pictures right, leads on the test set."
    )
    people = [
        contender(name, bits(share, seed=place))
        for place, (name, share) in enumerate({"a": 0.95, "b": 0.95, "c": 0.9}.items())
    ]
    assert "leads on the test set and is better than the c." in said(judge(people, ranked_by="test"))


def test_excluded_candidates_are_not_judged_but_named() -> None:
    people = [contender("a", bits(0.95, seed=1)), contender("b", bits(0.9, seed=2)), contender("c", test=[])]
    verdict = judge(people, excluded={"a": "D1 field of view"})
    assert [one.candidate_id for one in verdict.candidates] == ["b"]
    assert not verdict.pairs
    words = said(verdict)
    assert "Not judged: the a: D1 field of view." in words
    assert "Not judged: the c: no seed has finished." in words
    assert "Only the b can be judged" in words


def test_nothing_to_judge_is_said() -> None:
    verdict = judge([contender("a", test=[])])
    assert (verdict.winner, verdict.tie_groups, verdict.pictures) == (None, (), 0)
    assert "There is nothing to judge" in said(verdict)
    assert "nothing to judge" in said(judge([]))


def test_without_predictions_accuracies_alone_decide_nothing() -> None:
    verdict = judge([contender("a", test=[0.95, 0.951, 0.952, 0.95, 0.953]), contender("b", test=[0.5] * 5)])
    assert verdict.winner is None
    assert "without the predictions by picture that a verdict needs" in said(verdict)
    assert verdict.candidates[0].interval is None
    assert verdict.candidates[0].seed_interval is not None
    assert verdict.candidates[0].ranks is None


@pytest.mark.parametrize("smallest", [0.0, -0.01, 1.0, 1e300, float("nan")])
def test_the_smallest_difference_that_counts_is_above_0_and_below_100_points(smallest: float) -> None:
    with pytest.raises(SpecError, match="above 0 and below 1, which is 100 points"):
        judge([], smallest_difference=smallest)


def test_a_larger_smallest_difference_makes_more_of_them_equivalent() -> None:
    people = [contender("a", bits(0.95, seed=1)), contender("b", bits(0.93, seed=2))]
    assert judge(people).winner == "a"
    verdict = judge(people, smallest_difference=0.03)
    assert verdict.winner is None
    assert verdict.equivalent("a", "b")


def test_facts_are_plain_json_with_the_sentences() -> None:
    for verdict in (three(), three(seeds=1), judge([])):
        facts = json.loads(json.dumps(verdict.facts(), allow_nan=False))
        assert facts["sentences"] == verdict.sentences()
        assert len(facts["pairs"]) == len(verdict.pairs)
    pair = three().facts()["pairs"][0]
    assert (pair["first"], pair["second"], pair["decision"]) == ("best", "middle", "better")
    assert pair["interval"]["low"] > 0
    assert str(three()) == "\n".join(three().sentences())


# From a study's folder


def test_a_study_gives_the_verdict_on_what_its_folder_holds(tmp_path: Path) -> None:
    networks = [
        Network(name="low", correct=bits(0.9, seed=1, pictures=2000), validation=0.91),
        Network(name="high", correct=bits(0.94, seed=2, pictures=2000), validation=0.95),
    ]
    verdict = stored_study(tmp_path, networks).verdict()
    assert [one.candidate_id for one in verdict.candidates] == ["high", "low"]
    assert (verdict.winner, verdict.ranked_by, verdict.pictures) == ("high", "val", 2000)
    assert verdict.candidates[0].validation_accuracy == pytest.approx(0.95)
    assert not verdict.missing


def test_a_study_without_a_validation_split_is_judged_on_the_test_set_and_says_so(tmp_path: Path) -> None:
    networks = [
        Network(name=name, correct=bits(0.9, seed=place, pictures=200), validation=None)
        for place, name in enumerate("abc")
    ]
    verdict = stored_study(tmp_path, networks).verdict()
    assert verdict.ranked_by == "test"
    assert verdict.candidates[0].validation_accuracy is None


def test_runs_whose_predictions_are_lost_are_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    study = stored_study(
        tmp_path,
        [
            Network(name="a", correct=bits(0.95, pictures=2000)),
            Network(name="b", correct=bits(0.9, seed=2, pictures=2000)),
        ],
    )
    predictions_path(tmp_path, "a/3").unlink()
    predictions_path(tmp_path, "b/0").write_bytes(b"damaged")
    verdict = study.verdict()
    assert len(verdict.missing) == 2
    assert "a seed 3: no predictions were kept" in said(verdict)
    assert "These seeds are not judged." in said(verdict)
    assert verdict.winner == "a"


def test_means_tests_and_intervals_are_of_the_same_seeds_where_predictions_are_lost(tmp_path: Path) -> None:
    low = bits(0.9, seed=2, pictures=2000)
    low[2] = bits(0.5, seeds=1, seed=3, pictures=2000)
    study = stored_study(
        tmp_path,
        [Network(name="a", correct=bits(0.9, pictures=2000)), Network(name="b", correct=low)],
    )
    predictions_path(tmp_path, "b/2").unlink()
    verdict = study.verdict(smallest_difference=0.02)
    standing = verdict.standing("b")
    assert (standing.seeds, len(standing.test_accuracies), len(standing.seed_chances)) == (4, 4, 4)
    assert standing.test_accuracy in standing.interval
    assert verdict.pair("a", "b").comparison.seeds == (5, 4)
    assert not verdict.equivalent("a", "b")  # that takes five seeds


def test_a_study_of_study_file_and_database_alone_has_no_winner(tmp_path: Path) -> None:
    study = stored_study(
        tmp_path,
        [
            Network(name="a", correct=bits(0.95, pictures=2000)),
            Network(name="b", correct=bits(0.9, seed=2, pictures=2000)),
        ],
    )
    for path in (tmp_path / "predictions").rglob("*.npz"):
        path.unlink()
    verdict = study.verdict()
    assert (verdict.winner, verdict.pictures) == (None, 0)
    assert "restore the folder `predictions` from a copy of the study" in said(verdict)


def test_predictions_for_other_pictures_are_refused(tmp_path: Path) -> None:
    study = stored_study(tmp_path, [Network(name=name, correct=bits(0.9, pictures=100)) for name in "ab"])
    right = bits(0.9, pictures=100)[0]
    labels = np.zeros(100, np.int64)
    logits = np.stack([right, ~right], axis=1).astype(np.float32)
    save_predictions(predictions_path(tmp_path, "b/0"), logits, np.arange(100, 200), labels)
    with pytest.raises(StudyError, match="tested on the same pictures"):
        study.verdict()


def test_a_gap_at_the_smallest_difference_that_counts_is_told_as_that_near() -> None:
    first, second = contender("a", bits(0.93, seeds=3)), contender("b", bits(0.915, seeds=3, seed=2))
    gap = float(first.test.mean() - second.test.mean())
    words = said(judge([first, second], smallest_difference=gap))
    assert (
        "A verdict on a gap of this size asks for 5 seeds of each: about 2 more seeds of each may settle it, so near"
        in words
    )
    assert "differ too little" not in words
