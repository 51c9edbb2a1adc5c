"""Flags laid over a study file: which entries they keep, and whom they reach."""

from __future__ import annotations

from typing import Any

from bakeoff.flags import adapted_spec
from bakeoff.spec import StudySpec


def study(*entries: dict[str, Any]) -> StudySpec:
    return StudySpec.from_mapping({"candidates": list(entries)})


def test_models_keeps_the_entries_of_just_the_models_named() -> None:
    spec, _ = adapted_spec(study({"model": "vgg11_bn", "epochs": 3}), models=["vgg11"])
    assert [entry.model_dump(exclude_none=True) for entry in spec.candidates] == [{"model": "vgg11"}]
    both = study({"model": ["vgg11", "vgg11_bn"], "epochs": 3}, {"model": "vgg11", "epochs": 4})
    spec, _ = adapted_spec(both, models=["vgg11"])
    assert [(entry.model, entry.epochs) for entry in spec.candidates] == [("vgg11", 3), ("vgg11", 4)]
