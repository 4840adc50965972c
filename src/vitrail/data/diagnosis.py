"""What the doctor found, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import Size
from vitrail.text import listed, plural

Group = tuple[str, ...]

_LISTED_FILES = 20
_LISTED_GROUPS = 5


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything that is known about a data argument, good and bad."""

    source: str
    name: str = ""
    kind: str = ""
    """What it was read from, in words."""
    class_names: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Readable images of each class by split: "train", "val", "test" as far as there are any, else "all"."""
    sizes: tuple[tuple[Size, int], ...] = ()
    """(height, width) and how many images have it, the most common first."""
    smallest: Size | None = None
    """By area."""
    largest: Size | None = None
    modes: tuple[tuple[str, int], ...] = ()
    """Pixel formats by Pillow's names, the most common first."""
    values: tuple[str, ...] = ()
    """Between which numbers the pixels of more than 8 bits lie, a line for each pixel format."""
    channels: int | None = None
    """What training will use."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Name and reason."""
    ignored: tuple[tuple[str, int], ...] = ()
    """Why files were passed over, and how many."""
    duplicates: tuple[Group, ...] = ()
    """Names of images that are the same within one split."""
    duplicates_across: tuple[Group, ...] = ()
    """Names of images that are the same in more than one split."""
    contradictions: tuple[Group, ...] = ()
    """Names of images that are the same in more than one class."""
    problems: tuple[str, ...] = ()
    """What training would refuse, one line each."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    """Up to ten images of each class, uint8 (k, C, H, W), of one size."""

    @property
    def ok(self) -> bool:
        """Whether training would accept the data."""
        return not self.problems

    def to_lines(self) -> list[str]:
        """The diagnosis as plain text."""
        lines = []
        if self.kind:
            total = sum(sum(of_split) for of_split in self.counts.values())
            classes = plural(len(self.class_names), "class", "classes")
            lines.append(f"{self.source}: {self.kind}, {plural(total, 'image')}, {classes}")
        lines += self._count_lines()
        if self.sizes:
            common = ", ".join(f"{h} x {w} ({n:,})" for (h, w), n in self.sizes[:3])
            lines.append(f"sizes (height x width): {common}" + (", ..." if len(self.sizes) > 3 else ""))
        if self.smallest and self.largest and self.smallest != self.largest:
            smallest, largest = (f"{h} x {w}" for h, w in (self.smallest, self.largest))
            lines.append(f"smallest {smallest}, largest {largest}")
        if self.modes:
            modes = ", ".join(f"{mode} ({count:,})" for mode, count in self.modes)
            lines.append(f"pixel formats: {modes}; read as {'grey' if self.channels == 1 else 'RGB'}")
        lines += self.values
        lines += [f"ignored: {count:,} {reason}" for reason, count in self.ignored]
        lines += [f"unreadable: {name}: {reason}" for name, reason in self.unreadable[:_LISTED_FILES]]
        if len(self.unreadable) > _LISTED_FILES:
            lines.append(f"unreadable: {len(self.unreadable) - _LISTED_FILES:,} more")
        for title, groups in (
            ("the same image in several splits", self.duplicates_across),
            ("the same image in several classes", self.contradictions),
            ("the same image more than once", self.duplicates),
        ):
            lines += [f"{title}: {listed(group)}" for group in groups[:_LISTED_GROUPS]]
            if len(groups) > _LISTED_GROUPS:
                lines.append(f"{title}: {len(groups) - _LISTED_GROUPS:,} more")
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"problem: {problem}" for problem in self.problems]
        return [
            *lines,
            "ready to train" if self.ok else f"not ready to train: {plural(len(self.problems), 'problem')}",
        ]

    def _count_lines(self) -> list[str]:
        if not self.counts:
            return []
        width = max(5, *map(len, self.class_names), 0)
        header = "class".ljust(width) + "".join(split.rjust(9) for split in self.counts)
        rows = [
            name.ljust(width) + "".join(f"{of_split[label]:9,}" for of_split in self.counts.values())
            for label, name in enumerate(self.class_names)
        ]
        total = "total".ljust(width) + "".join(f"{sum(of_split):9,}" for of_split in self.counts.values())
        return [header, *rows, total]
