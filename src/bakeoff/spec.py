"""What a study compares: validated, read from TOML, written back, and named by content.

A `StudySpec` is what a user writes: lists are grid axes, and what is left out gets a default. `StudySpec.resolve`
fills every default in from facts about the pictures, and the result's `runs()` are the units of work. A run's id is a
hash of everything that decides its numbers and of nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bakeoff.errors import SpecError, near_miss

FORMAT = 1
"""Version of the TOML layout. Raised when an older bakeoff could misread a file."""

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "one_cycle"]
StemName = Literal["auto", "original", "small"]
PrecisionName = Literal["float32", "bfloat16"]

DEFAULT_LEARNING_RATES: dict[OptimizerName, float] = {
    "adam": 0.001,  # Kingma & Ba 2015, section 2
    "adamw": 0.001,  # Loshchilov & Hutter 2019, section 4
    "sgd": 0.01,  # with momentum 0.9: Krizhevsky et al. 2012, section 5
}

SMALL_INPUT = 64
"""Inputs with fewer pixels a side get a small-input stem under `stem = "auto"`."""

PositiveInt = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=4096)]


class Spec(BaseModel):
    """Base of all specifications: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ViewSpec(Spec):
    """How a picture becomes a network's input, in this order: resize, flip, crop."""

    resize: Side | None = None
    """Side of the square that the picture is scaled to first (bilinear, antialiased), in pixels."""

    flip: bool = False
    """Mirror left-right with probability 1/2. Needs `random`."""

    crop: Side | None = None
    """Side of the square cut out, in pixels; where is random if `random`, else the centre."""

    padding: Annotated[int, Field(ge=0, le=1024)] = 0
    """Black pixels added on each side before the crop."""

    random: bool = False
    """Whether each picture gets its own draw each time it is seen."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.padding and self.crop is None:
            raise ValueError(
                f"`padding` needs a `crop` to cut from the padded picture, but got padding = {self.padding}"
            )
        if self.flip and not self.random:
            raise ValueError("`flip` is a random draw: set `random = true` with it")
        return self

    def input_size(self, picture: int) -> int:
        """Return the side of the network's input for pictures of side `picture`, in pixels.

        Raises:
            SpecError: If the crop is larger than the padded picture it is cut from.
        """
        scaled = self.resize or picture
        if self.crop is None:
            return scaled
        if self.crop > scaled + 2 * self.padding:
            raise SpecError(
                f"a crop must fit into the picture, but crop = {self.crop} with padding = {self.padding} is cut from "
                f"{scaled} pixels; lower `crop`, or set `resize`"
            )
        return self.crop

    def canonical(self, picture: int) -> ViewSpec:
        """Return the view without operations that change nothing for pictures of side `picture`."""
        resize = None if self.resize == picture else self.resize
        crop, padding = self.crop, self.padding
        if crop == (resize or picture) and (padding == 0 or not self.random):
            crop, padding = None, 0
        random = self.random and (self.flip or crop is not None)
        return ViewSpec(resize=resize, flip=self.flip, crop=crop, padding=padding, random=random)


class Normalization(Spec):
    """Subtracted from and divided into each channel (red, green, blue) of pixels scaled to [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[Rate, Rate, Rate]


NORMALIZATIONS: dict[str, Normalization] = {
    # Of ImageNet's training set, as torchvision's reference transforms use them.
    "imagenet": Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    # Per-channel over all training pixels of CIFAR-10.
    "cifar10": Normalization(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    # The same means with the mean of each picture's own deviation: widely copied, and what the paper used.
    "cifar10-per-picture": Normalization(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
}


class Views(Spec):
    """A candidate's view in training and in evaluation, and the normalisation of both."""

    train: ViewSpec | None = None
    """Default: flip (unless the pictures have a handedness) and a random crop out of 1/8 padding."""

    evaluate: ViewSpec | None = None
    """Default: the training view without its draws: the same resize, the whole picture."""

    normalize: str | Normalization = "data"
    """`data` (measured on the training pictures), a name in `NORMALIZATIONS`, or the numbers."""

    @field_validator("normalize")
    @classmethod
    def _known(cls, value: str | Normalization) -> str | Normalization:
        if isinstance(value, str) and value != "data" and value not in NORMALIZATIONS:
            names = ["data", *NORMALIZATIONS]
            raise ValueError(
                f"`normalize` must be one of {', '.join(names)} or numbers, but got '{value}'{near_miss(value, names)}"
            )
        return value


class Recipe(Spec):
    """How a candidate is trained, every value decided."""

    optimizer: OptimizerName
    learning_rate: Rate
    schedule: ScheduleName
    epochs: PositiveInt
    batch_size: PositiveInt
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    weight_decay: Decay
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of SGD; the others have their own and ignore it."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"`warmup_epochs` must be below `epochs`, but got {self.warmup_epochs} and {self.epochs}")
        return self


class RecipeGrid(Spec):
    """How candidates are trained. A list is a grid axis: every combination becomes a candidate."""

    optimizer: OptimizerName | list[OptimizerName] | None = None
    """Default adam."""

    learning_rate: Rate | list[Rate] | None = None
    """Default by optimizer: `DEFAULT_LEARNING_RATES`."""

    schedule: ScheduleName | list[ScheduleName] | None = None
    """Default cosine."""

    epochs: PositiveInt | list[PositiveInt] | None = None
    """Default 10. Each length is a run of its own: under a schedule, 10 epochs are no prefix of 30."""

    batch_size: PositiveInt | list[PositiveInt] | None = None
    """Default 64."""

    warmup_epochs: float | list[float] | None = None
    """Epochs (or a part of one) over which the rate climbs from near 0. Default 0."""

    weight_decay: Decay | list[Decay] | None = None
    """Default 0. Decoupled for adamw, added to the gradient for the others."""

    momentum: float | list[float] | None = None
    """Of SGD. Default 0.9."""

    label_smoothing: float | list[float] | None = None
    """Default 0."""


RECIPE_DEFAULTS: dict[str, Any] = {
    "optimizer": "adam",
    "schedule": "cosine",
    "epochs": 10,
    "batch_size": 64,
    "warmup_epochs": 0.0,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "label_smoothing": 0.0,
}


class CandidateGrid(RecipeGrid):
    """One entry under `[[candidates]]`: a model or several, with what differs from `[recipe]` and `[view]`."""

    model: str | Annotated[list[str], Field(min_length=1)]
    """Names as `bakeoff models` lists them."""

    stem: StemName | None = None
    """`auto` (small under 64 pixels), `original`, or `small`. Default: the study's `stem`."""

    view: Views | None = None
    """Replaces the study's `[view]` for these candidates."""

    name: str | None = None
    """A word to tell it by in tables. Default: what differs between the candidates."""


class CandidateSpec(Spec):
    """A model with its view and its recipe, every value decided, without a seed."""

    model: str
    stem: Literal["original", "small"]
    train_view: ViewSpec
    evaluate_view: ViewSpec
    normalization: str | Normalization
    recipe: Recipe
    name: str | None = None
    """Shown in tables; decides no number."""

    def identity(self) -> dict[str, Any]:
        """Return what decides this candidate's numbers, as plain JSON values."""
        content = self.model_dump(mode="json", exclude={"name"})
        if self.recipe.optimizer != "sgd":
            del content["recipe"]["momentum"]
        if isinstance(self.normalization, str) and self.normalization != "data":
            content["normalization"] = NORMALIZATIONS[self.normalization].model_dump(mode="json")
        return content

    @property
    def id(self) -> str:
        """A hash of all that decides this candidate's numbers, besides the pictures."""
        return content_id(self.identity())

    def input_size(self, picture: int) -> int:
        """Return the side of the network's input in training, for pictures of side `picture`, in pixels."""
        return self.train_view.input_size(picture)


class DataSpec(Spec):
    """Which pictures, and how they are divided."""

    source: str = "digits"
    """A name as `bakeoff data` lists them, a folder of pictures, or a zip or tar of one."""

    size: Side | None = None
    """Side in pixels that pictures of a folder are brought to once, when decoded. Default: theirs, if they are all
    square and alike, else the median of their shorter sides, at most 224."""

    validation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    """Split off the training set, stratified: a share below 1, or a number of pictures. 0 keeps none."""

    split_seed: Annotated[int, Field(ge=0)] = 0
    limit: PositiveInt | None = None
    """Keep only about this many training pictures (stratified; the test set shrinks alike), to try things out."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(
                f"`validation` must be a share below 1 or a whole number of pictures, but got {self.validation}"
            )
        return self


class StudySpec(Spec):
    """One comparison: pictures, candidates, a protocol."""

    format: Literal[1] = 1
    name: str = Field(default="study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    description: str = ""
    data: DataSpec = DataSpec()
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)] = [0]
    precision: PrecisionName = "float32"
    stem: StemName = "auto"
    recipe: RecipeGrid = RecipeGrid()
    view: Views = Views()
    candidates: Annotated[list[CandidateGrid], Field(min_length=1)] = [
        CandidateGrid(model=["resnet18", "alexnet", "mobilenet_v2"])
    ]

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError(f"`seeds` must differ from each other, but got {value}")
        return value

    @classmethod
    def from_toml(cls, text: str, *, where: str = "study") -> Self:
        """Read a study from TOML.

        Args:
            text: The TOML document.
            where: What to call it in errors, usually the file's path.

        Raises:
            SpecError: If it is not TOML, has unknown keys or values that are not allowed, or is of a later format.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"{where} must be TOML, but {error}") from error
        return cls.from_mapping(content, where=where)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a study file.

        Raises:
            SpecError: If the file cannot be read, or as `from_toml`.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"a study file must be readable text, but {path}: {error}") from error
        return cls.from_toml(text, where=str(path))

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], *, where: str = "study") -> Self:
        """Validate plain values, as `from_toml` finds them.

        Raises:
            SpecError: As `from_toml`.
        """
        found = content.get("format", FORMAT)
        if found != FORMAT:
            raise SpecError(
                f"{where}: this bakeoff reads format {FORMAT}, but got format = {found!r}; use the bakeoff that wrote it"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise SpecError(_explain(error, cls, where)) from error

    def to_toml(self) -> str:
        """Write the study as TOML that `from_toml` reads back to an equal specification."""
        return tomli_w.dumps(
            _without_none(
                self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format, "name": self.name}
            )
        )

    def resolve(self, facts: DataFacts) -> ResolvedStudy:
        """Fill in every default from facts about the pictures, and expand the grid.

        Raises:
            SpecError: If a combination is not possible for these pictures, or two candidates are the same.
        """
        validation = resolve_validation(self.data.validation, facts)
        candidates: dict[str, CandidateSpec] = {}
        for grid in self.candidates:
            for candidate in _expand(grid, self, facts):
                if candidate.id in candidates:
                    raise SpecError(
                        f"candidates must differ in something that decides their numbers, but {describe(candidate)} stands twice; remove one"
                    )
                candidates[candidate.id] = candidate
        return ResolvedStudy(
            name=self.name,
            description=self.description,
            source=self.data.source,
            size=facts.size,
            fingerprint=facts.fingerprint,
            validation=validation,
            split_seed=self.data.split_seed,
            limit=self.data.limit,
            seeds=self.seeds,
            precision=self.precision,
            candidates=list(candidates.values()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What of a data set decides the defaults of a study."""

    fingerprint: str
    """A hash of the decoded pictures, their labels and classes."""

    size: int
    """Side of the pictures in pixels."""

    train_pictures: int
    """Training pictures after `limit`, before the validation split."""

    classes: int
    has_validation: bool
    """Whether the pictures come with a validation split of their own."""

    flippable: bool
    """Whether a mirrored picture still shows its class (not so for digits)."""


class ResolvedStudy(Spec):
    """A study with nothing left to decide: what `study.toml` in a study folder holds."""

    format: Literal[1] = 1
    name: str
    description: str = ""
    source: str
    size: int
    fingerprint: str
    validation: int
    """Pictures split off the training set for validation."""

    split_seed: int
    limit: int | None = None
    seeds: list[int]
    precision: PrecisionName
    candidates: list[CandidateSpec]

    @property
    def id(self) -> str:
        """A hash of all runs' ids: two studies with the same id compare the same things."""
        return content_id(sorted(run.id for run in self.runs()))

    def runs(self) -> list[RunSpec]:
        """Return the units of work, seed by seed so that every candidate has a result early."""
        return [self.run_of(candidate, seed) for seed, candidate in itertools.product(self.seeds, self.candidates)]

    def run_of(self, candidate: CandidateSpec, seed: int) -> RunSpec:
        """Return the run of one candidate with one seed."""
        return RunSpec(
            candidate=candidate,
            seed=seed,
            precision=self.precision,
            fingerprint=self.fingerprint,
            validation=self.validation,
            split_seed=self.split_seed,
            limit=self.limit,
        )

    def to_toml(self) -> str:
        """Write it as TOML that `from_toml` reads back to an equal study."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))

    @classmethod
    def from_toml(cls, text: str, *, where: str = "study.toml") -> Self:
        """Read what `to_toml` wrote.

        Raises:
            SpecError: If it is not such a document, or of another format.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"{where} must be TOML, but {error}") from error
        found = content.get("format")
        if found != FORMAT:
            raise SpecError(
                f"{where}: this bakeoff reads format {FORMAT}, but got format = {found!r}; use the bakeoff that wrote it"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise SpecError(_explain(error, cls, where)) from error

    def differences(self, other: ResolvedStudy) -> list[str]:
        """Return one line for each key in which another study differs, as `key: this -> that`."""
        mine, theirs = (
            dict(_flatten(study.model_dump(mode="json", exclude={"description", "source"}))) for study in (self, other)
        )
        return [
            f"{key}: {mine.get(key, '(absent)')} -> {theirs.get(key, '(absent)')}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


class RunSpec(Spec):
    """A candidate with a seed on these pictures: the unit of work, of failure and of resume."""

    candidate: CandidateSpec
    seed: int
    precision: PrecisionName
    fingerprint: str
    validation: int
    split_seed: int
    limit: int | None

    @property
    def id(self) -> str:
        """A hash of all that decides the run's numbers, up to what `Numerics` records."""
        split_seed = self.split_seed if self.validation or self.limit else None
        return content_id(
            self.model_dump(mode="json", exclude={"candidate", "split_seed"})
            | {"candidate": self.candidate.identity(), "split_seed": split_seed, "format": FORMAT}
        )


def content_id(content: Any) -> str:
    """Return 12 hexadecimal digits that name plain JSON content: equal content, equal id."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def resolve_validation(validation: float, facts: DataFacts) -> int:
    """Return how many training pictures a validation split of this share or number takes.

    Raises:
        SpecError: If it would leave a class without a picture on either side.
    """
    if facts.has_validation or validation == 0:
        return 0
    count = round(validation * facts.train_pictures) if validation < 1 else int(validation)
    if not facts.classes <= count <= facts.train_pictures - facts.classes:
        raise SpecError(
            f"the validation split must hold and leave at least one picture of each of the {facts.classes} classes, but "
            f"validation = {validation:g} takes {count} of {facts.train_pictures} training pictures; choose another, or 0 for none"
        )
    return count


def describe(candidate: CandidateSpec) -> str:
    """Return a candidate's full description in a few words."""
    recipe = candidate.recipe
    return (
        f"{candidate.name or candidate.model} ({candidate.stem} stem, {recipe.optimizer} {recipe.learning_rate:g}, "
        f"{recipe.schedule}, {recipe.epochs} epochs of batch {recipe.batch_size})"
    )


def labels(candidates: list[CandidateSpec]) -> dict[str, str]:
    """Return a short label by candidate id: its model or name, and whatever tells the candidates apart."""

    def parts(candidate: CandidateSpec) -> dict[str, str]:
        recipe = candidate.recipe
        return {
            "model": candidate.model,  # tells candidates apart that share a name
            "optimizer": recipe.optimizer,
            "learning_rate": f"{recipe.learning_rate:g}",
            "schedule": recipe.schedule,
            "epochs": f"{recipe.epochs} epochs",
            "batch_size": f"batch {recipe.batch_size}",
            "warmup_epochs": f"warm-up {recipe.warmup_epochs:g}",
            "weight_decay": f"decay {recipe.weight_decay:g}",
            "momentum": f"momentum {recipe.momentum:g}",
            "label_smoothing": f"smoothing {recipe.label_smoothing:g}",
            "stem": f"{candidate.stem} stem",
            "view": f"view {content_id([candidate.train_view.model_dump(), candidate.evaluate_view.model_dump(), str(candidate.normalization)])[:4]}",
        }

    result = {}
    for candidate in candidates:
        head = candidate.name or candidate.model
        rivals = [parts(other) for other in candidates if (other.name or other.model) == head]
        telling = [value for key, value in parts(candidate).items() if len({rival[key] for rival in rivals}) > 1]
        result[candidate.id] = " ".join([head, *telling])
    return result


def _expand(grid: CandidateGrid, study: StudySpec, facts: DataFacts) -> Iterator[CandidateSpec]:
    """Yield every combination of a candidate entry's lists, with the study's defaults below it."""
    given = {key: value for key in RecipeGrid.model_fields if (value := getattr(grid, key)) is not None}
    shared = {key: value for key in RecipeGrid.model_fields if (value := getattr(study.recipe, key)) is not None}
    if "optimizer" in given and "learning_rate" not in given and not isinstance(shared.get("learning_rate"), list):
        # A rate shared by the study belongs to the study's optimizer: another optimizer gets its own default.
        shared.pop("learning_rate", None)
    merged = RECIPE_DEFAULTS | shared | given
    axes = {key: value if isinstance(value, list) else [value] for key, value in merged.items()}
    models = grid.model if isinstance(grid.model, list) else [grid.model]
    views = grid.view or study.view
    for model, *values in itertools.product(models, *axes.values()):
        recipe = dict(zip(axes, values, strict=True))
        recipe.setdefault("learning_rate", DEFAULT_LEARNING_RATES[recipe["optimizer"]])
        yield _candidate(model, recipe, views, grid.stem or study.stem, grid.name, facts)


def _candidate(
    model: str, recipe: dict[str, Any], views: Views, stem: StemName, name: str | None, facts: DataFacts
) -> CandidateSpec:
    train = views.train
    if train is None:
        train = ViewSpec(flip=facts.flippable, crop=facts.size, padding=max(1, facts.size // 8), random=True)
    evaluate = views.evaluate
    if evaluate is None:
        evaluate = ViewSpec(resize=train.resize)
        if evaluate.input_size(facts.size) != train.input_size(facts.size):
            evaluate = ViewSpec(resize=train.resize, crop=train.crop)
    size = train.input_size(facts.size)
    if evaluate.input_size(facts.size) != size:
        raise SpecError(
            f"training and evaluation must give the network inputs of one size, but {model} would see {size} and "
            f"{evaluate.input_size(facts.size)} pixels; set `crop` or `resize` in [view.evaluate]"
        )
    try:
        decided = Recipe.model_validate(recipe)
    except ValidationError as error:
        raise SpecError(_explain(error, Recipe, f"recipe of {model}")) from error
    return CandidateSpec(
        model=model,
        stem=("small" if size < SMALL_INPUT else "original") if stem == "auto" else stem,
        train_view=train.canonical(facts.size),
        evaluate_view=evaluate.canonical(facts.size),
        normalization=views.normalize,
        recipe=decided,
        name=name,
    )


def _without_none(value: Any) -> Any:
    """Drop keys whose value is None, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from _flatten(item, f"{path}[{index}]")
    else:
        yield path, value


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
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
