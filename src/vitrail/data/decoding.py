"""One encoded image in, one uint8 array out, as a person would expect to see it."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from vitrail.configs import Size
from vitrail.data import damage, tiff
from vitrail.data.contents import FIRST_BYTES, UNREAD_EXTENSIONS, kind_of, suffix
from vitrail.data.tones import BY_TYPE, GROUND_COLOURS, GROUNDS, Ground, Header, Tones, ends_of, misfit
from vitrail.errors import InputError
from vitrail.progress import warn
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

# Of 16-bit colours Pillow keeps the high bytes; told of the other order of bytes, it keeps the low ones.
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}

Fit = Literal["crop", "stretch"]
Interpolation = Literal["bilinear", "bicubic"]
Rules = Literal["vitrail", "torchvision", "transformers"]


@dataclass(frozen=True)
class Framing:
    """How any image becomes 8 bits of one size. An image that already has that size and is not cropped stays."""

    size: Size
    """Height and width in pixels."""
    fit: Fit = "crop"
    """Resize the image to cover `covered`, or stretch it to that; its centre is cut out."""
    crop: float = 1.0
    """The share of the covering image's sides that the crop keeps: with 0.875, 224 pixels are cut out of 256."""
    interpolation: Interpolation = "bilinear"
    """Always antialiased."""
    tones: Tones = BY_TYPE
    rules: Rules = "vitrail"
    """By its own, large images are made smaller quickly first; torchvision's (and timm's) round half of a margin."""

    @property
    def covered(self) -> Size:
        """What the image is resized to cover, or stretched to, before the crop."""
        height, width = (math.floor(side / self.crop + 1e-9) for side in self.size)
        return height, width


class _Stored(NamedTuple):
    """An image as it is in its file; its header lacks what pixels say."""

    header: Header
    pixels: Image.Image | NDArray[np.generic]
    """Numbers (height, width) or (height, width, 3) where Pillow has none, or only 8 bits of them."""
    orientation: int


class UnreadableImageError(Exception):
    """The bytes are not an image that can be decoded; the message is the reason alone."""


class OversizedImageError(UnreadableImageError):
    """The header declares more than `MAX_PIXELS`."""


