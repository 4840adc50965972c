"""One encoded image in, one uint8 array out, as a person would expect to see it.

Workers import this module, so it needs no library but Pillow and NumPy.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vitrail.configs import Size
from vitrail.data.contents import FIRST_BYTES, UNREAD_EXTENSIONS, kind_of, suffix
from vitrail.errors import InputError
from vitrail.text import shown

MAX_PIXELS = 178_000_000
"""Larger images are refused before they are decoded: a small file can declare any size."""
_MOST_ELONGATED = 100

# Named, because Pillow would also open formats that start other programs (EPS runs Ghostscript).
_FORMATS = ("JPEG", "PNG", "MPO", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")

# EXIF 2.32, table 6 (tag 0x0112): what turns the stored image upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))


Fit = Literal["crop", "stretch"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Framing:
    """How an image of any size becomes one of `size`. An image that already has that size and is not cropped stays."""

    size: Size
    """Height and width in pixels."""
    fit: Fit = "crop"
    """Resize the image to cover `covered`, or stretch it to that; its centre is cut out."""
    crop: float = 1.0
    """The share of the covering image's sides that the crop keeps: with 0.875, 224 pixels are cut out of 256."""
    interpolation: Interpolation = "bilinear"
    """Always antialiased."""

    @property
    def covered(self) -> Size:
        """What the image is resized to cover, or stretched to, before the crop."""
        height, width = (math.floor(side / self.crop + 1e-9) for side in self.size)
        return height, width


class Header(NamedTuple):
    """What is known of an image once it has been read through."""

    height: int
    width: int
    mode: str
    """Pillow's name of the pixel format."""
    grey: bool


class UnreadableImageError(Exception):
    """The bytes are not an image that can be decoded; the message is the reason alone."""


class OversizedImageError(UnreadableImageError):
    """The header declares more than `MAX_PIXELS`."""


def decode(file: str | Path, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """Read an image file at a size: turned upright by its EXIF tag, converted to grey or RGB, framed.

    Returns a uint8 array (channels, height, width), of 1 or 3 channels.

    Raises InputError for a file that is missing, no image, damaged, or larger than `MAX_PIXELS`.
    """
    name = shown(str(file))
    try:
        return decode_bytes(Path(file).read_bytes(), framing, channels)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    except UnreadableImageError as error:
        cure = ": convert it to JPEG" if suffix(name) in UNREAD_EXTENSIONS else ""
        raise InputError(f"{name}: {error}{cure}") from error


def decode_bytes(data: bytes, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """As `decode`, of encoded bytes, but raises UnreadableImageError with the reason alone."""
    try:
        with warnings.catch_warnings(action="ignore"), _open(data) as image:
            return to_array(image, framing, channels)
    except (UnreadableImageError, MemoryError):
        raise
    # Pillow's decoders raise almost anything on damaged files.
    except Exception as error:
        raise _unreadable(error, data) from error


def read_through(data: bytes) -> Header:
    """Read an image to its end, at the least resolution its format offers, to learn its size and that it is whole.

    Raises UnreadableImageError with the reason.
    """
    try:
        with warnings.catch_warnings(action="ignore"), _open(data) as image:
            width, height, mode, grey = *image.size, image.mode, _is_grey(image)
            image.draft(None, (1, 1))
            image.load()
            if _is_wide(image):
                _range(np.asarray(image))
            # Pillow turns TIFF upright itself, and gives the turned size.
            if _orientation(image) >= 5:
                width, height = height, width
            return Header(height, width, mode, grey)
    except (UnreadableImageError, MemoryError):
        raise
    except Exception as error:
        raise _unreadable(error, data) from error


def to_array(image: Image.Image, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """As `decode`, from an image Pillow has opened; a JPEG that is not loaded yet may be left at a lower resolution."""
    height, width = framing.size
    jpeg_size = None
    if image.format in ("JPEG", "MPO"):
        turned = _orientation(image) >= 5
        jpeg_size = image.size[::-1] if turned else image.size
        needed = _resized(jpeg_size, framing)[:: -1 if turned else 1]
        # A JPEG can be decoded at a half, a quarter or an eighth; twice the target leaves antialiasing its room.
        image.draft(None, (2 * needed[0], 2 * needed[1]))
    image.load()
    image = _upright(image)
    upright_size = jpeg_size or image.size
    image = _to_mode(image, "L" if channels == 1 else "RGB")
    resized = _resized(upright_size, framing)
    if upright_size != resized or resized != (width, height):
        method = Image.Resampling.BICUBIC if framing.interpolation == "bicubic" else Image.Resampling.BILINEAR
        image = image.resize(resized, method, reducing_gap=2.0)
        left, top = (resized[0] - width) // 2, (resized[1] - height) // 2
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _resized(size: tuple[int, int], framing: Framing) -> tuple[int, int]:
    """The (width, height) of an image of this (width, height) before the crop."""
    if framing.fit == "stretch":
        return framing.covered[::-1]
    (width, height), (target_height, target_width) = size, framing.covered
    if width * target_height >= height * target_width:
        return max(target_width, int(width * target_height / height)), target_height
    return target_width, max(target_height, int(height * target_width / width))


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnreadableImageError("the file is empty")
    image = Image.open(io.BytesIO(data), formats=_formats())
    if image.width * image.height > MAX_PIXELS:
        raise _oversized(image.width * image.height)
    # Its shorter side is made to fit: the longer one would take gigabytes.
    if max(image.size) > _MOST_ELONGATED * min(image.size):
        raise UnreadableImageError(
            f"{image.height} x {image.width}: one side is over {_MOST_ELONGATED} times the other"
        )
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    # A damaged EXIF block is no reason to lose the image.
    except Exception:
        return 1


def _upright(image: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if _is_wide(image):
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _is_wide(image: Image.Image) -> bool:
    """Grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _to_8_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.nan_to_num(pixels.astype(np.float64))
    return np.rint(values * (255 / _range(pixels))).astype(np.uint8)


def _range(pixels: NDArray[np.generic]) -> float:
    """What is white: 65535 of integers, which may arrive in 32 bits, and of floating point 1, or 255 beyond that.

    Raises UnreadableImageError for pixels beyond: a scale of the image's own would differ from that of the others.
    """
    low, high = (float(end) for end in (np.nanmin(pixels, initial=0.0), np.nanmax(pixels, initial=0.0)))
    white = 65535.0 if pixels.dtype.kind != "f" else 1.0 if high <= 1 else 255.0
    if low < 0 or high > white:
        raise UnreadableImageError(f"its pixels lie between {low:g} and {high:g}: scale them to 0 to {white:g}")
    return white


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        colours = np.frombuffer(image.palette.getdata()[1], np.uint8)
        if len(colours) % 3 == 0 and image.palette.mode == "RGB":
            colours = colours.reshape(-1, 3)
            return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY_MODES


def _oversized(pixels: int) -> OversizedImageError:
    return OversizedImageError(
        f"{pixels / 1e6:,.0f} megapixels, over the limit of {MAX_PIXELS / 1e6:.0f}: make it smaller or remove it"
    )


def _unreadable(error: Exception, data: bytes) -> UnreadableImageError:
    if isinstance(error, Image.DecompressionBombError):
        declared = re.search(r"\d+", str(error))
        return _oversized(int(declared.group()) if declared else MAX_PIXELS)
    if isinstance(error, UnidentifiedImageError):
        kind = kind_of(data[:FIRST_BYTES])
        return UnreadableImageError(f"not an image that can be read, but {kind}" if kind else "not an image")
    return UnreadableImageError(shown(str(error)) or type(error).__name__)
