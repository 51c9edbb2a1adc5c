"""A study file with flags laid over it, the same for the command line and for Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bakeoff.spec import CandidateGrid, StudySpec


def adapted_spec(
    study: str | Path | StudySpec | None,
    *,
    models: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    **flags: Any,
) -> tuple[StudySpec, bool]:
    """Return a study with flags laid over it, and whether they changed what a file or default says of its runs.

    A recipe flag holds for every candidate, whatever the file gives it. `models` keeps the file's entries for the
    models named and adds plain ones for those it does not have.

    Args:
        study: A study file or specification; None for the default study.
        models: Which models.
        seeds: Which seeds.
        flags: `data`, `validation`, `limit`, `stem`, `precision`, `protocol`, `budget`, `despite` (rules of the audit), and
            the keys of `[recipe]`; None where not given. A budget stands in place of the file's epochs, a protocol drops
            the budget of another.

    Raises:
        SpecError: If the file or a flag's value is not allowed.
    """
    if study is None:
        base = StudySpec()
    elif isinstance(study, StudySpec):
        base = study
    else:
        base = StudySpec.from_file(Path(study))
    content = base.model_dump(mode="json", exclude_none=True)
    if study is None and flags.get("data") is not None:
        content["name"] = _word(flags["data"])
    elif study is None:
        content["name"] = base.data.source
    _lay_over(content, {key: value for key, value in flags.items() if value is not None})
    if seeds is not None:
        content["seeds"] = list(seeds)
    if models is not None:
        content["candidates"] = _chosen(content["candidates"], list(models))
    # Entries that differed only in what a flag decides now are one.
    entries = content["candidates"]
    content["candidates"] = [entry for number, entry in enumerate(entries) if entry not in entries[:number]]
    spec = StudySpec.from_mapping(
        content, where="the command" if study is None or isinstance(study, StudySpec) else str(study)
    )
    return spec, study is None or spec.model_copy(update={"audit": base.audit}) != base


def _lay_over(content: dict[str, Any], flags: dict[str, Any]) -> None:
    for key, value in flags.items():
        plain = list(value) if isinstance(value, list | tuple) else value
        if isinstance(plain, list) and len(plain) == 1:
            plain = plain[0]
        if key == "data":
            content.setdefault("data", {})["source"] = plain
        elif key in ("validation", "limit"):
            content.setdefault("data", {})[key] = plain
        elif key == "despite":
            audit = content.setdefault("audit", {})
            audit["despite"] = dict.fromkeys(value, "") | audit.get("despite", {})
        elif key == "precision":
            content[key] = plain
        elif key == "protocol":
            if plain != content[key] and "budget" not in flags:
                content.pop("budget", None)
            content[key] = plain
        elif key == "budget":
            content[key] = plain
            if "epochs" not in flags:
                content.get("recipe", {}).pop("epochs", None)
                _forget(content, "epochs")
        elif key == "stem":
            content[key] = plain
            _forget(content, key)
        else:
            content.setdefault("recipe", {})[key] = plain
            _forget(content, key)
            for entry in content["candidates"]:
                if "recipe" in entry:  # which stands in place of the study's
                    entry[key] = plain


def _forget(content: dict[str, Any], key: str) -> None:
    """Take a key out of every candidate entry, so that the study's holds."""
    for entry in content["candidates"]:
        entry.pop(key, None)


def _chosen(entries: list[dict[str, Any]], models: list[str]) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = []
    for model in models:
        matching = [entry | {"model": model} for entry in entries if model in several(entry["model"])]
        chosen += matching or [CandidateGrid(model=model).model_dump(mode="json", exclude_none=True)]
    return chosen


def several(words: str | Sequence[str]) -> list[str]:
    """Return words as a list, be they one or several."""
    return [words] if isinstance(words, str) else list(words)


def _word(source: str) -> str:
    """Return a study name for a data source."""
    stem = re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", Path(source).name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:60] or "study"
