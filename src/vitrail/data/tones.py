"""Which stored values are black and white, and what shows through transparency: one choice for a whole data set.

Models take 8 bits. So of values of more bits, and of floats, one range is mapped to 256 levels, the same one in every
image: a scale of each image's own would hide which is bright.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vitrail.errors import InputError
from vitrail.text import listed, plural

Ground = Literal["white", "black", "grey"]
GROUNDS: tuple[Ground, ...] = get_args(Ground)
GROUND_COLOURS: dict[Ground, str] = {"white": "white", "black": "black", "grey": "#808080"}
LEVELS = 256

_TAILS = (0.001, 0.999)
"""Of an image's values: what lies beyond is taken for hot and dead pixels."""
_ODD_IMAGES = 0.01
"""The share of images, darkest and brightest, that do not move the ends of a range."""
_FEWEST_LEVELS = 32
"""A range that follows from a number of bits, or from convention, and uses fewer is replaced by a narrower one."""
_BITS = {255.0: 8, 1023.0: 10, 4095.0: 12, 16383.0: 14, 65535.0: 16}
_OF_FLOATS = (1.0, 255.0)
_MANY = 0.1
"""The share of transparent images that may be of one colour on white."""


@dataclass(frozen=True)
class Tones:
    """How stored values become 8 bits."""

    pixel_range: tuple[float, float] | None = None
    """What is black and what is white, of values of more than 8 bits. None is the range of the type: 0 to 65535 of
    integers, of floats 0 to 1, or 0 to 255 where an image goes beyond 1."""
    ground: Ground = "white"
    """What transparent pixels are laid on."""

    def __post_init__(self) -> None:
        if self.pixel_range is not None:
            low, high = map(float, self.pixel_range)
            object.__setattr__(self, "pixel_range", (low, high))
            if not (math.isfinite(high - low) and low < high):
                raise InputError(f"pixel_range is {self.pixel_range}: black must be a lower number than white")
        if self.ground not in GROUNDS:
            raise InputError(f"ground {self.ground!r}: known are {', '.join(GROUNDS)}")

    def to_8_bits(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """From black to white in 256 levels, what lies beyond in the last one, and black where no number is.

        uint8 stays as it is. Raises ValueError for values beyond the range of their type, where that is taken.
        """
        if values.dtype == np.uint8:
            return values.astype(np.uint8, copy=False)
        low, high = self.pixel_range or _of_type(values)
        numbers = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.rint(((numbers - low) * (255 / (high - low))).clip(0, 255)).astype(np.uint8)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Tones:
        return Tones(stored["pixel_range"], stored["ground"])


BY_TYPE = Tones()
"""What earlier versions did, and what is done to images of more than 8 bits where none was trained on."""


class Header(NamedTuple):
    """What is known of an image once it has been read through."""

    height: int
    width: int
    mode: str
    """Pillow's name of the pixel format, or NumPy's with the number of channels."""
    grey: bool
    transparent: bool = False
    plain: int = 0
    """The sum of 1 where it is of one colour on white, 2 on black, 4 on grey; 7 of an opaque image of one colour."""
    ends: tuple[float, ...] = ()
    """Of values of more than 8 bits: the lowest, those beyond which a thousandth lies, and the highest."""
    floats: bool = False
    """Whether these are floats."""
    note: str = ""
    """What is not as it should be about a file that can be read."""

    def is_plain(self, tones: Tones) -> bool:
        """Whether nothing but one colour is left of it."""
        if not self.ends or tones.pixel_range is None:
            return bool(self.plain >> GROUNDS.index(tones.ground) & 1)
        first, last = tones.to_8_bits(np.array([self.ends[0], self.ends[-1]]))
        return bool(first == last)


def ends_of(values: NDArray[np.generic]) -> tuple[float, ...]:
    """As `Header.ends`, of what is finite. Raises ValueError where nothing is."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("none of its values is a finite number")
    return (float(finite.min()), *(float(end) for end in np.quantile(finite, _TAILS)), float(finite.max()))


def one_colour(headers: Sequence[Header], names: Sequence[str], tones: Tones) -> list[str]:
    """A line where images are of one colour once they are decoded: nothing is left in them to be learned."""
    found = [name for header, name in zip(headers, names, strict=True) if header.is_plain(tones)]
    return [f"{plural(len(found), 'image is', 'images are')} of one colour: {listed(found)}"] if found else []


def choose(headers: Sequence[Header], pixel_range: tuple[float, float] | None = None) -> tuple[Tones, list[str]]:
    """What fits the images that train, and what to say of it, a line each. A range that is given is kept.

    Raises InputError for a given range where no image has values of more than 8 bits.
    """
    notes, wide = [], [header for header in headers if header.ends]
    if wide:
        floats = {header.floats for header in wide}
        ends, why = np.array([header.ends for header in wide]), "as given"
        if pixel_range is None:
            pixel_range, why = _range(ends, any(floats))
        (black, white), (lowest, highest) = pixel_range, (ends[:, 0].min(), ends[:, 3].max())
        values = white - black + 1
        levels = f", {LEVELS} levels for {values:,.0f} values" if not any(floats) and values > LEVELS else ""
        notes.append(
            f"{plural(len(wide), 'training image')} of more than 8 bits, {lowest:,.6g} to {highest:,.6g}: "
            f"{black:,.6g} is black and {white:,.6g} white ({why}{levels})"
        )
        if len(floats) > 1:
            notes.append("some of these are integers and some floats, and one range serves both: is that right?")
    elif pixel_range is not None:
        raise InputError("pixel_range is for images of more than 8 bits, and none of these is: leave it out")
    ground = _ground([header for header in headers if header.transparent])
    if ground != "white":
        notes.append(f"transparent images are laid on {ground}: on white, more would be of one colour")
    return Tones(pixel_range, ground), notes


def misfit(headers: Sequence[Header], tones: Tones) -> str:
    """Why the range may not fit images; else an empty text. One image alone may be dark, where the range is chosen."""
    ends = [header.ends for header in headers if header.ends]
    if not ends:
        return ""
    low, high = min(e[1] for e in ends), max(e[2] for e in ends)
    floats = any(header.floats for header in headers)
    black, white = tones.pixel_range or (0.0, 65535.0 if not floats else 1.0 if high <= 1 else 255.0)
    narrow = (high - low) * LEVELS < (white - black) * _FEWEST_LEVELS
    if black <= low and high <= white and not (narrow and (len(ends) > 1 or tones.pixel_range is None)):
        return ""
    return f"values from {low:,.6g} to {high:,.6g} are read with {black:,.6g} as black and {white:,.6g} as white"


def described(headers: Iterable[Header], tones: Tones) -> list[str]:
    """The ends of what is stored in more than 8 bits, a line for each pixel format, and how many levels are left."""
    of_mode: dict[str, list[tuple[float, ...]]] = {}
    for header in headers:
        if header.ends:
            of_mode.setdefault(header.mode, []).append(header.ends)
    lines = []
    for mode, found in of_mode.items():
        ends = np.array(found)
        (lowest, low), (high, highest) = ends[:, :2].min(0).tolist(), ends[:, 2:].max(0).tolist()
        first, last = Tones(tones.pixel_range or (0, 65535)).to_8_bits(np.array([low, high])).tolist()
        lines.append(
            f"values of {mode} ({len(found):,}): lowest {lowest:,.6g}, highest {highest:,.6g}; without a thousandth at "
            f"each end {low:,.6g} to {high:,.6g}, which is {plural(last - first + 1, 'level')} of {LEVELS}"
        )
    return lines


def _range(ends: NDArray[np.float64], floats: bool) -> tuple[tuple[float, float], str]:
    """Black and white, and why."""
    lowest, highest = float(ends[:, 0].min()), float(ends[:, 3].max())
    low = float(np.quantile(ends[:, 1], _ODD_IMAGES, method="lower"))
    high = float(np.quantile(ends[:, 2], 1 - _ODD_IMAGES, method="higher"))
    white = next((w for w in (_OF_FLOATS if floats else _BITS) if lowest >= 0 and highest <= w), None)
    enough = white is not None and (high - low) * LEVELS >= white * _FEWEST_LEVELS
    # Of 8 bits no level is lost.
    if white and (enough or high <= low or (white == 255 and not floats)):
        return (0.0, white), "the usual range of floats" if floats else f"{_BITS[white]} bits"
    if high <= low:
        low, high = (lowest, highest) if lowest < highest else (low, low + 1)
    return (low, high) if floats else (math.floor(low), math.ceil(high)), "without the extremes"


def _ground(transparent: Sequence[Header]) -> Ground:
    """White, unless that leaves many images of one colour, and another fewer."""
    plain = {ground: sum(h.is_plain(Tones(ground=ground)) for h in transparent) for ground in GROUNDS}
    return "white" if plain["white"] <= _MANY * len(transparent) else min(GROUNDS, key=lambda one: plain[one])


def _of_type(values: NDArray[np.generic]) -> tuple[float, float]:
    ends = (end(values, initial=0.0, where=np.isfinite(values)) for end in (np.min, np.max))
    low, high = map(float, ends)
    white = 65535.0 if values.dtype.kind != "f" else 1.0 if high <= 1 else 255.0
    if low < 0 or high > white:
        raise ValueError(f"its pixels lie between {low:g} and {high:g}: scale them to 0 to {white:g}")
    return 0.0, white
