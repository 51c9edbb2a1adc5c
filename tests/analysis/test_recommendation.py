"""Recommendations on a stored study whose truth is known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.analysis.budget import Budget, amount, costs_of
from bakeoff.analysis.pareto import dominates, pareto_front
from bakeoff.analysis.recommendation import Recommendation, recommend
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.analysis.wording import open_words
from bakeoff.errors import SpecError
from bakeoff.study import Study
from tests.analysis.people import contender
from tests.stored import Network, bits, stored_study


def measured(latency: float, memory: int) -> dict[str, Any]:
    """What a profile holds, from milliseconds and megabytes."""
    return {
        "latency_p50": 0.9e-3 * latency,
        "latency_p95": 1e-3 * latency,
        "peak_memory_inference": 1_000_000 * memory,
        "energy_per_image": None,
    }


SEEDS = {"big": 1, "slow": 2, "twin": 3, "small": 4, "tiny": 5}


def known(name: str, accuracy: float, validation: float, **costs: Any) -> Network:
    return Network(name=name, correct=bits(accuracy, seed=SEEDS[name], pictures=4000), validation=validation, **costs)


# Of two equal ones, one is twice as fast; one is better and slower; one was never timed.
NETWORKS = [
    known("big", 0.95, 0.951, parameters=25_000_000, macs=4_000_000_000, minutes=60, costs=measured(30, 900)),
    known("slow", 0.9301, 0.932, parameters=11_000_000, macs=555_000_000, minutes=20, costs=measured(12, 400)),
    known("twin", 0.93, 0.931, parameters=5_000_000, macs=300_000_000, minutes=25, costs=measured(6, 300)),
    known("small", 0.90, 0.9, parameters=2_000_000, macs=80_000_000, minutes=8, costs=measured(3, 100)),
    known("tiny", 0.80, 0.8, parameters=500_000, macs=20_000_000, minutes=4),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return stored_study(tmp_path_factory.mktemp("known"), NETWORKS)


def said(found: Recommendation) -> str:
    return "\n".join(found.sentences())


BUDGETS: list[tuple[str, dict[str, float], str | None, str | None]] = [
    ("without a limit, the best", {}, "big", "slow"),
    ("of two equivalent ones, the faster", {"max_latency": 0.015}, "twin", "slow"),
    ("what was never timed does not fit", {"max_latency": 0.004}, "small", None),
    ("by size, it does", {"max_parameters": 3e6}, "small", "tiny"),
    ("two limits at once", {"max_train_time": 600, "min_accuracy": 0.88}, "small", None),
    ("by memory and multiply-accumulates", {"max_memory": 350e6, "max_macs": 100e6}, "small", None),
    ("accuracy that only the best reaches", {"min_accuracy": 0.94}, "big", None),
    ("nothing fits", {"max_latency": 0.015, "min_accuracy": 0.94}, None, None),
]


@pytest.mark.parametrize(("budget", "pick", "runner_up"), [row[1:] for row in BUDGETS], ids=[row[0] for row in BUDGETS])
def test_the_right_candidate_is_recommended(
    study: Study, budget: dict[str, Any], pick: str | None, runner_up: str | None
) -> None:
    found = study.recommend(**budget)
    assert (found.pick, found.runner_up) == (pick, runner_up)
    if pick is not None:
        assert said(found).startswith(f"Use {pick}: ")
        assert found.fits[pick].fits


def test_a_limit_is_told_with_what_the_pick_takes_of_it(study: Study) -> None:
    words = said(study.recommend(max_latency=0.015))
    assert "p95 latency 6 ms of 15 ms" in words
    assert "Of equivalent candidates it has the lowest latency." in words
    assert "slow is equivalent, 0.0" in words
    assert "with p95 latency 12 ms instead of 6 ms." in words


def test_what_would_be_better_but_does_not_fit_is_told_with_its_excess(study: Study) -> None:
    found = study.recommend(max_latency=0.015)
    assert found.beyond == "big"
    assert re.search(r"big is better by [12]\.\d\d points, but does not fit: ", said(found))
    assert "does not fit: p95 latency 30 ms, 15 ms (100 %) over 15 ms." in said(found)
    # Of several better ones, the nearest to the budget.
    assert study.recommend(max_parameters=3e6).beyond == "twin"


def test_a_cost_that_was_never_measured_is_not_known_to_fit(study: Study) -> None:
    found = study.recommend(max_latency=0.004)
    assert found.unknown == ("tiny",)
    assert not found.fits["tiny"].fits
    assert "Whether tiny would fit is not known: the p95 latency was not measured" in said(found)


def test_a_known_miss_is_a_miss_whatever_else_is_unknown(study: Study) -> None:
    found = study.recommend(max_latency=0.001, max_parameters=400_000)
    assert found.pick is None
    assert found.unknown == ()
    assert said(found).startswith("Nothing fits the budget. ")


def test_where_nothing_fits_the_closest_is_told_with_its_misses(study: Study) -> None:
    found = study.recommend(max_latency=0.015, min_accuracy=0.94)
    assert found.closest == "slow"
    words = r"Nothing fits the budget\. slow, 93\.\d\d % right, comes closest: accuracy [01]\.\d\d points under 94 %\."
    assert re.fullmatch(words, said(found))


def test_where_nothing_is_known_to_fit_that_is_what_is_said(study: Study) -> None:
    found = study.recommend(max_memory=50e6)
    assert (found.pick, found.closest, found.unknown) == (None, "small", ("tiny",))
    assert said(found).startswith("Nothing is known to fit the budget. small, 9")
    assert "memory 100.0 MB, 50.0 MB (100 %) over 50.0 MB" in said(found)


def test_an_accuracy_that_new_pictures_may_not_keep_is_told(study: Study) -> None:
    assert "That it reaches 90 % on new pictures is not certain." in said(
        study.recommend(max_train_time=600, min_accuracy=0.9)
    )
    assert "not certain" not in said(study.recommend(min_accuracy=0.88))


def test_excluded_candidates_are_not_recommended_but_named(study: Study) -> None:
    found = study.recommend(excluded={"big": "D1 field of view"})
    assert found.pick == "twin"
    assert "Not judged: big: D1 field of view." in said(found)


def test_facts_are_plain_json(study: Study) -> None:
    for budget in ({}, {"max_latency": 0.001}, {"min_accuracy": 0.94}):
        found = study.recommend(**budget)  # type: ignore[arg-type]
        facts = json.loads(json.dumps(found.facts(), allow_nan=False))
        assert facts["pick"] == found.pick
        assert facts["sentences"] == found.sentences()
        assert (facts["budget"] == found.budget.__class__(**facts["budget"]) and facts["fronts"]) or facts["fronts"]
        assert set(facts["fits"]) == {network.name for network in NETWORKS}
    assert facts["costs"]["tiny"] == {"macs": 20_000_000, "parameters": 500_000, "seconds_train": 240.0}


def test_a_study_without_results_recommends_nothing(tmp_path: Path) -> None:
    found = stored_study(tmp_path, []).recommend()
    assert found.pick is None
    assert "nothing to judge" in said(found)


def test_with_one_seed_the_pick_is_not_called_better(tmp_path: Path) -> None:
    networks = [Network(name=name, correct=bits(share, seeds=1)) for name, share in (("a", 0.9), ("b", 0.7))]
    found = stored_study(tmp_path, networks).recommend()
    assert found.ties == ("b",)
    assert "It has not been shown to be better than b" in said(found)
    assert "Nothing follows for other seeds" in said(found)


def test_a_lower_cost_does_not_outweigh_a_winner(tmp_path: Path) -> None:
    networks = [
        Network(name="good", correct=bits(0.94), validation=0.9, macs=10**9),
        Network(name="cheap", correct=bits(0.92, seed=2), validation=0.9, macs=10**6),
    ]
    assert stored_study(tmp_path, networks).recommend().pick == "good"


# The front


def judged(**accuracies: float) -> Verdict:
    return judge([contender(name, bits(share, seed=place)) for place, (name, share) in enumerate(accuracies.items())])


def test_the_front_leaves_out_what_is_worse_and_no_cheaper(study: Study) -> None:
    front = study.recommend().fronts["macs"]
    # slow is equivalent to twin, which is cheaper by far; all others are better than whatever is cheaper.
    assert front.on == ("tiny", "small", "twin", "big")
    assert front.dominated == {"slow": "twin"}
    latency = study.recommend().fronts["latency_p50"]
    assert latency.unknown == ("tiny",)
    assert latency.on == ("small", "twin", "big")


def test_an_equivalent_candidate_dominates_only_when_cheaper_by_more_than_a_tenth() -> None:
    verdict = judged(a=0.93, b=0.9298)
    assert verdict.equivalent("a", "b")
    assert dominates(verdict, "a", "b", {"a": 0.89, "b": 1.0})
    assert not dominates(verdict, "a", "b", {"a": 0.9, "b": 1.0})
    assert not dominates(verdict, "a", "b", {"a": 1.0, "b": 1.0})


def test_a_better_candidate_dominates_at_the_same_cost_but_not_at_a_higher_one() -> None:
    verdict = judged(a=0.95, b=0.9)
    assert dominates(verdict, "a", "b", {"a": 1.0, "b": 1.0})
    assert not dominates(verdict, "a", "b", {"a": 1.01, "b": 1.0})
    assert not dominates(verdict, "b", "a", {"a": 1.01, "b": 1.0})


def test_a_higher_mean_that_decides_nothing_dominates_nothing() -> None:
    people = [contender("a", bits(0.95, seeds=1)), contender("b", bits(0.9, seeds=1))]
    front = pareto_front(judge(people), "macs", {"a": 1.0, "b": 100.0})
    assert front.on == ("a", "b")
    assert not front.dominated


# The budget


@pytest.mark.parametrize("limit", [{"max_latency": 0}, {"max_macs": -1}, {"max_memory": float("inf")}])
def test_limits_are_above_0_and_finite(limit: dict[str, float]) -> None:
    with pytest.raises(SpecError, match="above 0 and finite"):
        Budget(**limit)


def test_an_accuracy_is_a_share() -> None:
    with pytest.raises(SpecError, match=r"80 % is 0\.8"):
        Budget(min_accuracy=80)


def test_a_cost_just_at_the_limit_fits() -> None:
    budget = Budget(max_macs=100, min_accuracy=0.5)
    assert budget.check(0.5, {"macs": 100.0}).fits
    assert budget.check((0.6 + 0.7 + 0.8) / 3 - 0.2, {"macs": 100.0}).fits  # 0.4999999999999999
    assert [miss.cost for miss in budget.check(0.49, {"macs": 101.0}).misses] == ["macs", "accuracy"]
    assert budget.check(0.5, {}).unknown == ("macs",)


def test_only_numbers_that_were_measured_are_costs(study: Study) -> None:
    costs = costs_of(
        study.table(), {"big": {"latency_p50": None, "latency_p95": float("nan"), "conditions": {"threads": 1}}}
    )
    assert set(costs["big"]) == {"macs", "parameters", "seconds_train"}


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (5.0, "parameters 11 M, more than 100 times the limit of 5"),
        (109_999.0, "parameters 11 M, more than 100 times the limit of 110 k"),
        (110_000.0, "parameters 11 M, 10.9 M (9,900 %) over 110 k"),
        (10e6, "parameters 11 M, 1 M (10 %) over 10 M"),
    ],
)
def test_how_far_a_limit_is_missed_is_told_in_percent_up_to_a_hundred_times(limit: float, words: str) -> None:
    (miss,) = Budget(max_parameters=limit).check(0.9, {"parameters": 11e6}).misses
    assert str(miss) == words


@pytest.mark.parametrize(
    ("cost", "value", "words"),
    [
        ("latency_p95", 0.0123, "12.3 ms"), ("latency_p50", 2.0, "2 s"),
        ("latency_p50", 0.9996, "1 s"), ("latency_p95", 1234.0, "1,234 s"), ("latency_p95", 1e20, "1e+20 s"),
        ("seconds_train", 754.0, "12 min 34 s"),
        ("peak_memory_inference", 2e9, "2.0 GB"), ("parameters", 11_173_962, "11.2 M"), ("macs", 4e9, "4 G"),
        ("seconds_train", 1e-9, "1e-09 s"), ("seconds_train", 1e300, "1e+300 s"), ("seconds_train", 0.0, "0 s"),
        ("peak_memory_inference", 0.01, "0.01 bytes"), ("parameters", 0.002, "0.002"), ("macs", 1e200, "1e+200"),
    ],
)  # fmt: skip
def test_costs_are_told_in_their_units(cost: str, value: float, words: str) -> None:
    assert amount(cost, value) == words


def test_a_cost_that_the_audit_doubts_is_told_as_measured_and_with_the_rule() -> None:
    verdict = judge([contender(name, bits(0.9, seed=place, pictures=500)) for place, name in enumerate("abc")])
    costs = {"a": {"latency_p95": 0.001}, "b": {}, "c": {}}
    found = recommend(verdict, costs, Budget(max_latency=0.01), doubted={"b": "C2 validity of timings"})
    assert found.unknown == ("b", "c")
    assert found.sentences()[-2:] == [
        "Whether the c would fit is not known: the p95 latency was not measured (`bakeoff run` does).",
        "Whether the b would fit is not known: the p95 latency was measured, but the audit doubts it: C2 validity of timings "
        "(`bakeoff audit`).",
    ]
    assert found.facts()["doubted"] == {"b": "C2 validity of timings"}


def test_costs_that_were_not_measured_are_told_of_those_that_lack_them() -> None:
    verdict = judge([contender(name, bits(0.9, seed=place, pictures=500)) for place, name in enumerate("abc")])
    costs = {"a": {"latency_p95": 0.001}, "b": {"peak_memory_inference": 1e6}, "c": {}}
    said = recommend(verdict, costs, Budget(max_latency=0.01, max_memory=1e9)).sentences()
    assert "Whether the a would fit is not known: the memory was not measured (`bakeoff run` does)." in said
    assert "Whether the b would fit is not known: the p95 latency was not measured (`bakeoff run` does)." in said
    assert (
        "Whether the c would fit is not known: the p95 latency and memory were not measured (`bakeoff run` does)."
        in said
    )


def test_a_pick_by_a_noisy_latency_says_so_whatever_the_budget_limits() -> None:
    one = bits(0.9)
    verdict = judge([contender("a", one), contender("b", one[:, ::-1])], smallest_difference=0.05)
    costs = {"a": {"latency_p50": 0.002, "parameters": 1e6}, "b": {"latency_p50": 0.001, "parameters": 2e6}}
    found = recommend(verdict, costs, Budget(max_parameters=5e6), noisy=["a", "b"])
    assert found.by_cost == "latency_p50"
    assert any("are noisy" in sentence for sentence in found.sentences())


def test_noisy_timings_are_not_weighed_and_said_to_be_noisy() -> None:
    verdict = judge([contender(name, bits(0.9, seed=place, pictures=500)) for place, name in enumerate("ab")])
    costs = {"a": {"latency_p50": 0.002, "macs": 5e6}, "b": {"latency_p50": 0.001, "macs": 4e6}}
    assert "latency 1 ms instead of 2 ms" in " ".join(recommend(verdict, costs, Budget()).sentences())
    found = recommend(verdict, costs, Budget(), noisy=["b"])
    said = found.sentences()
    assert not any("latency 1 ms instead of" in sentence for sentence in said)
    assert "Timings of the b are noisy: measure again on a machine at rest before you choose by them." in said
    assert found.facts()["noisy"] == ["b"]
    by_macs = recommend(verdict, costs, Budget(max_macs=6e6), noisy=["b"]).sentences()
    assert not any("noisy" in sentence for sentence in by_macs)


def unsteady(*accuracies: float) -> Any:
    """Return results of one candidate whose seeds come to these accuracies."""
    return np.concatenate([bits(one, seeds=1, seed=place) for place, one in enumerate(accuracies)])


def test_a_tie_that_is_not_the_runner_up_is_told_with_what_would_settle_it() -> None:
    verdict = judge(
        [
            contender("a", bits(0.93, seed=1), validation=0.93),
            contender("b", bits(0.90, seed=2), validation=0.90),
            contender("c", unsteady(0.95, 0.86, 0.94, 0.87, 0.93), validation=0.89),
        ]
    )
    found = recommend(verdict, {}, Budget())
    assert (found.pick, found.runner_up, found.ties) == ("a", "b", ("c",))
    assert "The runner-up is the b, " in said(found)
    assert "the a is not told apart from the c.\n" in said(found)
    assert said(found).count(open_words(verdict.pair("a", "c"))) == 1


def test_a_second_tie_is_told_of_the_pick_and_not_of_the_runner_up() -> None:
    verdict = judge([contender(name, bits(0.9, seed=place, pictures=4000)) for place, name in enumerate("abc")])
    found = recommend(verdict, {}, Budget())
    assert len(found.ties) == 2
    assert re.search(r"the [abc] is not told apart from the [abc] either\.", said(found))


def test_two_that_get_as_many_right_are_told_as_equals() -> None:
    alike = bits(0.9, pictures=2000)
    found = recommend(judge([contender("a", alike), contender("b", alike.copy())]), {}, Budget())
    assert re.search("the [ab], as good on the test set|the [ab] is equivalent, as good on the test set", said(found))
