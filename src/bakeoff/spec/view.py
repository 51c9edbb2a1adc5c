"""How a picture becomes a network's input."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bakeoff.errors import SpecError, near_miss
from bakeoff.spec.base import Rate, Side, Spec


class ViewSpec(Spec):
    """How a picture becomes a network's input, in this order: resize, flip, crop."""

    resize: Side | None = None
    """Side of the square that the picture is scaled to first (bilinear, antialiased), in pixels."""

    flip: bool | Literal["alternate"] = False
    """Mirror left-right with probability 1/2, or `alternate`: a random half of the pictures in the first epoch, the
    other half in the next, and so on, so that every two epochs show both sides (Jordan 2024, arXiv:2404.00498, section
    3.6). Needs `random`."""

    crop: Side | None = None
    """Side of the square cut out, in pixels; where is random if `random`, else the centre."""

    padding: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels added on each side before the crop."""

    padding_mode: Literal["constant", "reflect"] = "constant"
    """What is added: black, or the picture mirrored at its border."""

    random: bool = False
    """Whether each picture gets its own draw each time it is seen."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.padding and self.crop is None:
            raise ValueError(
                f"`padding` needs a `crop` to cut from the padded picture, but got padding = {self.padding}"
            )
        if self.padding_mode == "reflect" and not self.padding:
            raise ValueError("`padding_mode` says what `padding` adds, but padding = 0: set it, or leave the mode out")
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
        if self.padding_mode == "reflect" and self.padding >= scaled:
            raise SpecError(
                f"a picture can be mirrored once at its border, but padding = {self.padding} is asked of {scaled} pixels; "
                "lower `padding`"
            )
        return self.crop

    def canonical(self, picture: int) -> ViewSpec:
        """Return the view without operations that change nothing for pictures of side `picture`."""
        resize = None if self.resize == picture else self.resize
        crop, padding = self.crop, self.padding
        if crop == (resize or picture) and (padding == 0 or not self.random):
            crop, padding = None, 0
        random = self.random and (self.flip is not False or crop is not None)
        mode = self.padding_mode if padding else "constant"
        return ViewSpec(resize=resize, flip=self.flip, crop=crop, padding=padding, padding_mode=mode, random=random)


Mean = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
"""A channel's mean: as far from 0 as deviations may be."""


class Normalization(Spec):
    """Subtracted from and divided into each channel (red, green, blue) of pixels scaled to [0, 1]."""

    mean: tuple[Mean, Mean, Mean]
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
