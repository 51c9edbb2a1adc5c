"""What the rules look at: plain data, gathered elsewhere. Whatever is absent says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bakeoff.predictions import Predictions
from bakeoff.records import OneBatch, Repeat
from bakeoff.spec import ResolvedStudy

if TYPE_CHECKING:
    import pandas as pd

    from bakeoff.analysis.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """What one view lets through of a picture, measured by pushing a picture of coordinates through it."""

    coverage: float
    """Share of the picture that is seen, width times height, in [0, 1]; the mean over draws."""

    least: float
    """The smallest over draws."""

    window: tuple[float, float]
    """Median width and height of what is seen, in pixels of the picture."""

    scale: float
    """Pixels of the picture for one pixel of the network's input: below 1 where it is enlarged."""

    size: int
    """Side of the network's input in pixels."""

    draws: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStatistics:
    """A network's inputs, per channel (red, green, blue), without the black that pictures are padded with."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    largest: float
    """Largest absolute value."""

    pictures: int
    padding: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How far the black that pictures are padded with moves each mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewProbe:
    """What a candidate's two views do."""

    train: FieldOfView
    evaluate: FieldOfView
    train_inputs: InputStatistics
    evaluate_inputs: InputStatistics
    fetched: int
    """Validation and test pictures that were seen twice through the evaluation view, under different draws."""

    differing: int
    """Pictures of these that were not the same, bit for bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProbe:
    """What a candidate's network does before training."""

    map_side: int | None
    """Side of its last feature map at the size of its input; None where it has none."""

    initial_loss: float | None
    """Cross-entropy in nats of a first batch in training mode; None if it is not finite."""

    repeat_difference: float | None
    """Largest difference between the logits of one batch seen twice in evaluation; None if they are not finite."""

    company_difference: float | None
    """Largest difference between a picture's logits alone and in a batch, in standard deviations of the logits."""

    foreign_gradient: float | None
    """Largest gradient of a picture's logits by another picture's pixels in evaluation, as a share of the largest by any;
    None if there is no finite gradient."""

    pictures: int
    """Pictures in the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Pictures of one split that another split holds too."""

    first: str
    """The split that is learnt from or chosen by: `train` or `validation`."""

    second: str
    """The split whose pictures are counted: `validation` or `test`."""

    same: int
    """Pictures of `second` that are in `first` pixel for pixel."""

    near: int
    """Pictures that are there but for compression, brightness, a pixel's shift or mirroring."""

    pictures: int
    """Pictures in `second`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProbe:
    """What a study's pictures are like."""

    name: str
    size: int
    classes: tuple[str, ...]
    own_validation: bool
    """Whether the pictures came with a validation split."""

    counts: dict[str, tuple[int, ...]]
    """Pictures of each class by split: `train`, `validation` (if there is one), `test`."""

    constant: dict[str, int]
    """Pictures of a single colour, by split."""

    overlaps: tuple[Overlap, ...]
    contradicting: int
    """Pictures that are there twice, pixel for pixel, with two labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A linear softmax on the raw pixels of the study's own training pictures."""

    accuracy: float
    """Accuracy on the test pictures, in [0, 1]."""

    train_pictures: int
    test_pictures: int
    size: int
    """Side of the pictures as it saw them, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What was measured of a study besides its runs; kept with it, so that it can be audited without its pictures."""

    views: dict[str, ViewProbe]
    """By candidate id."""

    networks: dict[str, NetworkProbe]
    """By candidate id."""

    data: DataProbe
    baseline: Baseline | None = None
    """Trained at a study's end."""

    one_batch: dict[str, OneBatch] | None = None
    """By candidate id; tried only when it is asked for."""

    repeats: dict[str, Repeat] | None = None
    """By candidate id; tried only when it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of a study. A field that is None is absent, and `absent` says why."""

    study: ResolvedStudy
    labels: Mapping[str, str]
    """A short name by candidate id."""

    runs: pd.DataFrame | None = None
    """One row a run, as `Store.runs_frame` gives them, with what was seen of its training in `health`."""

    epochs: pd.DataFrame | None = None
    """One row an epoch record, as `Store.epochs_frame` gives them."""

    predictions: Mapping[str, Predictions] | None = None
    """What finished runs predicted for the test pictures, by run id."""

    verdict: Verdict | None = None
    """The verdict on all candidates that have a finished run; where rules on what it tells (S2, S3, S5, S6) ask, without those that errors of
    other kinds take out."""

    costs: Mapping[str, dict[str, Any]] | None = None
    """What candidates cost, by candidate id."""

    views: Mapping[str, ViewProbe] | None = None
    """By candidate id."""

    networks: Mapping[str, NetworkProbe] | None = None
    """By candidate id."""

    data: DataProbe | None = None
    baseline: Baseline | None = None
    one_batch: Mapping[str, OneBatch] | None = None
    """How well fresh networks learn a few pictures by heart, by candidate id."""

    repeats: Mapping[str, Repeat] | None = None
    """What came of each candidate's first steps, taken again, by its id."""

    macs: Mapping[str, int] | None = None
    """Multiply-accumulates of one picture's forward pass, by candidate id."""

    validated: bool | None = None
    """Whether a validation split decides, not the test set."""

    absent: Mapping[str, str] = field(default_factory=dict)
    """Why a field is None, by its name."""

    def named(self, needs: tuple[str, ...], uses: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return these fields by name.

        Args:
            needs: Those that must be there.
            uses: Those that may be None.

        Raises:
            AbsentError: If one that must be there is absent; the message is why.
        """
        for name in needs:
            if getattr(self, name) is None:
                raise AbsentError(self.absent.get(name, f"there is no record of its {name}"))
        return {name: getattr(self, name) for name in (*needs, *uses)}


class AbsentError(Exception):
    """A rule needs evidence that is not there."""
