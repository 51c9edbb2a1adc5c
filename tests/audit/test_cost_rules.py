"""Rules about costs: each catches its planted fault and is silent on what is healthy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bakeoff.audit import Finding, Severity, State, accounting, audit, cost
from bakeoff.audit.finding import Ranking
from bakeoff.cost_records import Cost
from bakeoff.records import RunStatus
from tests.audit.studies import evidence, study
from tests.costs import a_cost
from tests.synthetic import Run, frames

RULES = (*cost.RULES, *accounting.RULES)
STUDY = study(candidates=[{"model": ["resnet18", "mobilenet_v2"]}])
RESNET, MOBILENET = (candidate.id for candidate in STUDY.candidates)


def asked(
    rule: str,
    costs: dict[str, Cost] | None,
    *,
    recounted: dict[str, int] | None = None,
    images_per_second: float = 140.0,
    short: Mapping[str, dict[str, Any]] | None = None,
    waiting: Collection[str] = (),
    **known: Any,
) -> list[Finding]:
    """Ask one rule about two candidates, each with a finished run whose epoch took as long as it says.

    Args:
        rule: Its id.
        costs: What they cost.
        recounted: Multiply-accumulates as a new count gives them.
        images_per_second: In training.
        short: Costs as a store holds them that lack figures.
        waiting: Candidates whose run has not ended.
        known: Further evidence.
    """
    counted = {RESNET: 50_000_000, MOBILENET: 50_000_000} | (recounted or {})
    runs = pd.DataFrame(
        [
            {
                "run_id": f"{candidate}/0",
                "candidate_id": candidate,
                "status": RunStatus.PENDING if candidate in waiting else RunStatus.DONE,
                "numerics": {"threads": 1, "device": "cpu"},
            }
            for candidate in counted
        ]
    )
    epochs = pd.DataFrame(
        [
            {
                "run_id": run_id,
                "images": 1400,
                "seconds_train": 1350 / images_per_second,
                "seconds_wait": 50 / images_per_second,
                "val_accuracy": None,
            }
            for run_id in runs["run_id"]
        ]
    )
    plain = (
        None if costs is None else {candidate: cost.to_json() for candidate, cost in costs.items()} | dict(short or {})
    )
    of = [one for one in RULES if one.id == rule]
    return audit(evidence(STUDY, costs=plain, runs=runs, epochs=epochs, macs=counted, **known), of=of)


def fired(findings: Sequence[Finding]) -> Finding:
    (finding,) = findings
    assert finding.state is State.FIRES, finding
    assert finding.ranking is Ranking.COST
    assert finding.evidence
    assert finding.threshold
    assert finding.advice
    assert finding.blocks
    return finding


def both(**changes: Any) -> dict[str, Cost]:
    """Two healthy costs, the second with changes."""
    return {RESNET: a_cost(), MOBILENET: a_cost(**changes)}


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_healthy_costs_pass_every_rule(rule: str) -> None:
    healthy = both(
        latency_p50=0.006, latency_p95=0.007, retimed=0.0061, first_call=0.0065, batch_size=32, input_size=32
    )
    (finding,) = asked(rule, healthy)
    assert finding.state is State.PASS


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_costs_that_were_not_measured_are_never_a_pass(rule: str) -> None:
    (finding,) = asked(rule, None)
    assert finding.state is State.NOT_RUN
    (finding,) = audit(
        evidence(STUDY, costs={RESNET: {"latency_p50": 0.1}}, macs={RESNET: 1}),
        of=[one for one in RULES if one.id == rule],
    )
    assert finding.state is State.NOT_RUN
    assert "must hold every figure" in finding.message


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
@pytest.mark.parametrize("other", [None, {"latency_p50": 0.1}])
def test_a_candidate_whose_cost_is_not_known_is_not_passed_with_the_others(
    rule: str, other: dict[str, Any] | None
) -> None:
    short = {} if other is None else {MOBILENET: other}
    (finding,) = asked(rule, {RESNET: a_cost()}, short=short)
    assert finding.state is State.NOT_RUN
    assert finding.candidates == (MOBILENET,)
    assert "mobilenet_v2" in finding.message


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_a_candidate_without_a_run_that_ended_has_no_cost_to_miss(rule: str) -> None:
    (finding,) = asked(rule, {RESNET: a_cost()}, waiting={MOBILENET})
    assert finding.state is State.PASS


def test_c1_does_not_pass_a_count_that_there_is_no_new_one_of() -> None:
    (finding,) = asked("C1", both(), recounted={MOBILENET: 0})
    assert finding.state is State.NOT_RUN
    assert finding.candidates == (MOBILENET,)


@pytest.mark.parametrize(
    ("changes", "recounted", "said"),
    [
        ({}, 25_000_000, "2 times that made when the study was planned: one of them counts operations"),
        ({}, 100_000_000, "0.5 times that made when the study was planned: one of them counts operations"),
        ({"input_size": 224}, 1_020_000, "counted at 224 pixels, and the candidate sees 32"),
        ({}, 40_000_000, "counted by different means"),
    ],
)
def test_c1_catches_counts_that_are_off_and_says_why(changes: dict[str, Any], recounted: int, said: str) -> None:
    finding = fired(asked("C1", both(**changes), recounted={MOBILENET: recounted}))
    assert finding.severity is Severity.ERROR
    assert finding.candidates == (MOBILENET,)
    assert said in finding.message


def test_c1_catches_training_counted_by_torchs_backward_pass() -> None:
    # a depthwise layer of 96 channels: 10,838,016 instead of 331,776
    finding = fired(asked("C1", both(train_macs_per_image=round(50_000_000 * 3 * 10_838_016 / 331_776))))
    assert "98 forward passes" in finding.message
    assert finding.candidates == (MOBILENET,)


def test_c1_leaves_rounding_and_smaller_inputs_in_training_alone() -> None:
    (finding,) = asked("C1", both(macs=50_900_000, train_macs_per_image=70_000_000))
    assert finding.state is State.PASS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"warm_up_calls": 0, "first_call": 0.0125},
            "nothing was warmed up, and the first call took 3.12 times the median",
        ),
        ({"retimed": 0.0062}, "1.55 times as long where the device is waited for"),
        # a clock that was read before the work was done
        ({"latency_p50": 1e-5, "first_call": 1e-5, "retimed": 1e-5}, "100 times the multiply-accumulates"),
        ({"throughput": 1e5}, "100 times the multiply-accumulates"),
        ({"training": True}, "training mode"),
        ({"gradients": True}, "recorded for gradients"),
    ],
)
def test_c2_catches_timings_that_cannot_be_right(changes: dict[str, Any], said: str) -> None:
    finding = fired(asked("C2", both(**changes)))
    assert finding.severity is Severity.ERROR
    assert finding.candidates == (MOBILENET,)
    assert said in finding.message


def test_c2_allows_a_slow_call_after_a_warm_up_and_multiplications_left_out() -> None:
    (finding,) = asked("C2", both(first_call=0.05, retimed=0.002, throughput=9000.0))
    assert finding.state is State.PASS


def test_c2_cannot_tell_a_slow_block_of_calls_where_others_took_the_processors() -> None:
    (finding,) = asked("C2", both(retimed=0.0097, busy=1.0))
    assert finding.state is State.NOT_RUN
    assert finding.candidates == (MOBILENET,)
    assert "too noisy to tell whether the device was waited for" in finding.message
    assert fired(asked("C3", both(retimed=0.0097, busy=1.0))).candidates == (MOBILENET,)


@pytest.mark.parametrize(
    "noise",
    [{"busy": 0.55}, {"latency_p95": 0.0061}, {"latency_drift": 0.2}, {"latency_calls": 20}, {"train_spread": 0.5}],
)
def test_c2_catches_a_clock_that_does_not_wait_however_noisy_the_timings_are(noise: dict[str, float]) -> None:
    assert (
        "takes 100 times as long where the device is waited for"
        in fired(asked("C2", both(retimed=0.4, **noise))).message
    )


def test_c2_is_as_strict_as_ever_where_training_alone_was_noisy() -> None:
    assert fired(asked("C2", both(retimed=0.0097, train_spread=0.5))).candidates == (MOBILENET,)


def test_c3_catches_a_sleep_in_every_tenth_call_and_a_machine_that_slows_down() -> None:
    finding = fired(asked("C3", both(latency_spread=0.21, latency_drift=0.30)))
    assert finding.severity is Severity.WARNING
    assert finding.candidates == (MOBILENET,)
    assert "mobilenet_v2 (latency spread by 21 %, latency drifted by +30 %)" in finding.message
    assert finding.evidence["latency_drift"] == 0.30


def test_c3_names_what_noise_leaves_undecided_between_macs_and_latency() -> None:
    costs = {
        RESNET: a_cost(macs=500_000_000, latency_p50=0.004),
        MOBILENET: a_cost(
            macs=50_000_000, latency_p50=0.006, latency_p50_interval=(0.0055, 0.0065), latency_spread=0.9
        ),
    }
    finding = fired(asked("C3", costs))
    assert "resnet18 has 10 times the multiply-accumulates of mobilenet_v2" in finding.message
    assert "noise could explain that" in finding.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 2}, "threads 2 instead of 1"),
        ({"device": "a GPU"}, "device a GPU instead of cpu"),
        ({"memory_format": "contiguous"}, "memory format contiguous instead of channels_last"),
        ({"versions": {"torch": "2.9"}}, "versions"),
        ({"classes": 1000}, "classes 1000 instead of 10"),
    ],
)
def test_c4_catches_unlike_conditions_and_names_them(changes: dict[str, Any], said: str) -> None:
    of = study(candidates=[{"model": ["resnet18", "mobilenet_v2", "alexnet"]}])
    first, odd, last = (candidate.id for candidate in of.candidates)
    costs = {first: a_cost(), odd: a_cost(**changes), last: a_cost()}
    plain = {candidate: one.to_json() for candidate, one in costs.items()}
    finding = fired(audit(evidence(of, costs=plain), of=[cost.conditions]))
    assert finding.severity is Severity.ERROR
    assert finding.candidates == (odd,)
    assert said in finding.message


@pytest.mark.parametrize("turn", [1, -1])
def test_c4_trusts_neither_side_where_no_conditions_are_those_of_most(turn: int) -> None:
    finding = fired(asked("C4", dict(list(both(threads=2).items())[::turn])))
    assert finding.severity is Severity.ERROR
    assert set(finding.candidates) == {RESNET, MOBILENET}
    told = ["1 with resnet18", "2 with mobilenet_v2"][::turn]
    assert f"threads ({'; '.join(told)})" in finding.message
    assert finding.evidence == {"threads": " | ".join("12"[::turn])}


def test_c5_catches_training_that_waits_for_its_data() -> None:
    finding = fired(asked("C5", both(loader_share=0.35)))
    assert finding.severity is Severity.WARNING
    assert finding.candidates == (MOBILENET,)
    assert "35.0 %" in finding.message


def test_c5_catches_memory_that_another_candidate_left_behind() -> None:
    finding = fired(asked("C5", both(fresh_process=False)))
    assert "mobilenet_v2" in finding.message


def test_c5_catches_training_times_that_hold_other_work() -> None:
    findings = asked("C5", both(train_throughput_data=320.0), images_per_second=150.0)
    assert fired(findings).candidates == (MOBILENET,)
    assert "2.13 times as long as its steps take by themselves" in findings[0].message


def test_c5_says_what_it_could_not_look_at() -> None:
    plain = {candidate: cost.to_json() for candidate, cost in both().items()}
    (finding,) = audit(evidence(STUDY, costs=plain), of=[one for one in RULES if one.id == "C5"])
    assert finding.state is State.NOT_RUN
    assert "no record of epochs" in finding.message
    # and what was trained with other threads cannot be held against it
    (finding,) = asked("C5", {one: a_cost(threads=2, train_throughput_data=1000.0) for one in (RESNET, MOBILENET)})
    assert finding.state is State.PASS


def times_to_accuracy(path: Path, *trained: Run) -> list[Finding]:
    """Ask C5 of runs whose costs are sound."""
    path.mkdir(exist_ok=True)
    runs, epochs = frames(path, *trained)
    plain = {one: a_cost(train_throughput_data=None).to_json() for one in (RESNET, MOBILENET)}
    return audit(evidence(STUDY, costs=plain, runs=runs, epochs=epochs), of=accounting.RULES)


def test_c5_says_who_is_fastest_only_where_misses_are_left_out(tmp_path: Path) -> None:
    lucky = [Run(candidate=RESNET, seed=0, val=(0.8, 0.8, 0.8))]
    lucky += [Run(candidate=RESNET, seed=seed, val=(0.2, 0.2, 0.2)) for seed in (1, 2)]
    steady = [Run(candidate=MOBILENET, seed=seed, val=(0.3, 0.6, 0.8)) for seed in range(3)]
    finding, *others = times_to_accuracy(tmp_path, *lucky, *steady)
    assert len(others) == 2  # at the three accuracies
    assert (finding.severity, finding.candidates) == (Severity.NOTE, (RESNET,))
    assert "12 s in 1 of 3" in finding.message
    assert "half or more never do" in finding.message


def test_c5_says_where_the_accuracy_decides_who_is_fastest(tmp_path: Path) -> None:
    early = [Run(candidate=RESNET, seed=seed, val=(0.74, 0.75, 0.75)) for seed in range(2)]
    late = [Run(candidate=MOBILENET, seed=seed, val=(0.3, 0.5, 0.8)) for seed in range(2)]
    finding = fired(times_to_accuracy(tmp_path, *early, *late))
    assert finding.severity is Severity.NOTE
    assert "resnet18 to 72.0 %, mobilenet_v2 to 76.0 %" in finding.message


def test_c5_lets_misses_be_that_change_no_order(tmp_path: Path) -> None:
    slow = [Run(candidate=RESNET, seed=0, val=(0.2, 0.3, 0.8)), Run(candidate=RESNET, seed=1, val=(0.2, 0.3, 0.4))]
    fast = [Run(candidate=MOBILENET, seed=seed, val=(0.8, 0.8, 0.8)) for seed in range(2)]
    (finding,) = times_to_accuracy(tmp_path, *slow, *fast)
    assert finding.state is State.PASS
    (finding,) = times_to_accuracy(
        tmp_path / "untold", *(Run(candidate=RESNET, seed=seed, val=None) for seed in range(2))
    )
    assert finding.state is State.PASS
