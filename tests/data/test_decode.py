"""Every kind of picture is converted as it should be, and every bad one refused with its reason."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bakeoff.data.decode import PIXEL_LIMIT, UnusableError, read_header, read_pixels

Pixels = np.ndarray[Any, Any]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)


def saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def png(width: int, height: int, depth: int, colour: int, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG chunk by chunk, to be independent of what Pillow writes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def test_a_picture_of_the_right_size_is_not_touched(tmp_path: Path, pixels: Pixels) -> None:
    for name in ("a.png", "a.bmp", "a.tif", "a.ppm"):
        path = saved(tmp_path, Image.fromarray(pixels), name)
        assert (read_pixels(path, 12) == pixels).all(), name
        assert read_header(path).kinds == (), name


def test_grey_becomes_three_equal_channels(tmp_path: Path, pixels: Pixels) -> None:
    path = saved(tmp_path, Image.fromarray(pixels[..., 0]), "a.png")
    assert (read_pixels(path, 12) == pixels[..., :1]).all()
    assert read_header(path).kinds == ("grey",)


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    levels = np.array([[0, 128, 257], [32767, 32896, 40000], [65278, 65534, 65535]], dtype=np.uint16)
    path = tmp_path / "a.png"
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    path.write_bytes(png(3, 3, 16, 0, rows))
    # One level of 8 bits is 257 of 16: 65535 / 255.
    expected = [[0, 0, 1], [127, 128, 156], [254, 255, 255]]
    assert read_pixels(path, 3)[..., 0].tolist() == expected
    assert read_header(path).kinds == ("16-bit grey",)
    assert (read_pixels(saved(tmp_path, Image.fromarray(levels), "a.tif"), 3)[..., 1] == expected).all()


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    floats = saved(tmp_path, Image.fromarray(np.ones((4, 4), dtype=np.float32)), "a.tif")
    with pytest.raises(UnusableError, match="floating-point"):
        read_pixels(floats, 4)
    wide = saved(tmp_path, Image.fromarray(np.full((4, 4), 70000, dtype=np.int32)), "b.tif")
    with pytest.raises(UnusableError, match="no known range"):
        read_pixels(wide, 4)


def test_cmyk_is_converted(tmp_path: Path) -> None:
    cmyk = np.zeros((16, 16, 4), dtype=np.uint8)
    cmyk[..., 1] = cmyk[..., 2] = 255  # magenta and yellow ink: red
    path = saved(tmp_path, Image.fromarray(cmyk, "CMYK"), "a.jpg", quality=95)
    assert np.abs(read_pixels(path, 16).astype(int) - [255, 0, 0]).max() <= 3
    assert read_header(path).kinds == ("CMYK",)


def test_palette_colours_are_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    path.write_bytes(png(2, 2, 8, 3, b"\0\0\1\0\1\0", palette))
    assert read_pixels(path, 2).tolist() == [[[10, 20, 30], [200, 100, 50]], [[200, 100, 50], [10, 20, 30]]]
    assert read_header(path).kinds == ("palette",)


def test_a_transparent_palette_colour_becomes_black(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    path.write_bytes(png(2, 2, 8, 3, b"\0\0\1\0\1\0", palette, (b"tRNS", b"\x00\xff")))
    assert read_pixels(path, 2).tolist() == [[[0, 0, 0], [200, 100, 50]], [[200, 100, 50], [0, 0, 0]]]


def test_transparency_is_laid_on_black(tmp_path: Path, pixels: Pixels) -> None:
    alpha = np.zeros((12, 12, 1), dtype=np.uint8)
    alpha[:4], alpha[4:8] = 255, 128
    path = saved(tmp_path, Image.fromarray(np.concatenate([pixels, alpha], axis=2)), "a.png")
    read = read_pixels(path, 12).astype(int)
    assert (read[:4] == pixels[:4]).all()
    assert np.abs(read[4:8] - pixels[4:8] * (128 / 255)).max() <= 1
    assert (read[8:] == 0).all()
    assert read_header(path).kinds == ("transparency",)


def test_black_and_white_is_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.eye(8, dtype=bool)), "a.png")
    assert (read_pixels(path, 8)[..., 2] == 255 * np.eye(8)).all()


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert (read_pixels(path, 8) == [255, 0, 0]).all()
    assert "animated" in read_header(path).kinds


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_set_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((8, 16, 3), dtype=np.uint8)
    upright[:4, :8, 0] = upright[:4, 8:, 1] = upright[4:, :8, 2] = 255  # red, green / blue, black
    # Exif 2.3, table of tag 0x0112: how rows and columns of what is stored lie in what is meant.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "a.png", exif=exif)
    assert (read_pixels(path, 8) == upright[:, 4:12]).all()
    header = read_header(path)
    assert (header.width, header.height) == (16, 8)
    assert header.kinds == (() if orientation == 1 else ("turned by its EXIF tag",))


def test_a_wrongly_named_picture_is_read_by_its_content(tmp_path: Path, pixels: Pixels) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path, format="PNG")
    assert (read_pixels(path, 12) == pixels).all()
    assert read_header(path).kinds == ("named .jpg but PNG",)


def test_the_shorter_side_is_scaled_and_the_middle_cut_out(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, 40:80] = [[[10, 200, 30]]]
    assert (read_pixels(saved(tmp_path, Image.fromarray(wide), "a.png"), 40) == [10, 200, 30]).all()
    halved = read_pixels(saved(tmp_path, Image.fromarray(wide), "b.png"), 20)
    assert halved.shape == (20, 20, 3)
    assert (halved[:, 2:-2] == [10, 200, 30]).all()
    assert (read_pixels(saved(tmp_path, Image.fromarray(wide.transpose(1, 0, 2)), "c.png"), 40) == [10, 200, 30]).all()


def test_a_smaller_picture_is_enlarged(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (3, 5), "#0a141e"), "a.png")
    assert (read_pixels(path, 20) == [10, 20, 30]).all()


def test_a_large_jpeg_comes_out_as_if_decoded_in_full(tmp_path: Path) -> None:
    coarse = np.random.default_rng(1).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    full = Image.fromarray(coarse).resize((800, 600), Image.Resampling.BICUBIC)
    path = saved(tmp_path, full, "a.jpg", quality=95)
    with Image.open(path) as image:
        scaled = image.convert("RGB").resize((93, 70), Image.Resampling.BILINEAR).crop((11, 0, 81, 70))
    difference = np.abs(read_pixels(path, 70).astype(int) - np.asarray(scaled))
    assert difference.mean() < 1
    assert difference.max() <= 8


def noisy(name: str) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, format=name)
    return content.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_truncated_picture_is_refused(tmp_path: Path, name: str, share: float) -> None:
    content = noisy(name)
    path = tmp_path / "a.jpg"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnusableError):
        read_pixels(path, 8)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    content = bytearray(noisy("PNG"))
    content[len(content) // 2] ^= 1
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UnusableError, match="cannot be decoded"):
        read_pixels(path, 8)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UnusableError, match="is empty"):
        read_header(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "content", [b"a text\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\0" * 99]
)
def test_what_is_no_picture_is_refused_and_nothing_is_started_for_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnusableError, match="is no picture in a format that can be read"):
        read_pixels(tmp_path / "a.jpg", 8)


@pytest.mark.parametrize("side", [10_001, 15_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(side, side, 8, 2, b"\0" * 1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (read_header, lambda path: read_pixels(path, 8)):
            with pytest.raises(UnusableError, match=f"more than {PIXEL_LIMIT:,}"):
                read(path)


def test_the_limit_of_pillow_is_left_as_it_was(tmp_path: Path, pixels: Pixels) -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_pixels(saved(tmp_path, Image.fromarray(pixels), "a.png"), 8)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    content = io.BytesIO()
    page = Image.new("RGB", (8, 8))
    page.save(content, "TIFF", save_all=True, append_images=[page])
    damaged = bytearray(content.getvalue())
    (first,) = struct.unpack_from("<I", damaged, 4)
    (entries,) = struct.unpack_from("<H", damaged, first)
    struct.pack_into("<I", damaged, first + 2 + 12 * entries, 7_777_777)  # where the second page is said to be
    (tmp_path / "a.tif").write_bytes(damaged)
    with pytest.raises(UnusableError, match="cannot be read"):
        read_header(tmp_path / "a.tif")


def test_damaged_tags_do_not_spoil_a_picture(tmp_path: Path, pixels: Pixels) -> None:
    path = saved(tmp_path, Image.fromarray(pixels), "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x01")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(path).kinds == ()
        assert (read_pixels(path, 12) == pixels).all()
