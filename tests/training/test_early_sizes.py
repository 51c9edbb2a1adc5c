"""Inputs are smaller in the first epochs, and as the view says in the last."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from bakeoff.training.early_sizes import sized
from tests.builders import recipe

SIZES = [[16, 0.5], [24, 0.25]]


@pytest.mark.parametrize(("done", "side"), [(0.0, 16), (0.49, 16), (0.5, 24), (0.74, 24), (0.75, 32), (0.99, 32)])
def test_the_size_follows_the_share_of_training_that_is_done(done: float, side: int) -> None:
    assert sized(torch.zeros(2, 3, 32, 32), recipe(early_sizes=SIZES), done).shape == (2, 3, side, side)


def test_pictures_are_scaled_as_by_torch_and_left_alone_at_the_end() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert sized(images, recipe(early_sizes=SIZES), 0.9) is images
    assert sized(images, recipe(), 0.0) is images
    torch.testing.assert_close(
        sized(images, recipe(early_sizes=SIZES), 0.1), F.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    )


@pytest.mark.parametrize("sizes", [[[16, 0.5], [24, 0.5]], [[0, 0.5]], [[16, 0.0]], [[16, 1.5]], [[16]], 16])
def test_sizes_that_leave_nothing_for_the_full_one_or_make_no_sense_are_refused(sizes: object) -> None:
    with pytest.raises(ValidationError):
        recipe(early_sizes=sizes)
