"""Views: how pictures become a network's input, whole batches at a time, each picture with its own draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from bakeoff.spec import ViewSpec


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decides of each picture's view. Index with a slice to get those of a batch."""

    top: torch.Tensor
    """Shape (pictures,): first row of the crop, counted in the padded picture."""

    left: torch.Tensor
    """Shape (pictures,): first column of the crop."""

    flip: torch.Tensor
    """Shape (pictures,), bool: whether the picture is mirrored."""

    def __getitem__(self, pictures: slice) -> Draws:
        return Draws(self.top[pictures], self.left[pictures], self.flip[pictures])


class View:
    """One view with its normalisation.

    Args:
        spec: The operations: resize, flip, crop out of padding.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Likewise.
        picture: Side of the pictures in pixels.
    """

    def __init__(self, spec: ViewSpec, mean: tuple[float, float, float], std: tuple[float, float, float], picture: int) -> None:
        self.spec = spec
        self.picture = picture
        self.size = spec.input_size(picture)
        # (pixel / 255 - mean) / std as one multiplication and one addition
        self._scale = torch.tensor([1 / (255 * deviation) for deviation in std]).view(1, 3, 1, 1)
        self._shift = torch.tensor([-middle / deviation for middle, deviation in zip(mean, std, strict=True)]).view(1, 3, 1, 1)

    def draw(self, count: int, generator: torch.Generator) -> Draws | None:
        """Draw the view of so many pictures, or return None where nothing is left to chance."""
        if not self.spec.random:
            return None
        room = 1
        if self.spec.crop is not None:
            room = (self.spec.resize or self.picture) + 2 * self.spec.padding - self.spec.crop + 1
        top, left = torch.randint(room, (2, count), generator=generator)
        flip = torch.zeros(count, dtype=torch.bool)
        if self.spec.flip:
            flip = torch.rand(count, generator=generator) < 0.5
        return Draws(top, left, flip)

    def apply(self, pixels: torch.Tensor, draws: Draws | None) -> torch.Tensor:
        """See a batch of pictures.

        Args:
            pixels: uint8 of shape (batch, picture, picture, 3), on any device.
            draws: One for each picture, or None for a view without chance.

        Returns:
            float32 of shape (batch, 3, size, size), channels innermost in memory, on the same device.
        """
        images = pixels.permute(0, 3, 1, 2)
        if self.spec.resize is not None:
            images = _resized(images, self.spec.resize)
        if draws is None:
            images = self._centre(images)
        elif self.spec.crop is not None:
            images = self._cut(images, draws)
        elif bool(draws.flip.any()):
            mirrored = draws.flip.to(images.device)[:, None, None, None]
            images = torch.where(mirrored, images.flip(3), images)
        inputs = images.to(torch.float32, memory_format=torch.channels_last)
        return inputs.mul_(self._scale.to(inputs.device)).add_(self._shift.to(inputs.device))

    def _centre(self, images: torch.Tensor) -> torch.Tensor:
        crop, padding = self.spec.crop, self.spec.padding
        if crop is None:
            return images
        if padding:
            images = F.pad(images, (padding,) * 4)
        start = round((images.shape[2] - crop) / 2)
        return images[:, :, start : start + crop, start : start + crop]

    def _cut(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Cut each picture's own window, mirrored where drawn so, in one pass over uint8.

        Mirroring comes before cutting in the recipe; cutting the mirrored columns from right to left is the same.
        """
        crop, padding = self.spec.crop, self.spec.padding
        assert crop is not None
        count, side = len(images), images.shape[2]
        steps = torch.arange(crop)
        rows = draws.top[:, None] + steps - padding
        columns = draws.left[:, None] + steps - padding
        columns = torch.where(draws.flip[:, None], side - 1 - columns, columns)
        inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
        places = rows.clamp(0, side - 1)[:, :, None] * side + columns.clamp(0, side - 1)[:, None, :]
        places += torch.arange(count)[:, None, None] * side * side
        pixels = images.permute(0, 2, 3, 1).reshape(count * side * side, 3)
        seen = pixels[places.flatten().to(images.device)].view(count, crop, crop, 3)
        if padding:
            seen *= inside[..., None].to(images.device)
        return seen.permute(0, 3, 1, 2)


def _resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Scale uint8 images of shape (batch, 3, height, width) to a square, bilinear and antialiased, as Pillow does."""
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
