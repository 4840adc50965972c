"""Boxes, arrows and sums, in inches: what the document's diagrams are drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from vitrail.plots.style import INK, SOFT

Point = tuple[float, float]

_TINT = 0.22
"""Opacity of a box: a pale colour on white, a deep one on black, and text in ink is legible on either."""
_ROUND = 0.06
_SUM = 0.085


@dataclass(frozen=True)
class Box:
    """Where a box lies: the middle, and the sizes."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y - self.height / 2

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y


class Sketch:
    """A transparent figure to draw on; (0, 0) is its lower left corner."""

    def __init__(self, width: float, height: float, meaning: str) -> None:
        self.figure = Figure(figsize=(width, height), facecolor="none", label=meaning)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def text(self, at: Point, text: str, **look: Any) -> None:
        look = {"color": INK, "fontsize": 9, "ha": "center", "va": "center", **look}
        self.axes.text(*at, text, linespacing=1.15, parse_math=False, **look)

    def note(self, at: Point, text: str, **look: Any) -> None:
        self.text(at, text, **{"color": SOFT, "fontsize": 8, **look})

    def box(self, box: Box, text: str, color: str, **look: Any) -> Box:
        """A box of this colour with its text; gives the box back."""
        corner = (box.left[0], box.bottom[1])
        shape = f"round,pad=0,rounding_size={min(_ROUND, box.height / 4)}"
        for part in ({"facecolor": color, "alpha": _TINT}, {"edgecolor": color, "facecolor": "none", "linewidth": 1.1}):
            self.axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=shape, **part))
        self.text((box.x, box.y), text, **look)
        return box

    def frame(self, box: Box) -> None:
        """A dashed line around what belongs together."""
        shape, dashes = "round,pad=0,rounding_size=0.12", (0, (4, 2.5))
        corner = (box.left[0], box.bottom[1])
        look = {"facecolor": "none", "edgecolor": SOFT, "linewidth": 1.0, "linestyle": dashes}
        self.axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=shape, **look))

    def line(self, *points: Point, color: str = INK) -> None:
        """A line through these points."""
        self.axes.plot(*zip(*points, strict=True), color=color, linewidth=1.2, solid_joinstyle="round")

    def arrow(self, *points: Point, color: str = INK) -> None:
        """A line through these points, with a head that touches the last."""
        *_, start, end = points
        if len(points) > 2:
            self.line(*points[:-1], color=color)
        look = {"arrowstyle": "-|>,head_width=2.6,head_length=5", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        self.axes.add_patch(FancyArrowPatch(start, end, mutation_scale=1, color=color, **look))

    def plus(self, at: Point) -> Box:
        """A sum: a circle with a plus in it."""
        x, y = at
        self.axes.add_patch(Circle(at, _SUM, facecolor="none", edgecolor=INK, linewidth=1.1))
        arm = 0.6 * _SUM
        self.line((x - arm, y), (x + arm, y))
        self.line((x, y - arm), (x, y + arm))
        return Box(x, y, 2 * _SUM, 2 * _SUM)

    def behind(self, box: Box, by: float, color: str) -> None:
        """The upper and right edge of a box like this one that lies so far behind it."""
        left, right, low, high = box.left[0], box.right[0], box.bottom[1], box.top[1]
        corners = [(left + by, high), (left + by, high + by), (right + by, high + by), (right + by, low + by)]
        self.line(*corners, (right, low + by), color=color)
