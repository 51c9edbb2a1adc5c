"""Rules on statistics: each catches its planted fault, passes a healthy study, and says when it was not run."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bakeoff.analysis.contenders import Contender
from bakeoff.analysis.facts import plain
from bakeoff.analysis.seed_plan import spread_of
from bakeoff.analysis.statistics.intervals import seed_chances, seed_noise
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.audit import Finding, Rule, Severity, State, statistics
from bakeoff.audit.settings import subjects
from bakeoff.audit.statistics_checks import s1_seeds, s2_claims, s3_resolution, s4_stability, s5_multiplicity
from bakeoff.records import RunStatus
from tests.analysis.people import contender
from tests.audit.studies import study
from tests.stored import bits
from tests.synthetic import Run, frames

CLOSE = {"a": 0.9, "b": 0.893, "c": 0.893}
"""Shares of right answers; by themselves the first two differ on a thousand pictures."""

LABELS = {name: f"the {name}" for name in "abcdefghij"}


def fired(finding: Finding, severity: Severity, *words: str) -> None:
    assert (finding.state, finding.severity) == (State.FIRES, severity)
    for word in words:
        assert word in f"{finding.message} {finding.advice}"
    assert finding.threshold
    assert finding.blocks
    assert finding.evidence
    json.dumps(plain(finding), allow_nan=False)


def passed(finding: Finding) -> None:
    assert finding.state is State.PASS, finding.message


def not_run(finding: Finding, why: str) -> None:
    assert finding.state is State.NOT_RUN
    assert why in finding.message


# S1


def test_one_seed_against_five_is_an_error() -> None:
    finding = s1_seeds(statistics.seeds, seeds={"a": 1, "b": 5}, labels=LABELS)
    fired(finding, Severity.ERROR, "the a has 1 seed", "4 more seeds of each would allow a verdict")
    assert finding.candidates == ("a",)


def test_fewer_than_five_seeds_are_a_warning_with_the_time_that_more_would_take() -> None:
    finding = s1_seeds(
        statistics.seeds, seeds={"a": 3, "b": 4, "c": 5}, labels=LABELS, seconds_per_run={"a": 100, "b": 50, "c": 9}
    )
    fired(
        finding,
        Severity.WARNING,
        "the a has 3 of the 5 seeds",
        "2 more seeds of each (about 4 min 10 s of training in all) would allow a verdict on smaller gaps, too",
    )
    assert finding.candidates == ("a", "b")


def test_of_candidates_with_too_few_seeds_those_with_the_fewest_are_counted_and_no_others() -> None:
    finding = s1_seeds(statistics.seeds, seeds={"a": 2, "b": 4, "c": 2}, labels=LABELS)
    fired(finding, Severity.WARNING, "the a and 1 other candidate have 2 of the 5 seeds")
    assert finding.candidates == ("a", "b", "c")


def test_candidates_that_have_some_seeds_but_too_few_are_counted_beside_those_that_have_one() -> None:
    finding = s1_seeds(statistics.seeds, seeds={"a": 1, "b": 3, "c": 4}, labels=LABELS)
    fired(
        finding,
        Severity.ERROR,
        "2 other candidates have fewer than the 5 seeds that a verdict asks for",
        "Up to 4 more seeds of each",
    )
    assert finding.candidates == ("a",)  # an error takes out of the ranking; the others stay in


def test_five_seeds_each_pass() -> None:
    passed(s1_seeds(statistics.seeds, seeds={"a": 5, "b": 5}, labels=LABELS))


@pytest.mark.parametrize("seeds", [None, {}, {"a": 1}])
def test_without_two_candidates_seeds_are_not_checked(seeds: dict[str, int] | None) -> None:
    not_run(s1_seeds(statistics.seeds, seeds=seeds, labels=LABELS), "not two candidates")


def test_a_candidate_whose_runs_all_failed_is_not_passed_with_the_others(tmp_path: Path) -> None:
    of = study()
    ids = [candidate.id for candidate in of.candidates]
    ended = [Run(candidate=one, seed=seed) for one in ids[1:] for seed in range(5)]
    failed = [Run(candidate=ids[0], seed=seed, status=RunStatus.DIVERGED, test=None) for seed in range(5)]
    runs, epochs = frames(tmp_path, *failed, *ended)
    passes, unasked = statistics.seeds.check(study=of, labels=dict.fromkeys(ids, "one"), runs=runs, epochs=epochs)
    passed(passes)
    not_run(unasked, "no seed of resnet18 finished")
    assert unasked.candidates == (ids[0],)


# S2


VERDICT = judge([contender("a", bits(0.95)), contender("b", bits(0.93, seed=2)), contender("c", bits(0.9295, seed=3))])


def test_a_tie_that_is_called_a_winner_is_an_error() -> None:
    finding = s2_claims(statistics.claims, verdict=VERDICT, claims=[("a", "b"), ("b", "c")])
    fired(
        finding,
        Severity.WARNING,
        "the b is said to be better than the c, but the verdict is equivalent",
        "95 % interval",
    )
    assert finding.candidates == ("b", "c")


def test_the_wrong_way_round_fires_too() -> None:
    fired(s2_claims(statistics.claims, verdict=VERDICT, claims=[("b", "a")]), Severity.WARNING, "the a is ")


def test_where_the_opposite_is_shown_nobody_is_told_to_call_it_a_tie() -> None:
    finding = s2_claims(statistics.claims, verdict=VERDICT, claims=[("b", "a")])
    assert (
        "the b is said to be better than the a, but the opposite is shown: the a is 1.91 points ahead"
        in finding.message
    )
    assert "tie" not in finding.advice


def test_claims_that_the_verdict_bears_out_pass_and_so_do_none() -> None:
    passed(s2_claims(statistics.claims, verdict=VERDICT, claims=[("a", "b"), ("a", "c")]))
    passed(s2_claims(statistics.claims, verdict=VERDICT, claims=[]))


def test_claims_that_cannot_be_told_are_not_checked() -> None:
    not_run(s2_claims(statistics.claims, verdict=VERDICT, claims=None), "training accuracy")


# S3


def test_too_few_seeds_for_the_difference_are_told_with_the_number_that_does() -> None:
    finding = s3_resolution(statistics.resolution, seeds=5, sd=0.002, candidates=2, difference=0.002)
    fired(finding, Severity.WARNING, "from 0.40 points on", "0.20 points were said to count", "Use 17 seeds of each.")


@pytest.mark.parametrize(("sd", "difference"), [(0.9, 1e-7), (0.0163, 0.005)])
def test_a_difference_out_of_reach_of_seeds_is_called_so_and_no_absurd_number_is_advised(
    sd: float, difference: float
) -> None:
    finding = s3_resolution(statistics.resolution, seeds=2, sd=sd, candidates=2, difference=difference)
    shown = 100 * 0.5658822 * sd  # 50 seeds of each, by the noncentral t distribution
    fired(finding, Severity.WARNING, f"even 50 of each show {shown:.2f} points", "as a tie", "out of reach")
    assert finding.evidence["seeds_needed"] is None
    assert not re.search(r"Use \d", finding.advice)


def test_the_last_number_of_seeds_that_is_worthwhile_is_advised() -> None:
    sd, at_most = 0.01, 0.0057
    fired(
        s3_resolution(statistics.resolution, seeds=5, sd=sd, candidates=2, difference=at_most),
        Severity.WARNING,
        "Use 50 seeds of each.",
    )


def test_welchs_test_at_five_seeds_shows_a_point() -> None:
    passed(s3_resolution(statistics.resolution, seeds=5, sd=0.002, candidates=2, difference=0.01))
    passed(s3_resolution(statistics.resolution, seeds=5, sd=0.002, candidates=3, difference=0.01))


def test_a_question_that_was_answered_needs_no_more_resolution() -> None:
    passed(s3_resolution(statistics.resolution, seeds=5, sd=0.02, candidates=3, difference=0.001, verdict=VERDICT))
    open_question = judge([contender("a", bits(0.9, seeds=2)), contender("b", bits(0.9, seeds=2, seed=2))])
    finding = s3_resolution(
        statistics.resolution, seeds=2, sd=0.02, candidates=2, difference=0.001, verdict=open_question
    )
    assert finding.state is State.FIRES


def test_without_its_evidence_resolution_is_not_checked() -> None:
    not_run(s3_resolution(statistics.resolution, seeds=5, sd=None, candidates=2, difference=0.01), "not known")
    not_run(s3_resolution(statistics.resolution, seeds=1, sd=0.002, candidates=2, difference=0.01), "one seed")
    not_run(
        s3_resolution(statistics.resolution, seeds=5, sd=0.002, candidates=1, difference=0.01), "not two candidates"
    )
    not_run(
        s3_resolution(statistics.resolution, seeds=None, sd=0.002, candidates=2, difference=0.01), "not two candidates"
    )


# S4


def stability(**correct: np.ndarray) -> Finding:
    return s4_stability(
        statistics.stability,
        accuracies={name: networks.mean(axis=1).tolist() for name, networks in correct.items()},
        noise={name: seed_noise(networks) for name, networks in correct.items() if len(networks) > 1},
        chances={name: seed_chances(networks) for name, networks in correct.items()},
        labels=LABELS,
        seeds={name: [10 + place for place in range(len(networks))] for name, networks in correct.items()},
    )


def by_chance(seed: int, seeds: int = 5, pictures: int = 4000) -> np.ndarray:
    """Networks that err independently, picture by picture."""
    generator = np.random.default_rng(seed)
    return generator.random((seeds, pictures)) < generator.beta(6, 1, pictures)


def test_a_seed_four_points_below_the_others_is_named() -> None:
    networks = by_chance(0)
    networks[3, np.flatnonzero(networks[3])[:160]] = False
    finding = stability(a=networks, b=by_chance(1))
    fired(finding, Severity.WARNING, "the a: seeds lie 1.", "median", "Seed 13 stands apart")
    assert finding.candidates == ("a",)


def test_seeds_that_all_lie_far_apart_are_told_without_naming_one() -> None:
    networks = by_chance(0)
    for place, lost in enumerate((0, 60, 120, 180, 240)):
        networks[place, np.flatnonzero(networks[place])[:lost]] = False
    finding = stability(a=networks)
    fired(finding, Severity.WARNING, "were expected")
    assert "stands apart" not in finding.message


def test_a_seed_that_a_handful_of_pictures_set_apart_is_no_alarm() -> None:
    networks = np.ones((5, 150), bool)
    networks[0, :6] = False  # 96 % where the others have 99 %: six of ten wrong answers fell on one of five seeds
    for place in range(1, 5):
        networks[place, 5 + place] = False
    passed(stability(a=networks, b=networks, c=networks))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_seeds_that_differ_by_chance_hardly_ever_fire(seeds: int) -> None:
    alarms = sum(stability(a=by_chance(number, seeds, 500)).state is State.FIRES for number in range(300))
    assert alarms <= 3


def test_equal_seeds_and_few_are_no_alarm() -> None:
    passed(stability(a=np.ones((3, 50), bool)))
    not_run(stability(a=by_chance(0, seeds=2)), "three finished seeds")
    not_run(
        s4_stability(statistics.stability, accuracies={"a": [0.5, 0.6, 0.7]}, noise={}, chances={}, labels=LABELS),
        "with their predictions",
    )


# S5


def close(name: str, share: float, seed: int, seeds: int = 5) -> Contender:
    return contender(name, bits(share, seed=seed, seeds=seeds, pictures=1000))


def test_a_pair_that_differs_by_itself_and_not_among_all_is_told() -> None:
    verdict = judge([close(name, share, place) for place, (name, share) in enumerate(CLOSE.items())])
    known = verdict.pair("a", "b").comparison
    assert known.p is not None
    assert known.p_adjusted is not None
    assert known.p < 0.05 < known.p_adjusted
    finding = s5_multiplicity(statistics.multiplicity, verdict=verdict, claims=[("a", "b")])
    fired(finding, Severity.WARNING, "the a and the b are said to differ", f"p = {known.p:.2g}", "3 pairs")
    assert finding.candidates == ("a", "b")
    passed(s5_multiplicity(statistics.multiplicity, verdict=verdict, claims=[]))


def test_a_candidate_of_one_seed_takes_nothing_from_a_pair_that_the_verdict_calls_different() -> None:
    single = close("c", 0.85, 2, seeds=1)
    verdict = judge([close("a", CLOSE["a"], 0), close("b", CLOSE["b"], 1), single])
    known = verdict.pair("a", "b").comparison
    assert known.p is not None
    assert known.p == known.p_adjusted
    assert 0.05 / 3 < known.p < 0.05  # not by Holm over all three pairs, of which two cannot be tested
    assert verdict.better("a", "b")
    finding = s5_multiplicity(statistics.multiplicity, verdict=verdict, claims=[("a", "b")])
    passed(finding)
    assert finding.evidence["tested"] == 1


def test_what_the_verdict_says_passes() -> None:
    claims = [one for one in itertools.permutations("abc", 2) if VERDICT.better(*one)]
    assert claims
    passed(s5_multiplicity(statistics.multiplicity, verdict=VERDICT, claims=claims))


def test_without_tests_their_number_is_not_checked() -> None:
    alone = judge([close("a", 0.9, 0, seeds=1), close("b", 0.9, 1, seeds=1)])
    not_run(s5_multiplicity(statistics.multiplicity, verdict=alone, claims=[]), "no pair was tested")


# As asked of a study


def asked(one: Rule, headline: str, verdict: Verdict) -> Finding:
    (finding,) = one.check(study=study(audit={"headline": headline}), verdict=verdict)
    return finding


def by_validation(first: float, second: float) -> Verdict:
    """A verdict on two of a study's networks, the first of which leads on validation."""
    one, other = (group[0].id for group in list(subjects(study()).values())[:2])
    return judge([contender(one, bits(first), validation=0.9), contender(other, bits(second, seed=2), validation=0.8)])


