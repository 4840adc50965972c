"""A generated data set whose truth is known: coloured shapes on textured grounds, with the mask of every object.

The label is the class of the larger object; half of the images have a smaller one of another class beside it. So
where the evidence for the label lies is known to the pixel, and attribution can be measured against it. A scene is
geometry in a unit square, drawn at whatever size is asked for, and the same for one seed and place ever after.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import Size, as_size
from vitrail.data.decoding import Framing
from vitrail.data.layout import TEST, TRAIN
from vitrail.data.pixels import resized
from vitrail.progress import track

NUM_TRAIN, NUM_TEST = 10_000, 2_000
NATIVE_SIZE = (32, 32)

LARGER_AREA = (0.12, 0.2)
"""Least and largest share of the image."""
SMALLER_AREA = (0.2, 0.35)
"""Least and largest share of the larger object's area."""
CONTRAST = 0.45
"""Least distance in RGB (0..1) of an object's colour from any colour of its ground, before noise."""

_MARGIN = 1 / 32
_TILT = math.pi / 8
_GROUND_CELLS = 4
_GROUND_SPREAD = 0.15
_NOISE = 0.04
_CHUNK_PIXELS = 2**19
# What a scene's random numbers are for: streams that do not touch each other.
_LAYOUT, _GRAIN = 0, 1
_TRIES = 16

_Array = NDArray[np.float32]


class _Shape(NamedTuple):
    """Within a circle of radius 1 around the origin, y pointing down."""

    area: float
    distance: Callable[[_Array, _Array], _Array]
    """Of points (x, y) from the edge; negative inside."""


def _polygon(*vertices: tuple[float, float]) -> _Shape:
    """Scaled to the circle. By the distance to the nearest edge, and by the edges that a ray to the right crosses."""
    scale = 1 / max(math.hypot(x, y) for x, y in vertices)
    corners = [(scale * x, scale * y) for x, y in vertices]
    edges = [(*a, *b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]

    def distance(x: _Array, y: _Array) -> _Array:
        nearest = np.full_like(x, np.inf)
        inside = np.zeros(x.shape, bool)
        for ax, ay, bx, by in edges:
            ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            np.minimum(nearest, (px - along * ex) ** 2 + (py - along * ey) ** 2, out=nearest)
            if ey:
                inside ^= ((ay > y) != (by > y)) & (px < ex * (py / ey))
        return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)

    return _Shape(abs(sum(ax * by - bx * ay for ax, ay, bx, by in edges)) / 2, distance)


def _rays(*lengths: float) -> list[tuple[float, float]]:
    """Vertices at equal angles from the top, so far from the origin."""
    turn = 2 * math.pi / len(lengths)
    return [(length * math.sin(i * turn), -length * math.cos(i * turn)) for i, length in enumerate(lengths)]


def _cross(arm: float) -> list[tuple[float, float]]:
    right = [(arm, 1.0), (arm, arm), (1.0, arm), (1.0, -arm), (arm, -arm), (arm, -1.0)]
    return [*right, *((-x, -y) for x, y in right)]


def _circle(radius: float, x0: float = 0.0) -> _Shape:
    return _Shape(math.pi * radius**2, lambda x, y: np.hypot(x - np.float32(x0), y) - np.float32(radius))


def _without(whole: _Shape, hole: _Shape, common: float) -> _Shape:
    return _Shape(whole.area - common, lambda x, y: np.maximum(whole.distance(x, y), -hole.distance(x, y)))


def _lens(radius: float, offset: float) -> float:
    """The area that a circle of radius 1 shares with one of `radius` whose centre is `offset` away."""
    a = math.acos((offset**2 + 1 - radius**2) / (2 * offset))
    b = math.acos((offset**2 + radius**2 - 1) / (2 * offset * radius))
    return a + radius**2 * b - offset * math.sin(a)


