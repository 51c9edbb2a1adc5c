"""What is wrong with a study file, said as rule, value and remedy."""

from __future__ import annotations

import re
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

BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "finite",
    "too_short": "a list of at least {min_length}",
}
"""What a value of the right shape must be, by the type of pydantic's error."""

SHOWN = 200
"""Characters of a wrong value that a message shows."""


def explained(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say each mistake as rule, value and remedy, one a line."""
    mistakes = _without_wrong_branches(error.errors(include_url=False), model)
    shapes: dict[str, dict[str, str]] = {}
    for mistake in mistakes:
        if mistake["type"] in SHAPES:
            steps, holder, own = _place(mistake, model)
            path = _path(steps)
            shapes.setdefault(path, {})[SHAPES[mistake["type"]]] = _way_to_write(path, mistake, holder if own else None)
    lines: list[str] = []
    for mistake in mistakes:
        steps, holder, _ = _place(mistake, model)
        path = _path(steps)
        if mistake["type"] == "extra_forbidden":
            known = list(holder.model_fields)
            line = f"unknown key `{path}`{near_miss(str(steps[-1]), known)} (known here: {', '.join(known)})"
        elif mistake["type"] == "literal_error":
            expected = mistake["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
            given = mistake["input"]
            nearest = near_miss(given, expected.split(", ")) if isinstance(given, str) else ""
            line = f"`{path}` must be one of {expected}, but got {_shown(given)}{nearest}"
        elif mistake["type"] == "value_error":
            rule = str(mistake["ctx"]["error"])
            line = f"{path}: {rule}" if path and not rule.startswith(f"`{path}`") else rule
        elif mistake["type"] in SHAPES:
            ways = next((way for way in shapes[path].values() if way), "")
            line = f"`{path}` must be {' or '.join(shapes[path])}, but got {_shown(mistake['input'])}{ways}"
        elif mistake["type"] in BOUNDS:
            bound = BOUNDS[mistake["type"]].format(**{key: _number(it) for key, it in mistake.get("ctx", {}).items()})
            line = f"`{path}` must be {bound}, but got {_shown(mistake['input'])}"
        elif mistake["type"] == "missing":
            line = f"`{path}` must be given, but is missing"
        else:
            rule = mistake["msg"][0].lower() + mistake["msg"][1:]
            line = f"`{path}`: {rule}, but got {_shown(mistake['input'])}"
        if line not in lines:
            lines.append(line)
    return f"{where}: " + "; ".join(lines) if len(lines) == 1 else f"{where}:\n  " + "\n  ".join(lines)


def _path(steps: tuple[int | str, ...]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _number(value: Any) -> str:
    return f"{value:.16g}" if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    """Return a value as Python writes it, not too long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _way_to_write(path: str, mistake: Any, model: type[BaseModel] | None) -> str:
    """Return how TOML has a table, or a list of tables, that a specification is read from; nothing for other shapes."""
    header = re.sub(r"\[\d+\]", "", path)  # a table inside one of a list is written without the number
    shape = SHAPES[mistake["type"]]
    if shape == "a table":
        keys = "" if model is None else f" ({', '.join(model.model_fields)})"
        return f"; write {f'[[{header}]]' if path.endswith(']') else f'[{header}]'} and its keys below it{keys}"
    if shape == "a list" and model is not None and isinstance(mistake["input"], dict):
        return f"; write [[{header}]] before each of its tables"
    return ""


def _without_wrong_branches(mistakes: list[Any], model: type[BaseModel]) -> list[Any]:
    """Leave out that a value is no list (or no number) where it was tried as the other and that said more.

    The other said more if its mistake is not about a shape, or lies inside the value.
    """
    dropped = {kind for kind, shape in SHAPES.items() if shape != "true or false"}
    places = [_place(mistake, model)[0] for mistake in mistakes]
    telling = [place for mistake, place in zip(mistakes, places, strict=True) if mistake["type"] not in dropped]
    return [
        mistake
        for mistake, place in zip(mistakes, places, strict=True)
        if mistake["type"] not in dropped
        or not (place in telling or any(other[: len(place)] == place != other for other in places))
    ]


def _place(mistake: Any, model: type[BaseModel]) -> tuple[tuple[int | str, ...], type[BaseModel], bool]:
    """Return a mistake's path as a file has it, the innermost specification on it, and whether the path ends at that one.

    Between the keys, pydantic names the member of a union that it tried; those are left out.
    """
    steps: list[int | str] = []
    in_table = own = False
    for number, step in enumerate(mistake["loc"]):
        unknown = mistake["type"] == "extra_forbidden" and number == len(mistake["loc"]) - 1
        if isinstance(step, int) or unknown or (in_table and step != "[key]"):
            steps.append(step)
        elif step in model.model_fields:
            steps.append(step)
            annotation = model.model_fields[step].annotation
            in_table = get_origin(annotation) is dict
            inner = _models_in(annotation)
            model, own = next(iter(inner), model), bool(inner)
    return tuple(steps), model, own


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
