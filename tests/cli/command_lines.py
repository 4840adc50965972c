"""What the tests of several verbs type, and look for in what is said."""

from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.cli import run

TINY = ["--model", "vit-digits", "--model.depth", "1"]
SMALL = [*TINY, "--train-subset", "200", "--test-subset", "60"]


def images(folder: Path, classes=("grey cat", "<b>dog</b> & 'co'"), count=8, size=(20, 24)) -> Path:
    generator = np.random.default_rng(0)
    for k, name in enumerate(classes):
        (folder / name.replace("/", "")).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 100, (*size, 3), dtype=np.uint8) + np.uint8(100 * k)
            Image.fromarray(pixels).save(folder / name.replace("/", "") / f"{i}.png")
    return folder


def fails(argv, capsys, *parts: str, code: int = 2) -> str:
    capsys.readouterr()
    assert run(argv) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    for part in parts:
        assert part in error
    return error
