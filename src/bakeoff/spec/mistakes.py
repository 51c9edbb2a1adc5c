"""What is wrong with a study file, said as rule, value and remedy."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bakeoff.errors import near_miss


def explained(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say each mistake as rule, value and remedy, one a line."""
    lines: list[str] = []
    for mistake in _without_wrong_branches(error.errors(include_url=False)):
        steps = [step for step in mistake["loc"] if isinstance(step, int) or step.isidentifier()]
        path = ""
        for step in steps:
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        if mistake["type"] == "extra_forbidden":
            known = _keys_at(model, steps[:-1])
            line = f"unknown key `{path}`{near_miss(str(steps[-1]), known)} (known here: {', '.join(known)})"
        elif mistake["type"] == "literal_error":
            expected = mistake["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
            line = f"`{path}` must be one of {expected}, but got {mistake['input']!r}{near_miss(str(mistake['input']), expected.split(', '))}"
        elif mistake["type"] == "value_error":
            line = f"{path + ': ' if path else ''}{mistake['ctx']['error']}"
        else:
            rule = mistake["msg"][0].lower() + mistake["msg"][1:]
            line = f"`{path}`: {rule}, but got {mistake['input']!r}"
        if line not in lines:
            lines.append(line)
    return f"{where}: " + "; ".join(lines) if len(lines) == 1 else f"{where}:\n  " + "\n  ".join(lines)


def _without_wrong_branches(mistakes: list[Any]) -> list[Any]:
    """Leave out that a value is no list (or no number) where it was tried as the other and that said more."""
    shape = ("list_type", "float_type", "int_type", "string_type", "model_type", "float_parsing", "int_parsing")

    def place(mistake: Any) -> tuple[Any, ...]:
        return tuple(step for step in mistake["loc"] if isinstance(step, int) or step.isidentifier())

    telling = [place(mistake) for mistake in mistakes if mistake["type"] not in shape]
    return [
        mistake
        for mistake in mistakes
        if mistake["type"] not in shape or not any(other[: len(place(mistake))] == place(mistake) for other in telling)
    ]


def _keys_at(model: type[BaseModel], steps: list[int | str]) -> list[str]:
    """Return the keys known at a place inside a specification."""
    for step in steps:
        if isinstance(step, int):
            continue
        for nested in _models_in(model.model_fields[step].annotation):
            model = nested
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
