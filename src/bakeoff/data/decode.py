"""From a file to red, green and blue: what is accepted, how each kind is converted, and what is refused.

It imports neither torch nor pandas, so that the processes that decode start at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM")
"""Pillow's decoders that are used, whatever a file is named. Others are out of reach of foreign files: some of them
start programs (EPS: Ghostscript)."""

READY = "ready"
"""What a decoding process says once it has started."""

PIXEL_LIMIT = 100_000_000
"""A header that claims more pixels is refused unread: a decompression bomb, or nothing to classify at 224 pixels."""

KIND_OF_MODE = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with transparency",
    "P": "palette",
    "CMYK": "CMYK",
    "RGBA": "transparency",
}

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
}
"""Suffixes of files that are taken for pictures. What is inside decides how they are read."""


class UnusableError(Exception):
    """A file cannot be used as a picture; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says."""

    width: int
    height: int
    kinds: tuple[str, ...]
    """What will be converted: `grey`, `CMYK`, `animated`, `named .jpg but PNG`, ...; empty for plain RGB."""


def read_header(path: Path) -> Header:
    """Read what a picture claims to be, without decoding it.

    Raises:
        UnusableError: If it is empty, no picture, or too large.
    """
    with _opened(path) as image:
        width, height = image.size
        try:
            with _quiet():
                orientation = image.getexif().get(0x0112, 1)
                kinds = _kinds(image, path, orientation)
        except Exception as error:
            # A damaged tag or a page that is not there: Pillow raises almost anything on these.
            raise UnusableError(f"cannot be read: {_short(error)}") from error
        if orientation in (5, 6, 7, 8):
            width, height = height, width
        return Header(width, height, kinds)


def read_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode a picture: turned upright, in RGB, its shorter side scaled to `size`, and the middle cut out.

    Transparent parts become black, 16-bit grey keeps its upper 8 bits rounded, of an animation the first frame counts.

    Args:
        path: Of the file.
        size: Side in pixels.

    Returns:
        Shape (size, size, 3).

    Raises:
        UnusableError: If the file cannot be decoded in full.
    """
    with _opened(path) as image:
        try:
            with _quiet():
                image.seek(0)
                # A JPEG can be decoded at a half, a quarter or an eighth of its size, several times as fast. At least
                # twice the side that is wanted remains, so the rest is still averaged over all of its pixels.
                image.draft(None, (2 * size, 2 * size))
                image.load()
                rgb = _rgb(ImageOps.exif_transpose(image))
                if rgb.size != (size, size):
                    rgb = _fitted(rgb, size)
                return np.asarray(rgb)
        except UnusableError:
            raise
        except Exception as error:
            # Pillow's decoders raise almost anything on damaged files; each is told with its path.
            raise UnusableError(f"cannot be decoded: {_short(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings (large pictures, odd tags) off the screen: what matters is told with the path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(path: Path) -> Image.Image:
    try:
        if path.stat().st_size == 0:
            raise UnusableError("is empty (0 bytes)")
        with _quiet():
            image = Image.open(path, formats=FORMATS)
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableError(f"is no picture in a format that can be read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UnusableError(f"claims more than {PIXEL_LIMIT:,} pixels") from None
    except Exception as error:
        raise UnusableError(f"cannot be read: {_short(error)}") from error
    if image.width * image.height > PIXEL_LIMIT:
        image.close()
        raise UnusableError(f"claims {image.width} x {image.height} pixels, more than {PIXEL_LIMIT:,}")
    return image


def _kinds(image: Image.Image, path: Path, orientation: int) -> tuple[str, ...]:
    kinds = []
    if image.mode in KIND_OF_MODE:
        kinds.append(KIND_OF_MODE[image.mode])
    elif image.mode.startswith("I"):
        kinds.append("16-bit grey")
    elif image.mode != "RGB":
        kinds.append(f"mode {image.mode}")
    if getattr(image, "n_frames", 1) > 1:
        kinds.append("animated")
    if orientation not in (0, 1):
        kinds.append("turned by its EXIF tag")
    expected = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if expected is not None and image.format not in (expected, {"JPEG": "MPO"}.get(expected)):
        kinds.append(f"named {path.suffix.lower()} but {image.format}")
    return tuple(kinds)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        if values.max(initial=0) > 65535 or values.min(initial=0) < 0:
            raise UnusableError("has 32-bit pixels, which have no known range")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnusableError("has floating-point pixels, which have no known range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        transparent = image.convert("RGBA")
        black = Image.new("RGBA", transparent.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, transparent).convert("RGB")
    return image.convert("RGB")


def _fitted(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    width, height = (max(size, round(side * size / shorter)) for side in image.size)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return scaled.crop((left, top, left + size, top + size))


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def work(job: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Do one job, as `decode_worker` describes it, keeping opened arrays in `arrays`."""
    problems: list[tuple[int, str]] = []
    headers: list[tuple[int, int, tuple[str, ...]] | None] = []
    if job["array"] is not None and job["array"] not in arrays:
        arrays[job["array"]] = np.lib.format.open_memmap(job["array"], mode="r+")
    for number, path in enumerate(job["paths"]):
        try:
            if job["array"] is None:
                header = read_header(Path(path))
                if job["size"] is not None:
                    read_pixels(Path(path), job["size"])
                headers.append((header.width, header.height, header.kinds))
            else:
                arrays[job["array"]][job["first"] + number] = read_pixels(Path(path), job["size"])
        except UnusableError as error:
            problems.append((number, str(error)))
            headers.append(None)
    return {"problems": problems, "headers": headers}
