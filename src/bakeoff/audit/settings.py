"""In which settings candidates differ, and which of them the study compares."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bakeoff.spec import CandidateSpec, Recipe, ResolvedStudy

RECIPE_KEYS = tuple(Recipe.model_fields)

KEYS = ("model", "stem", "input size", "view", "normalization", *RECIPE_KEYS)
"""The settings of a candidate, by the names that `[audit] subject` has for them; the input's size belongs to the view."""

UNUSED = "null"
"""What `settings` has for a key that a candidate's optimizer ignores."""


def settings(candidate: CandidateSpec, picture: int) -> dict[str, str]:
    """Return a candidate's settings by key, as text that is equal where they are.

    Args:
        candidate: The candidate.
        picture: Side of the pictures in pixels.
    """
    size = candidate.input_size(picture)
    views = [view.model_dump(mode="json") for view in (candidate.train_view, candidate.evaluate_view)]
    normalization = candidate.normalization
    recipe = candidate.recipe.model_dump(mode="json")
    if candidate.recipe.optimizer in ("adam", "adamw"):
        recipe["momentum"] = None  # they have their own and ignore it
    return {
        "model": candidate.model,
        "stem": candidate.stem,
        "input size": str(size),
        "view": _text(views),
        "normalization": normalization if isinstance(normalization, str) else _text(normalization.model_dump()),
        **{key: recipe[key] if isinstance(recipe[key], str) else _text(recipe[key]) for key in RECIPE_KEYS},
    }


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def subject_keys(study: ResolvedStudy) -> set[str]:
    """Return the keys of the settings that a study compares."""
    keys = set[str]()
    for one in study.audit.subject:
        keys |= {"view", "input size"} if one == "view" else set(RECIPE_KEYS) if one == "recipe" else {one}
    return keys


def decided_keys(study: ResolvedStudy) -> set[str]:
    """Return the keys of the settings that nobody chose: epochs, where equal budgets decide them."""
    return set() if study.protocol == "epochs" else {"epochs"}


def free_keys(study: ResolvedStudy) -> set[str]:
    """Return the keys in which candidates may differ: what is compared, and epochs where equal budgets decide them."""
    return subject_keys(study) | decided_keys(study)


def subjects(study: ResolvedStudy) -> dict[str, list[CandidateSpec]]:
    """Return the candidates by what is compared, such as by model, each named in words."""
    compared = subject_keys(study) - decided_keys(study)  # else each would be compared by itself, under its own epochs
    keys = [key for key in KEYS if key in compared]
    found: dict[tuple[str, ...], list[CandidateSpec]] = {}
    for candidate in study.candidates:
        chosen = settings(candidate, study.size)
        found.setdefault(tuple(chosen[key] for key in keys), []).append(candidate)
    # Views and recipes are long: beside the model they are told apart by a number.
    telling = [
        place
        for place, key in enumerate(keys)
        if key in ("model", "stem", "optimizer", "learning_rate", "schedule", "epochs", "batch_size")
        and len({values[place] for values in found}) > 1
    ]
    words = [" ".join(values[place] for place in telling) or study.name for values in found]
    return {
        word if words.count(word) == 1 else f"{word} ({number + 1})": candidates
        for number, (word, candidates) in enumerate(zip(words, found.values(), strict=True))
    }


def sweeps(study: ResolvedStudy, axes: Iterable[str]) -> list[list[CandidateSpec]]:
    """Return groups of candidates that differ in nothing but these axes, groups of one left out."""
    tuned = set(axes)
    found: dict[tuple[tuple[str, str], ...], list[CandidateSpec]] = {}
    for candidate in study.candidates:
        rest = tuple(item for item in settings(candidate, study.size).items() if item[0] not in tuned)
        found.setdefault(rest, []).append(candidate)
    return [group for group in found.values() if len(group) > 1]
