"""What a command waits for before it does anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.speed import timing
from benchmarks.speed.timing import Row


def measure(everything: bool) -> Iterator[list[Row]]:
    verb = "import sys; sys.argv = {!r}; from vitrail.cli import main; main()"
    statements = {
        "vitrail --help": verb.format(["vitrail", "--help"]),
        "vitrail train --help": verb.format(["vitrail", "train", "--help"]),
        "import vitrail": "import vitrail",
        "import torch": "import torch",
        "import timm": "import timm",
        "from transformers import ViTForImageClassification": "from transformers import ViTForImageClassification",
    }
    declared = "from vitrail.adoption.optional import declare_missing_operators as d; _ = d(); "

    def action(name: str):
        prepared = declared if "timm" in name or "transformers" in name else ""
        return lambda: subprocess.run(
            [sys.executable, "-c", prepared + statements[name]], check=True, capture_output=True
        )

    yield timing.durations("start of a process", timing.alternate({name: action(name) for name in statements}))
