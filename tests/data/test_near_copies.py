"""Copies are named though they were changed a little; other pictures are not, however alike from afar."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from bakeoff.data import near_copies as module
from bakeoff.data.near_copies import joined, near_copies, small

COUNT = 150


def layer(count: int, cells: int, seed: int, size: int = 32) -> np.ndarray:
    """Noise of so many cells a side, made smooth: shape (count, size, size, 3), from -1 to 1."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (count, 3, cells, cells)))
    wide = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return wide.permute(0, 2, 3, 1).numpy()


def photographs(count: int, seed: int, *, shapes: int | None = None) -> np.ndarray:
    """Pictures with large shapes and ever fainter smaller ones, as photographs have them; `shapes` is the large ones' seed."""
    large = 70 * layer(count, 4, seed if shapes is None else shapes)
    # What is fine in photographs is light and shade more than colour.
    finer = sum(
        strength * layer(count, cells, seed + cells)[..., :1] for cells, strength in ((8, 25), (16, 20), (32, 12))
    )
    return (128 + large + finer).clip(0, 255).astype(np.uint8)


def encoded_again(pictures: np.ndarray, quality: int) -> np.ndarray:
    again = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        again.append(np.asarray(Image.open(buffer)))
    return np.stack(again)


def brighter(pictures: np.ndarray) -> np.ndarray:
    return (pictures.astype(int) + 25).clip(0, 255).astype(np.uint8)


def moved(pictures: np.ndarray) -> np.ndarray:
    return np.concatenate([pictures[:, :, :1], pictures[:, :, :-1]], axis=2)


def mirrored(pictures: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pictures[:, :, ::-1])


def found_among(first: np.ndarray, second: np.ndarray, *, flippable: bool = True) -> set[tuple[int, int]]:
    """Return the pairs that are named, the lower place first; places go on from the first pictures to the second."""
    pairs = near_copies(joined([small(first, flippable=flippable), small(second, flippable=flippable)]))
    named = [tuple(sorted(pair)) for pair in pairs.tolist()]
    assert len(set(named)) == len(named)
    return set(named)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda pictures: encoded_again(pictures, 75), 0.97),
        (brighter, 0.95),
        (moved, 0.7),
        (mirrored, 0.97),
        (lambda pictures: mirrored(encoded_again(pictures, 75)), 0.95),
    ],
    ids=["encoded again", "brighter", "moved by a pixel", "mirrored", "encoded again and mirrored"],
)
def test_most_copies_are_named_and_nothing_else_is(change: Callable[[np.ndarray], np.ndarray], least: float) -> None:
    pictures = photographs(COUNT, 1)
    named = found_among(pictures, change(pictures))
    copies = {(place, COUNT + place) for place in range(COUNT)}
    assert len(named & copies) >= least * COUNT
    assert not named - copies


def test_pictures_of_one_layout_with_other_details_are_no_copies() -> None:
    assert not found_among(photographs(COUNT, 1, shapes=5), photographs(COUNT, 100, shapes=5))


def test_a_picture_that_may_not_be_mirrored_is_no_copy_of_its_mirror_image() -> None:
    pictures = photographs(COUNT, 1)
    assert not found_among(pictures, mirrored(pictures), flippable=False)


@pytest.mark.parametrize("quality", [None, 90])
def test_the_same_digit_written_twice_on_plain_ground_is_no_copy(quality: int | None) -> None:
    chance = np.random.default_rng(0)
    fonts = [ImageFont.load_default(points) for points in (38, 42, 46)]
    pages = []
    for _ in range(400):
        page = Image.new("RGB", (56, 56))
        font = fonts[chance.integers(len(fonts))]
        ImageDraw.Draw(page).text((28, 28), str(chance.integers(4)), fill="white", font=font, anchor="mm")
        pages.append(np.asarray(page.rotate(chance.normal() * 8).resize((28, 28), Image.Resampling.LANCZOS)))
    digits = np.stack(pages)
    digits = digits if quality is None else encoded_again(digits, quality)
    assert not found_among(digits[:200], digits[200:], flippable=False)


def test_pictures_of_a_few_pixels_are_not_compared() -> None:
    pictures = photographs(20, 1)[:, :8, :8]
    assert not found_among(pictures, encoded_again(pictures, 95))


def test_large_pictures_are_compared_too() -> None:
    pictures = np.kron(photographs(20, 1), np.ones((1, 3, 3, 1), dtype=np.uint8))
    assert found_among(pictures, encoded_again(pictures, 75)) == {(place, 20 + place) for place in range(20)}


def test_hashes_that_differ_in_fewer_bits_than_there_are_parts_are_always_brought_together() -> None:
    blocks = torch.from_numpy(layer(60, 4, 3, size=8)[..., 0].reshape(60, 64)).float()
    noisy = torch.cat([blocks, blocks + 0.05 * torch.randn(60, 64, generator=torch.Generator().manual_seed(0))])
    bits = noisy.numpy() > np.median(noisy.numpy(), axis=1, keepdims=True)
    apart = {(one, other): int((bits[one] != bits[other]).sum()) for one in range(120) for other in range(one + 1, 120)}
    pairs = [tuple(sorted(pair)) for some in module._alike(noisy) for pair in some.tolist()]
    assert len(set(pairs)) == len(pairs)
    must = {pair for pair, bits_apart in apart.items() if bits_apart < module.PARTS}
    assert len(must) > 20
    assert must <= set(pairs)
    assert all(apart[pair] <= module.FAR for pair in pairs)


def test_many_pictures_of_one_hash_take_no_square_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARED", 8)
    monkeypatch.setattr(module, "AT_ONCE", 16)
    same = torch.arange(64.0).expand(2000, 64)
    pairs = sum(len(some) for some in module._alike(same))
    assert pairs <= 2000 * (8 + 16)
