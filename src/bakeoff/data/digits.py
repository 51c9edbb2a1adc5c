"""The handwritten digits that ship inside scikit-learn: 1,797 grey pictures of 8x8 pixels, no download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bakeoff.data.cache import Description, Entry
from bakeoff.data.splits import split_validation

TEST_PICTURES = 360


def build(entry: Entry, size: int | None) -> Description:
    """Write the digits into a cache entry, a fifth of each class kept apart for the test."""
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    if size is not None and size != grey.shape[1]:
        scaled = (Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR) for one in grey)
        grey = np.stack([np.asarray(one) for one in scaled])
    pixels: NDArray[np.uint8] = np.repeat(grey[..., None], 3, axis=3)
    labels = digits.target.astype(np.int64)
    train, test = split_validation(labels, TEST_PICTURES, seed=0)
    for split, chosen in (("train", train), ("test", test)):
        entry.pixels(split, len(chosen), pixels.shape[1])[:] = pixels[chosen]
        entry.labels(split, labels[chosen])
    return Description(
        name="digits",
        classes=tuple(str(name) for name in digits.target_names),
        flippable=False,  # a mirrored 2 is no digit
        notes=(
            f"the test set is {TEST_PICTURES} pictures split off here, stratified, seed 0: "
            "scikit-learn's digits have none",
        ),
    )
