"""What is wrong with a study file, said as rule, value and remedy."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bakeoff.errors import near_miss


def explained(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say each mistake as rule, value and remedy, one a line."""
    lines: list[str] = []
    for mistake in _without_wrong_branches(error.errors(include_url=False), model):
        steps, holder = _place(mistake, model)
        path = ""
        for step in steps:
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        if mistake["type"] == "extra_forbidden":
            known = list(holder.model_fields)
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


def _without_wrong_branches(mistakes: list[Any], model: type[BaseModel]) -> list[Any]:
    """Leave out that a value is no list (or no number) where it was tried as the other and that said more."""
    shape = ("list_type", "float_type", "int_type", "string_type", "model_type", "float_parsing", "int_parsing")
    places = [_place(mistake, model)[0] for mistake in mistakes]
    telling = [place for mistake, place in zip(mistakes, places, strict=True) if mistake["type"] not in shape]
    return [
        mistake
        for mistake, place in zip(mistakes, places, strict=True)
        if mistake["type"] not in shape or not any(other[: len(place)] == place for other in telling)
    ]


def _place(mistake: Any, model: type[BaseModel]) -> tuple[tuple[int | str, ...], type[BaseModel]]:
    """Return the steps to a mistake as a file has them, and the innermost specification on the way.

    Between the keys, pydantic names the member of a union that it tried; those are left out.
    """
    steps: list[int | str] = []
    in_table = False
    for number, step in enumerate(mistake["loc"]):
        unknown = mistake["type"] == "extra_forbidden" and number == len(mistake["loc"]) - 1
        if isinstance(step, int) or unknown or (in_table and step != "[key]"):
            steps.append(step)
        elif step in model.model_fields:
            steps.append(step)
            annotation = model.model_fields[step].annotation
            in_table = get_origin(annotation) is dict
            model = next(iter(_models_in(annotation)), model)
    return tuple(steps), model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
