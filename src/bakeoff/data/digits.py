"""The handwritten digits that ship inside scikit-learn: 1,797 grey pictures of 8x8 pixels, no download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from bakeoff.data.cache import Description, Entry
from bakeoff.data.splits import split_validation

TEST_PICTURES = 360


def build(entry: Entry, size: int | None) -> Description:
    """Write the digits into a cache entry, a fifth of each class kept apart for the test."""
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    side = size or grey.shape[1]
    labels = digits.target.astype(np.int64)
    train, test = split_validation(labels, TEST_PICTURES, seed=0)
    for split, chosen in (("train", train), ("test", test)):
        pixels = entry.pixels(split, len(chosen), side)
        for row, index in enumerate(chosen):
            one = Image.fromarray(grey[index])
            scaled = one if one.width == side else one.resize((side, side), Image.Resampling.BILINEAR)
            pixels[row] = np.asarray(scaled)[..., None]
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
