"""Views equal torchvision's reference transforms; draws are as random as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from bakeoff.data.view import Draws, View
from bakeoff.spec import ViewSpec

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def pictures(count: int = 8, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth pictures with edges, so that resizing has something to get wrong."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in coarse]
    noisy = np.stack(large).astype(int) + generator.integers(-20, 20, (count, side, side, 3))
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


def reference(images: torch.Tensor, *operations: object) -> torch.Tensor:
    """What torchvision makes of the same pictures, one by one, through Pillow."""
    pipeline = v2.Compose(
        [*operations, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    )
    return torch.stack([pipeline(Image.fromarray(image.numpy())) for image in images])


def view(**spec: object) -> View:
    return View(ViewSpec(**spec), MEAN, STD, 32)


def test_the_whole_picture_is_normalised_as_torchvision_does() -> None:
    seen = view().apply(pictures(), None)
    torch.testing.assert_close(seen, reference(pictures()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [224, 48, 24])
def test_resizing_equals_pillow_within_one_level(side: int) -> None:
    seen = view(resize=side).apply(pictures(), None)
    expected = reference(pictures(), v2.Resize(side))
    levels = (seen - expected) * torch.tensor(STD).view(3, 1, 1) * 255
    assert levels.abs().max() < 1.001
    assert (levels.abs() > 0.5).float().mean() < 0.02


@pytest.mark.parametrize("crop", [24, 25, 32])
def test_the_centre_crop_is_torchvisions(crop: int) -> None:
    torch.testing.assert_close(
        view(crop=crop).apply(pictures(), None), reference(pictures(), v2.CenterCrop(crop)), rtol=0, atol=1e-5
    )


def test_a_centre_crop_larger_than_the_picture_sees_black_around_it() -> None:
    seen = view(crop=36, padding=4).apply(pictures(), None)
    torch.testing.assert_close(seen, reference(pictures(), v2.CenterCrop(36)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("padding", [1, 4, 31])
def test_a_mirrored_border_equals_torchvisions(padding: int) -> None:
    side = 32 + 2 * padding
    padded = TF.pad(pictures().permute(0, 3, 1, 2), [padding], padding_mode="reflect").permute(0, 2, 3, 1)
    seen = view(crop=side, padding=padding, padding_mode="reflect").apply(pictures(), None)
    torch.testing.assert_close(seen, View(ViewSpec(), MEAN, STD, side).apply(padded, None))


@pytest.mark.parametrize("resize", [None, 40])
@pytest.mark.parametrize(("crop", "padding"), [(32, 4), (20, 0), (48, 8)])
def test_each_draw_equals_torchvisions_flip_pad_and_crop(resize: int | None, crop: int, padding: int) -> None:
    images = pictures(16)
    seen_through = view(resize=resize, flip=True, crop=crop, padding=padding, random=True)
    if crop > (resize or 32) + 2 * padding:
        pytest.skip("no such crop")
    draws = seen_through.draw(16, torch.Generator().manual_seed(3))
    assert draws is not None
    assert draws.flip.any()
    assert not draws.flip.all()
    levels = View(seen_through.spec, (0, 0, 0), (1 / 255,) * 3, 32).apply(images, draws)
    for number, image in enumerate(images):
        expected = image.permute(2, 0, 1)
        if resize:
            expected = TF.resize(expected, [resize, resize], antialias=True)
        if draws.flip[number]:
            expected = TF.horizontal_flip(expected)
        expected = TF.pad(expected, [padding])
        expected = TF.crop(expected, int(draws.top[number]), int(draws.left[number]), crop, crop)
        torch.testing.assert_close(levels[number], expected.float(), rtol=0, atol=1e-3)


def test_a_flip_alone_is_torchvisions() -> None:
    images = pictures(4)
    draws = Draws(
        torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long), torch.tensor([True, False, True, False])
    )
    seen = view(flip=True, random=True).apply(images, draws)
    plain = view().apply(images, None)
    assert torch.equal(seen[0], plain[0].flip(2))
    assert torch.equal(seen[1], plain[1])


def test_offsets_are_uniform_and_half_the_pictures_are_mirrored() -> None:
    draws = view(flip=True, crop=32, padding=4, random=True).draw(18_000, torch.Generator().manual_seed(0))
    assert draws is not None
    for offsets in (draws.top, draws.left):
        counts = torch.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    pairs = torch.bincount(draws.top * 9 + draws.left, minlength=81)
    assert stats.chisquare(pairs.numpy()).pvalue > 1e-3  # rows and columns are drawn apart
    assert stats.binomtest(int(draws.flip.sum()), 18_000, 0.5).pvalue > 1e-3


def test_the_same_seed_gives_the_same_draws_and_another_gives_others() -> None:
    seen_through = view(flip=True, crop=32, padding=4, random=True)
    one, same, other = (seen_through.draw(50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert torch.equal(one.top, same.top)
    assert torch.equal(one.flip, same.flip)
    assert not torch.equal(one.top, other.top)


def test_the_draws_of_a_batch_are_those_of_its_pictures() -> None:
    images = pictures(10)
    seen_through = view(flip=True, crop=32, padding=4, random=True)
    draws = seen_through.draw(10, torch.Generator().manual_seed(1))
    assert draws is not None
    whole = seen_through.apply(images, draws)
    assert torch.equal(whole[4:7], seen_through.apply(images[4:7], draws[4:7]))


def test_a_view_without_chance_draws_nothing() -> None:
    assert view(resize=64).draw(5, torch.Generator()) is None


def test_the_result_is_laid_out_channels_last_and_the_pictures_are_left_alone() -> None:
    images = pictures()
    before = images.clone()
    seen_through = view(flip=True, crop=32, padding=4, random=True)
    seen = seen_through.apply(images, seen_through.draw(8, torch.Generator().manual_seed(0)))
    assert seen.shape == (8, 3, 32, 32)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_what_the_cpu_sees() -> None:
    images = pictures()
    for spec in ({"flip": True, "crop": 32, "padding": 4}, {"resize": 48, "flip": True, "crop": 40}):
        seen_through = View(ViewSpec(random=True, **spec), (0, 0, 0), (1 / 255,) * 3, 32)
        draws = seen_through.draw(8, torch.Generator().manual_seed(0))
        on_cpu, on_gpu = seen_through.apply(images, draws), seen_through.apply(images.cuda(), draws).cpu()
        assert (on_cpu - on_gpu).abs().max() < 1.001  # one level: the two scale with other arithmetic


def test_pictures_may_lie_in_memory_in_any_order() -> None:
    planes = pictures().permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    for seen_through in (
        view(),
        view(flip=True, crop=32, padding=4, random=True),
        view(resize=20),
        view(crop=9, random=True),
    ):
        draws = seen_through.draw(8, torch.Generator().manual_seed(0))
        assert torch.equal(seen_through.apply(planes, draws), seen_through.apply(pictures(), draws))
