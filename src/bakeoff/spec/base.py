"""What all specifications have in common: frozen, unknown keys refused, read from TOML, named by content."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bakeoff.errors import OtherFormatError, SpecError
from bakeoff.spec.mistakes import explained

FORMAT: Literal[1] = 1
"""Version of the TOML layout. Raised when an older bakeoff could misread a file."""

OptimizerName = Literal["adam", "adamw", "sgd", "muon"]
ScheduleName = Literal["constant", "cosine", "one_cycle", "linear"]
StemName = Literal["auto", "original", "small"]
PrecisionName = Literal["float32", "bfloat16"]

LARGEST_INT = 2**63 - 1
"""The largest whole number that databases and their readers hold."""

PositiveInt = Annotated[int, Field(ge=1, le=LARGEST_INT)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=4096)]


class Spec(BaseModel):
    """Base of all specifications: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, content: Any) -> Any:
        """Refuse true and false where numbers are meant: pydantic would read 1 and 0."""
        for key in sorted(_without_truth(cls) & content.keys()) if isinstance(content, Mapping) else ():
            for found in _truths_in(content[key]):
                raise ValueError(f"`{key}` must not be true or false, but got {str(found).lower()}")
        return content


def _truths_in(value: Any) -> Iterator[bool]:
    """Return every true and false in a value and in the lists that it holds."""
    if isinstance(value, bool):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _truths_in(item)


@cache
def _without_truth(model: type[Spec]) -> frozenset[str]:
    """Return the keys of a specification that take no true or false."""
    return frozenset(name for name, field in model.model_fields.items() if not _takes_truth(field.annotation))


def _takes_truth(annotation: Any) -> bool:
    return annotation is bool or any(_takes_truth(one) for one in get_args(annotation))


def content_id(content: Any) -> str:
    """Return 12 hexadecimal digits that name plain JSON content: equal content, equal id."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Document(Spec):
    """A specification that is a TOML file of its own."""

    format: Literal[1] = FORMAT

    @classmethod
    def from_toml(cls, text: str, *, where: str = "study") -> Self:
        """Read it from TOML.

        Args:
            text: The TOML document.
            where: What to call it in errors, usually the file's path.

        Raises:
            SpecError: If it is not TOML, has unknown keys or values that are not allowed, or is of another format.
        """
        try:
            content = tomllib.loads(text)
        except ValueError as error:  # a TOMLDecodeError, or a number of more digits than Python reads
            raise SpecError(f"{where} must be TOML, but {error}") from error
        except RecursionError as error:
            raise SpecError(
                f"{where} must be TOML of a study, but its lists lie in each other hundreds deep"
            ) from error
        return cls.from_mapping(content, where=where)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], *, where: str = "study") -> Self:
        """Validate plain values, as `from_toml` finds them.

        Raises:
            SpecError: As `from_toml`.
        """
        found = content.get("format", FORMAT)
        if found != FORMAT:
            raise OtherFormatError(
                f"{where}: this bakeoff reads format {FORMAT}, but got format = {found!r}; use the bakeoff that wrote it"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise SpecError(explained(error, cls, where)) from error


def to_toml(content: dict[str, Any]) -> str:
    """Write plain values as TOML, without the keys whose value is None."""
    return tomli_w.dumps(_without_none(content))


def _without_none(value: Any) -> Any:
    """Drop keys whose value is None, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