def decode(file: str | Path, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """Read an image file at a size: turned upright by its EXIF tag, converted to grey or RGB, framed.

    Returns a uint8 array (channels, height, width), of 1 or 3 channels. Warns of what is odd about the file.

    Raises InputError for a file that is missing, no image, damaged, or larger than `MAX_PIXELS`.
    """
    name = shown(str(file))
    try:
        data = Path(file).read_bytes()
        with _reasons(data):
            stored = _stored(data, framing.tones.pixel_range is not None)
            for said in (stored.header.note, misfit([_with_ends(stored)], framing.tones)):
                if said:
                    warn(f"{name}: {said}")
            return _array(stored, framing, channels)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    except UnreadableImageError as error:
        cure = ": convert it to JPEG" if suffix(name) in UNREAD_EXTENSIONS else ""
        raise InputError(f"{name}: {error}{cure}") from error


def decode_bytes(data: bytes, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """As `decode`, of encoded bytes, but raises UnreadableImageError with the reason alone."""
    with _reasons(data):
        return _array(_stored(data, framing.tones.pixel_range is not None), framing, channels)


def read_through(data: bytes) -> Header:
    """Read an image to its end: its size, and what its pixels say. Raises UnreadableImageError with the reason."""
    with _reasons(data):
        stored = _stored(data, all_bits=True, draft=True)
        if (header := _with_ends(stored)).ends:
            return header
        image = _as_image(stored.pixels, BY_TYPE)
        if not image.has_transparency_data:
            # At the least resolution a fine pattern is of one colour, too.
            plain = _of_one_colour(image) and _of_one_colour(_as_image(_stored(data, all_bits=False).pixels, BY_TYPE))
            return header._replace(plain=7 if plain else 0)
        plain_on = sum(_of_one_colour(_on(image, ground)) << at for at, ground in enumerate(GROUNDS))
        return header._replace(transparent=True, plain=plain_on)


def _with_ends(stored: _Stored) -> Header:
    pixels = stored.pixels
    if isinstance(pixels, Image.Image) or pixels.dtype == np.uint8:
        return stored.header
    return stored.header._replace(ends=ends_of(pixels), floats=pixels.dtype.kind == "f")


def to_array(image: Image.Image, framing: Framing, channels: int) -> NDArray[np.uint8]:
    """As `decode`, from an image Pillow has opened. Raises ValueError for values beyond the range of their type."""
    image.load()
    pixels = np.asarray(image) if _wide_mode(image) else image
    return _array(_Stored(Header(0, 0, "", False), pixels, _orientation(image)), framing, channels)


def _array(stored: _Stored, framing: Framing, channels: int) -> NDArray[np.uint8]:
    image, (height, width) = _as_image(stored.pixels, framing.tones), framing.size
    if stored.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[stored.orientation])
    image = _to_mode(image, "L" if channels == 1 else "RGB", framing.tones)
    resized = _resized(image.size, framing)
    if image.size != resized or resized != (width, height):
        method = Image.Resampling.BICUBIC if framing.interpolation == "bicubic" else Image.Resampling.BILINEAR
        image = image.resize(resized, method, reducing_gap=2.0 if framing.rules == "vitrail" else None)
        whole = round if framing.rules == "torchvision" else math.floor
        left, top = whole((resized[0] - width) / 2), whole((resized[1] - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _resized(size: tuple[int, int], framing: Framing) -> tuple[int, int]:
    """The (width, height) of an image of this (width, height) before the crop; not square, timm rounds it."""
    if framing.fit == "stretch":
        return framing.covered[::-1]
    (width, height), (target_height, target_width) = size, framing.covered
    whole = round if framing.rules == "torchvision" and target_height != target_width else int
    if width * target_height >= height * target_width:
        return max(target_width, whole(width * target_height / height)), target_height
    return target_width, max(target_height, whole(height * target_width / width))


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _stored(data: bytes, all_bits: bool, draft: bool = False) -> _Stored:
    """What is in a file, mended where only its end or what is beside the pixels is damaged. Raises what Pillow does."""
    try:
        if damage.padded(data):
            raise OSError("the file is filled up with zeros where its end is missing")
        return _read(data, all_bits, draft)
    except (UnreadableImageError, MemoryError):
        raise
    except Exception:
        mended = damage.mended(data)
        if mended is None:
            raise
        stored = _read(mended[0], all_bits, draft)
        return stored._replace(header=stored.header._replace(note=mended[1]))


def _read(data: bytes, all_bits: bool, draft: bool) -> _Stored:
    if not data:
        raise UnreadableImageError("the file is empty")
    of = tiff.directory(data)
    if of and (of.misread or not _opens(data)):
        return _read_tiff(data, of)
    image = _open(data)
    size, mode, grey = image.size, image.mode, _is_grey(image)
    stored_as = image.tile[0].args if all_bits and image.format == "PNG" else None
    if draft:
        image.draft(None, (1, 1))
    image.load()
    pixels = np.asarray(image) if _wide_mode(image) else image
    if stored_as in _LOW_BYTES and (not image.has_transparency_data or image.getextrema()[3:] == ((255, 255),)):
        low = _open(data)
        low.tile = [tile._replace(args=_LOW_BYTES[stored_as]) for tile in low.tile]
        low_bytes = np.asarray(low)[..., 1:2] if stored_as == "LA;16B" else np.asarray(low)
        mode, pixels = f"{mode};16", (np.asarray(image).astype(np.uint16) << 8 | low_bytes)[..., :3]
    note = ""
    if of:
        pixels = pixels if isinstance(pixels, Image.Image) else tiff.without_gaps(pixels, of)
        extra = of.samples > len(image.getbands()) and mode in ("L", "RGB")
        note = _of_channels(of.samples) if extra else "with several pages, of which the first is read" * (of.pages > 1)
    # Pillow turns TIFF upright itself, and gives the turned size.
    orientation = _orientation(image)
    width, height = size[::-1] if orientation >= 5 else size
    return _Stored(Header(height, width, mode, grey, note=note), pixels, orientation)


def _read_tiff(data: bytes, of: tiff.Directory) -> _Stored:
    _check_size(of.width, of.height)
    values, note = tiff.without_gaps(tiff.read(data, of), of), ""
    if of.samples == 2 or of.samples > 3:
        values, note = values[..., 0] if of.samples == 2 else values[..., :3], _of_channels(of.samples)
    mode = f"{of.dtype.name}{f' x {of.samples}' if of.samples > 1 else ''}"
    orientation = of.tags.get(tiff.ORIENTATION, 1)
    height, width = (of.width, of.height) if orientation >= 5 else (of.height, of.width)
    return _Stored(Header(height, width, mode, values.ndim == 2, note=note), values, orientation)


def _of_channels(count: int) -> str:
    return f"with {count} channels, of which the first {'three are' if count > 3 else 'is'} read"


def _opens(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data), formats=("TIFF",)).close()
        return True
    except UnidentifiedImageError:
        return False


def _open(data: bytes) -> ImageFile.ImageFile:
    image: ImageFile.ImageFile = Image.open(io.BytesIO(data), formats=_formats())
    _check_size(*image.size)
    return image


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _oversized(width * height)
    # Its shorter side is made to fit: the longer one would take gigabytes.
    if max(width, height) > _MOST_ELONGATED * min(width, height):
        raise UnreadableImageError(f"{height} x {width}: one side is over {_MOST_ELONGATED} times the other")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    # A damaged EXIF block is no reason to lose the image.
    except Exception:
        return 1


def _to_mode(image: Image.Image, mode: str, tones: Tones) -> Image.Image:
    if image.has_transparency_data:
        image = _on(image, tones.ground)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _on(image: Image.Image, ground: Ground) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, GROUND_COLOURS[ground]), image).convert("RGB")


def _of_one_colour(image: Image.Image) -> bool:
    ends = (image.convert("RGB") if image.mode == "P" else image).getextrema()
    return all(low == high for low, high in (ends if isinstance(ends[0], tuple) else [ends]))


def _wide_mode(image: Image.Image) -> bool:
    """Grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _as_image(pixels: Image.Image | NDArray[np.generic], tones: Tones) -> Image.Image:
    return pixels if isinstance(pixels, Image.Image) else Image.fromarray(tones.to_8_bits(pixels))


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


@contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Turn whatever goes wrong with an encoded image into an UnreadableImageError with its reason."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (UnreadableImageError, MemoryError):
        raise
    # Pillow's decoders raise almost anything on damaged files.
    except Exception as error:
        raise _unreadable(error, data) from error


def _unreadable(error: Exception, data: bytes) -> UnreadableImageError:
    if isinstance(error, Image.DecompressionBombError):
        declared = re.search(r"\d+", str(error))
        return _oversized(int(declared.group()) if declared else MAX_PIXELS)
    if isinstance(error, UnidentifiedImageError):
        kind = kind_of(data[:FIRST_BYTES])
        return UnreadableImageError(f"not an image that can be read, but {kind}" if kind else "not an image")
    return UnreadableImageError(shown(str(error)) or type(error).__name__)
