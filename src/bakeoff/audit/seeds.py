"""The rule about seeds: P8. Each must give a run of its own, and the same one again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bakeoff.audit.finding import Finding, Severity
from bakeoff.audit.rule import Rule, Stage, rule
from bakeoff.audit.words import by_value, listed, named
from bakeoff.errors import StudyError
from bakeoff.predictions import Predictions
from bakeoff.records import ENDED, Repeat, RunStatus
from bakeoff.spec import ResolvedStudy
from bakeoff.words import plural


@rule(
    "P8",
    "seeds that change nothing",
    stage=Stage.BEFORE,
    severity=Severity.ERROR,
    blocks="that these seeds are as many independent runs, each of which can be had again",
    needs=("study", "labels"),
    uses=("runs", "predictions", "repeats"),
)
def idle_seeds(
    *,
    study: ResolvedStudy,
    labels: Mapping[str, str],
    runs: pd.DataFrame | None,
    predictions: Mapping[str, Predictions] | None,
    repeats: Mapping[str, Repeat] | None,
) -> Iterator[Finding]:
    """Two seeds of a candidate must score the test pictures differently, and one seed must give the same numbers again."""
    results, unreadable = (
        ({}, []) if runs is None or predictions is None else _results(study, labels, runs, predictions)
    )
    found = [*_one_run(results, labels), *_one_candidate(results, labels), *_repeated(repeats or {}, study, labels)]
    compared = any(len(by_seed) > 1 for by_seed in results.values())
    single = [one for one, by_seed in results.items() if len(by_seed) == 1 and _all_ended(one, runs)]
    if found or (compared and repeats is not None and not unreadable):
        yield from found
    elif compared and not unreadable:
        yield idle_seeds.passes(
            "seeds differ; whether one gives the same numbers again is tried by `bakeoff audit --deep` alone"
        )
    elif repeats is None and not unreadable:
        yield idle_seeds.not_run(
            "no candidate has the predictions of two seeds, and first steps are taken again by `bakeoff audit --deep` alone"
        )
    if compared and single and repeats is None and not unreadable:
        names = named(single, study, labels)
        yield idle_seeds.not_run(f"there is one finished seed of {names} alone", candidates=single)
    if unreadable:
        more = f" and {plural(len(unreadable) - 1, 'other')}" if unreadable[1:] else ""
        yield idle_seeds.not_run(f"not all seeds could be compared: {unreadable[0]}{more}")


def _all_ended(candidate: str, runs: pd.DataFrame | None) -> bool:
    return runs is not None and bool(runs.loc[runs["candidate_id"] == candidate, "status"].isin(ENDED).all())


def _results(
    study: ResolvedStudy, labels: Mapping[str, str], runs: pd.DataFrame, predictions: Mapping[str, Predictions]
) -> tuple[dict[str, dict[int, bytes]], list[str]]:
    """Return what stands for the scores of the test pictures by candidate id and seed, and what could not be read.

    One run's scores are in memory at a time: those of a thousand runs need not fit.
    """
    by_candidate = dict(iter(runs.groupby("candidate_id")))
    found: dict[str, dict[int, bytes]] = {}
    unreadable: list[str] = []
    for candidate in study.candidates:
        mine = by_candidate.get(candidate.id)
        if mine is None:
            continue
        by_seed = found.setdefault(candidate.id, {})
        for run, seed, status in zip(mine["run_id"], mine["seed"], mine["status"], strict=True):
            try:
                if run in predictions:
                    by_seed[seed] = _digest(predictions[run].logits)
                elif status == RunStatus.DONE:
                    unreadable.append(f"the predictions of {labels[candidate.id]} seed {seed} are missing")
            except StudyError as error:
                unreadable.append(str(error))
    return found, unreadable


def _digest(scores: np.ndarray) -> bytes:
    return hashlib.sha256(repr(scores.shape).encode() + np.ascontiguousarray(scores).tobytes()).digest()


def _one_run(results: Mapping[str, Mapping[int, bytes]], labels: Mapping[str, str]) -> Iterator[Finding]:
    """Find seeds of which several gave one result."""
    for candidate, by_seed in results.items():
        alike = _alike(by_seed)
        if len(alike) > 1:
            yield idle_seeds.fires(
                Severity.ERROR,
                f"{labels[candidate]}: seeds {listed([str(seed) for seed in alike])} gave the same scores for every test picture, so they "
                "are one run and not several.",
                candidates=[candidate],
                evidence={"seeds": len(by_seed), "alike": len(alike)},
                threshold="two seeds with equal scores",
                advice=_OWN_SEED,
            )


def _one_candidate(results: Mapping[str, Mapping[int, bytes]], labels: Mapping[str, str]) -> Iterator[Finding]:
    """Find candidates that gave one result with each of their seeds."""
    by_result: dict[tuple[tuple[int, bytes], ...], list[str]] = {}
    for candidate, by_seed in results.items():
        if by_seed:
            by_result.setdefault(tuple(sorted(by_seed.items())), []).append(candidate)
    for result, alike in by_result.items():
        if len(alike) > 1:
            yield idle_seeds.fires(
                Severity.WARNING,
                f"{listed([labels[one] for one in alike])} gave the same scores for every test picture with each seed, so they are one "
                "candidate under several names.",
                candidates=alike,
                evidence={"seeds": len(result), "alike": len(alike)},
                threshold="equal scores with each seed",
                advice="Leave all but one out, or give an effect to what they differ in: AdamW without weight decay is Adam.",
            )


_OWN_SEED = "Look for a seed that is set inside the network or its training."


def _alike(results: Mapping[int, bytes]) -> list[int]:
    """Return the seeds whose result another seed has too."""
    by_content: dict[bytes, list[int]] = {}
    for seed, content in results.items():
        by_content.setdefault(content, []).append(seed)
    return sorted(seed for seeds in by_content.values() if len(seeds) > 1 for seed in seeds)


def _repeated(repeats: Mapping[str, Repeat], study: ResolvedStudy, labels: Mapping[str, str]) -> Iterator[Finding]:
    """Find candidates that a seed does not decide: all seeds give one network, or one seed gives several."""
    for tried, candidates in by_value(dict(repeats)).items():
        if not tried.seed_decides:
            yield idle_seeds.fires(
                Severity.ERROR,
                f"{named(candidates, study, labels)}: seeds {tried.seed} and {tried.seed + 1} gave the same network after "
                f"{tried.steps} steps, so further seeds are no further runs.",
                candidates=candidates,
                evidence={"steps": tried.steps, "tensors": tried.tensors},
                threshold="two seeds with equal weights",
                advice=_OWN_SEED,
            )
        if tried.unlike:
            yield idle_seeds.fires(
                Severity.NOTE,
                f"{named(candidates, study, labels)}: {tried.steps} steps taken twice with seed {tried.seed} left {tried.unlike} of "
                f"{tried.tensors} tensors unlike, so a run's numbers cannot be had again to the last bit.",
                candidates=candidates,
                evidence={"steps": tried.steps, "unlike": tried.unlike, "tensors": tried.tensors},
                threshold="any bit that differs",
                advice="With several seeds a comparison holds all the same; look for draws from other generators than torch's, and "
                "on a GPU for operations that add in any order.",
            )


RULES: tuple[Rule, ...] = (idle_seeds,)
