"""What is wrong with a study file, said as rule, value and remedy."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bakeoff.errors import near_miss

SHAPES = {
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}
"""What pydantic wanted to see, by the type of its error, as TOML calls it."""

SHOWN = 200
"""Characters of a wrong value that a message shows."""


def explained(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say each mistake as rule, value and remedy, one a line."""
    mistakes = _without_wrong_branches(error.errors(include_url=False), model)
    wanted: dict[str, dict[str, None]] = {}
    for mistake in mistakes:
        if mistake["type"] in SHAPES:
            wanted.setdefault(_path(_place(mistake, model)[0]), {})[SHAPES[mistake["type"]]] = None
    lines: list[str] = []
    for mistake in mistakes:
        steps, holder = _place(mistake, model)
        path, value = _path(steps), _brief(repr(mistake["input"]))
        if mistake["type"] == "extra_forbidden":
            known = list(holder.model_fields)
            line = f"unknown key `{path}`{near_miss(str(steps[-1]), known)} (known here: {', '.join(known)})"
        elif mistake["type"] == "literal_error":
            expected = mistake["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
            line = f"`{path}` must be one of {expected}, but got {value}{near_miss(str(mistake['input']), expected.split(', '))}"
        elif mistake["type"] == "value_error":
            line = f"{path + ': ' if path else ''}{mistake['ctx']['error']}"
        elif mistake["type"] in SHAPES:
            remedy = _way_to_write(path, mistake, holder)
            line = f"`{path}` must be {' or '.join(wanted[path])}, but got {value}{remedy}"
        else:
            rule = mistake["msg"][0].lower() + mistake["msg"][1:]
            line = f"`{path}`: {rule}, but got {value}"
        if line not in lines:
            lines.append(line)
    return f"{where}: " + "; ".join(lines) if len(lines) == 1 else f"{where}:\n  " + "\n  ".join(lines)


def _path(steps: tuple[int | str, ...]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _brief(value: str) -> str:
    return value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"


def _way_to_write(path: str, mistake: Any, holder: type[BaseModel]) -> str:
    if SHAPES[mistake["type"]] == "a table":
        return f"; write [{path}] and its keys below it ({', '.join(holder.model_fields)})"
    if SHAPES[mistake["type"]] == "a list" and isinstance(mistake["input"], dict):
        return f"; write [[{path}]] before each of its tables"
    return ""


def _without_wrong_branches(mistakes: list[Any], model: type[BaseModel]) -> list[Any]:
    """Leave out that a value is no list (or no number) where it was tried as the other and that said more."""
    places = [_place(mistake, model)[0] for mistake in mistakes]
    telling = [place for mistake, place in zip(mistakes, places, strict=True) if mistake["type"] not in SHAPES]
    return [
        mistake
        for mistake, place in zip(mistakes, places, strict=True)
        if mistake["type"] not in SHAPES or not any(other[: len(place)] == place for other in telling)
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
