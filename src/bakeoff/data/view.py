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

    def __init__(
        self, spec: ViewSpec, mean: tuple[float, float, float], std: tuple[float, float, float], picture: int
    ) -> None:
        self.spec = spec
        self.picture = picture
        self.size = spec.input_size(picture)
        # (pixel / 255 - mean) / std as one multiplication and one addition, written out for a whole row of pixels:
        # broadcasting over the innermost three values alone is several times slower.
        self._scale = torch.tensor([1 / (255 * deviation) for deviation in std]).repeat(self.size)
        self._shift = torch.tensor([-middle / deviation for middle, deviation in zip(mean, std, strict=True)]).repeat(
            self.size
        )

    def draw(self, count: int, generator: torch.Generator) -> Draws | None:
        """Draw the view of so many pictures, or return None where nothing is left to chance."""
        if not self.spec.random:
            return None
        places = 1
        if self.spec.crop is not None:
            places = (self.spec.resize or self.picture) + 2 * self.spec.padding - self.spec.crop + 1
        top, left = torch.randint(places, (2, count), generator=generator)
        flip = torch.zeros(count, dtype=torch.bool)
        if self.spec.flip:  # `alternate` is decided over the epochs, by `Batches`
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
        images = pixels
        if self.spec.resize is not None:
            images = _resized(images, self.spec.resize)
        if self.spec.padding:
            images = _padded(images, self.spec.padding, self.spec.padding_mode)
        return self._normalised(self._centre(images) if draws is None else self._drawn(images, draws))

    def _centre(self, images: torch.Tensor) -> torch.Tensor:
        start = round((images.shape[1] - self.size) / 2)  # half to even, as torchvision's CenterCrop
        return images[:, start : start + self.size, start : start + self.size]

    def _drawn(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Cut and mirror each picture by its own draw.

        The view mirrors before it cuts; mirroring the window that lies opposite is the same, and less work.
        """
        if self.spec.crop is None:
            return _mirrored(images, draws.flip)
        images = images.contiguous()
        batch, side, crop = len(images), images.shape[1], self.spec.crop
        places = side - crop + 1
        # Every window of every picture as a row of bytes, without a copy: shape (batch, top, left, row, column x 3).
        windows = images.as_strided(
            (batch, places, places, crop, crop * 3), (side * side * 3, side * 3, 3, side * 3, 1)
        )
        left = torch.where(draws.flip, places - 1 - draws.left, draws.left)
        which = (torch.arange(batch), draws.top, left)
        cut = windows[tuple(index.to(images.device) for index in which)]
        return _mirrored(cut.view(batch, crop, crop, 3), draws.flip)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        batch, size = len(images), self.size
        rows = images.reshape(batch * size, size * 3).to(torch.float32)
        self._scale, self._shift = self._scale.to(rows.device), self._shift.to(rows.device)
        return rows.mul_(self._scale).add_(self._shift).view(batch, size, size, 3).permute(0, 3, 1, 2)


def _padded(images: torch.Tensor, padding: int, mode: str) -> torch.Tensor:
    """Add pixels around pictures of shape (batch, side, side, 3): black, or mirrored at the border."""
    if mode == "constant":
        return F.pad(images, (0, 0, *(padding,) * 4))
    side = images.shape[1]
    places = torch.arange(-padding, side + padding, device=images.device).abs()
    places = (side - 1) - ((side - 1) - places).abs()  # beyond the last pixel, as far before it
    return images[:, places][:, :, places]


def _mirrored(images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Mirror those pictures of shape (batch, height, width, 3) that are drawn so, leaving the given tensor alone."""
    if not flip.any():
        return images
    # All are mirrored and half of that thrown away: copying whole pictures is quicker than writing into some.
    both = torch.cat([images, images.flip(2)])
    chosen = torch.arange(len(images)) + len(images) * flip
    return both.index_select(0, chosen.to(images.device))


def _resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Scale uint8 pictures of shape (batch, height, width, 3) to a square, bilinear and antialiased, as Pillow does."""
    planes = images.permute(0, 3, 1, 2)
    if images.device.type == "cpu":
        scaled = F.interpolate(planes, (side, side), mode="bilinear", antialias=True, align_corners=False)
    else:  # only the CPU scales bytes with antialiasing
        exact = F.interpolate(planes.float(), (side, side), mode="bilinear", antialias=True, align_corners=False)
        scaled = exact.round_().clamp_(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1)