SHAPES: dict[str, _Shape] = {
    "bar": _polygon((-3.2, -1), (3.2, -1), (3.2, 1), (-3.2, 1)),
    "circle": _circle(1),
    "crescent": _without(_circle(1), _circle(0.8, 0.6), _lens(0.8, 0.6)),
    "cross": _polygon(*_cross(0.3)),
    "ring": _without(_circle(1), _circle(0.6), math.pi * 0.6**2),
    "square": _polygon((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "star": _polygon(*_rays(*5 * (1, 0.42))),
    "triangle": _polygon(*_rays(1, 1, 1)),
}
"""The classes, none of which is another one turned."""
CLASS_NAMES = tuple(SHAPES)
_AREAS = [shape.area for shape in SHAPES.values()]

LABELS = np.arange(NUM_TRAIN + NUM_TEST) % len(SHAPES)
SPLIT = np.repeat(np.array([TRAIN, TEST], np.uint8), [NUM_TRAIN, NUM_TEST])
"""Of the images of the data set, which are the first scenes of seed 0."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """What there is to draw, for N images with at most two objects each: the larger one, then the smaller one."""

    seed: int
    indices: NDArray[np.int64]
    classes: NDArray[np.int64]
    """(N, 2); the second is -1 where there is one object only."""
    radii: NDArray[np.float32]
    """(N, 2) of the circle around an object, in sides of the image."""
    centres: NDArray[np.float32]
    """(N, 2, 2): x and y of each object, in sides of the image from its upper left corner."""
    angles: NDArray[np.float32]
    """(N, 2) in radians."""
    colours: NDArray[np.float32]
    """(N, 2, 3): RGB in 0..1."""
    ground: NDArray[np.float32]
    """(N, rows, columns, 3): colours of a coarse grid, from corner to corner."""


class Rendered(NamedTuple):
    """Images with what is known of them."""

    images: NDArray[np.uint8]
    """(N, 3, H, W)"""
    labels: NDArray[np.int64]
    """(N,) classes of the larger objects."""
    second: NDArray[np.int64]
    """(N,) classes of the smaller objects, -1 where there is none."""
    masks: NDArray[np.bool_]
    """(N, 2, H, W): the pixels whose centre is inside the larger and the smaller object."""


def scenes(indices: int | Sequence[int] | NDArray[np.int64], seed: int = 0) -> Scenes:
    """The scenes of a seed at some places (or the first so many); classes take turns, colours tell nothing of them."""
    places = np.arange(indices) if isinstance(indices, int) else np.asarray(indices, np.int64)
    drawn = [_scene(int(index), seed) for index in places]
    classes, *numbers = (np.array(column) for column in zip(*drawn, strict=True))
    return Scenes(seed, places, classes, *(values.astype(np.float32) for values in numbers))


def _scene(index: int, seed: int) -> tuple[object, ...]:
    """One row of the fields of `Scenes` from `classes` on."""
    rng = np.random.default_rng((seed, index, _LAYOUT))
    label, has_second = index % len(SHAPES), index // len(SHAPES) % 2 == 1
    classes = np.array([label, (label + rng.integers(1, len(SHAPES))) % len(SHAPES)])
    # Again until both fit: there is not room for every two sizes.
    while True:
        larger, share = rng.uniform(*LARGER_AREA, _TRIES), rng.uniform(*SMALLER_AREA, _TRIES)
        radii = np.sqrt(np.stack([larger, larger * share], axis=1) / [_AREAS[c] for c in classes])
        room = 0.5 - _MARGIN - radii[..., None]
        centres = 0.5 + rng.uniform(-1, 1, (_TRIES, 2, 2)) * room
        gap = np.hypot(*(centres[:, 0] - centres[:, 1]).T) - radii.sum(axis=1)
        fits = (gap >= _MARGIN) | (not has_second)
        if fits.any():
            break
    chosen = fits.argmax()
    base = rng.uniform(0.15, 0.85, 3)
    steps = rng.normal(size=(_GROUND_CELLS, _GROUND_CELLS, 3))
    ground = base + _GROUND_SPREAD * steps / np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 2)
    colours = [_colour_far_from(base, rng) for _ in classes]
    classes[1] = classes[1] if has_second else -1
    return classes, radii[chosen], centres[chosen], rng.uniform(-_TILT, _TILT, 2), colours, ground


def _colour_far_from(base: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    # The ground's colours lie in a ball around `base`, and so does every mixture of them.
    while True:
        colour = rng.random(3)
        if np.linalg.norm(colour - base) >= CONTRAST + _GROUND_SPREAD:
            return colour


def render(scenes: Scenes, framing: int | Size | Framing = NATIVE_SIZE) -> Rendered:
    """Draw scenes, each the same whatever is drawn with it; `framing` says how a square becomes a rectangle."""
    framing = framing if isinstance(framing, Framing) else Framing(as_size(framing))
    count, (height, width) = len(scenes.indices), framing.size
    images = np.empty((count, 3, height, width), np.uint8)
    masks = np.zeros((count, 2, height, width), bool)
    step = max(1, _CHUNK_PIXELS // (height * width))
    with track("Drawing shapes", count, "images") as advance:
        for start in range(0, count, step):
            chunk = np.arange(start, min(start + step, count))
            images[chunk], masks[chunk] = _draw(scenes, chunk, framing)
            advance(len(chunk))
    return Rendered(images, scenes.classes[:, 0], scenes.classes[:, 1], masks)


def _draw(scenes: Scenes, chunk: NDArray[np.int64], framing: Framing) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    y, x, pixels_per_side = _window(framing)
    # Linear interpolation between the corners of the grid.
    corners = np.arange(_GROUND_CELLS, dtype=np.float32)
    rows, columns = (np.maximum(0, 1 - np.abs(at[:, None] * corners[-1] - corners)) for at in (y, x))
    canvas = np.einsum("hi,nijc,wj->nchw", rows, scenes.ground[chunk], columns, optimize=True)
    masks = np.zeros((len(chunk), 2, len(y), len(x)), bool)
    for which in (0, 1):
        for label, shape in enumerate(SHAPES.values()):
            of_class = np.flatnonzero(scenes.classes[chunk, which] == label)
            at = chunk[of_class]
            radius, angle = (values[at, which, None, None] for values in (scenes.radii, scenes.angles))
            x0, y0 = scenes.centres[at, which].T[..., None, None]
            right, down = (x - x0) / radius, (y[:, None] - y0) / radius
            cos, sin = np.cos(angle), np.sin(angle)
            distance = shape.distance(cos * right + sin * down, cos * down - sin * right) * radius * pixels_per_side
            cover = np.clip(0.5 - distance, 0, 1)[:, None]
            canvas[of_class] += cover * (scenes.colours[at, which, :, None, None] - canvas[of_class])
            masks[of_class, which] = distance < 0
    for image, index in zip(canvas, scenes.indices[chunk], strict=True):
        rng = np.random.default_rng((scenes.seed, int(index), _GRAIN))
        image += _NOISE * rng.standard_normal(image.shape, np.float32)
    return np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8), masks


def _window(framing: Framing) -> tuple[_Array, _Array, int]:
    """y and x of the pixels' centres in sides of the scene, and how many pixels one side is."""
    covered = framing.covered if framing.fit == "stretch" else (max(framing.covered),) * 2
    y, x = (
        (np.arange(length) + 0.5 - length / 2) / side + 0.5 for length, side in zip(framing.size, covered, strict=True)
    )
    return y.astype(np.float32), x.astype(np.float32), min(covered)


@functools.lru_cache(maxsize=1)
def images(framing: Framing, channels: int) -> NDArray[np.uint8]:
    """All images of the data set, training images first: (N, channels, H, W), read-only.

    Kept for the next who asks for the same: a grid of runs does so for every run, and drawing takes seconds.
    """
    drawn = resized(render(scenes(len(LABELS)), framing).images, Framing(framing.size), channels)
    drawn.flags.writeable = False
    return drawn


def masks(indices: Sequence[int] | NDArray[np.int64], framing: int | Size | Framing) -> NDArray[np.bool_]:
    """Where the labelled object is in images of the data set, by their places in it: (n, H, W)."""
    return render(scenes(indices), framing).masks[:, 0]