def test_a_leader_on_validation_from_which_conclusions_are_drawn_must_be_shown_to_be_better() -> None:
    fired(asked(statistics.claims, "validation", by_validation(0.93, 0.9295)), Severity.WARNING, "is said to be better")
    passed(asked(statistics.claims, "validation", by_validation(0.95, 0.93)))
    not_run(asked(statistics.claims, "train", by_validation(0.95, 0.93)), "no verdict")
    not_run(asked(statistics.multiplicity, "train", by_validation(0.95, 0.93)), "no verdict")


def test_conclusions_from_the_test_set_are_those_of_the_verdict() -> None:
    for verdict in (by_validation(0.93, 0.9295), by_validation(0.95, 0.93)):
        passed(asked(statistics.claims, "test", verdict))
        passed(asked(statistics.multiplicity, "test", verdict))


def test_resolution_takes_the_spread_that_the_planning_of_seeds_takes() -> None:
    verdict = judge([contender("a", test=[0.9, 0.92, 0.94, 0.91]), contender("b", test=[0.9, 0.905])])
    (finding,) = statistics.resolution.check(study=study(), verdict=verdict)
    assert finding.evidence["sd"] == spread_of(verdict).sd


def test_candidates_whose_predictions_are_missing_are_not_passed_as_stable() -> None:
    one, other = (group[0].id for group in list(subjects(study()).values())[:2])
    verdict = judge([contender(one, bits(0.93)), contender(other, test=[0.9, 0.5, 0.9, 0.9, 0.9])])
    stable, unseen = statistics.stability.check(study=study(), labels={one: "one", other: "the other"}, verdict=verdict)
    passed(stable)
    not_run(unseen, "predictions of seeds of alexnet are missing")
    assert unseen.candidates == (other,)


