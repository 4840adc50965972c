"""`vitrail demo`: the first thing to try."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from vitrail.cli.compare import show_comparison
from vitrail.cli.options import parse


@dataclass(frozen=True)
class Demo:
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/demo")
    """Replaced if it holds an earlier demo, and no explanation or measurement made of it since."""


def demo(argv: Sequence[str]) -> None:
    """Train a ViT and a CNN on scikit-learn's digits, in under a minute.

    They are reported side by side.
    """
    options = parse(Demo, argv, demo)
    from vitrail.experiments import comparison

    show_comparison(comparison.demo(options.out).directory)