def test_candidates_of_two_seeds_are_not_passed_as_stable() -> None:
    one, other = (group[0].id for group in list(subjects(study()).values())[:2])
    verdict = judge([contender(one, by_chance(0)), contender(other, by_chance(1, seeds=2))])
    stable, few = statistics.stability.check(study=study(), labels={one: "one", other: "the other"}, verdict=verdict)
    passed(stable)
    not_run(few, "fewer than three seeds of alexnet finished")
    assert few.candidates == (other,)


def test_the_seed_that_stands_apart_is_named_by_its_number_though_another_lacks_its_predictions() -> None:
    networks = by_chance(0)
    networks[3, np.flatnonzero(networks[3])[:160]] = False
    verdict = judge([contender("a", networks, seeds=(1, 2, 4, 7, 8)), contender("b", by_chance(1))])
    (finding,) = statistics.stability.check(study=study(), labels=LABELS, verdict=verdict)
    fired(finding, Severity.WARNING, "Seed 7 stands apart")


@pytest.mark.parametrize("right", [343, 357, 359])
def test_equal_seeds_have_no_spread_however_their_mean_is_rounded(right: int) -> None:
    one = np.tile(np.arange(360) < right, (3, 1))
    verdict = judge([contender("a", one), contender("b", one)])
    (finding,) = statistics.resolution.check(study=study(), verdict=verdict)
    not_run(finding, "how far seeds lie apart is not known")


def test_what_new_pictures_would_change_is_told_beside_what_seeds_show() -> None:
    ask = {"seeds": 30, "sd": 0.002, "candidates": 2, "difference": 0.005}
    few = s3_resolution(statistics.resolution, **ask, picture_margin=0.023)
    passed(few)
    assert "No seed narrows what new pictures would change: 2.30 points either way." in few.message
    assert "new pictures" not in s3_resolution(statistics.resolution, **ask, picture_margin=0.004).message
    wanting = s3_resolution(statistics.resolution, **(ask | {"seeds": 3}), picture_margin=0.023)
    fired(wanting, Severity.WARNING, "seeds of each. No seed narrows")
    beyond = s3_resolution(statistics.resolution, **(ask | {"sd": 0.05}), picture_margin=0.023)
    fired(beyond, Severity.WARNING, "out of reach of seeds", "No seed narrows")
