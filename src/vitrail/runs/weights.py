"""The checkpoints of a run as directories, and what their weights are known by."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

_NAME = re.compile(r"step-\d{8,}")


def step_directories(directory: Path) -> list[Path]:
    """The latest first; what people put beside them under other names is left alone."""
    found = [path for path in directory.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def latest_weights(directory: Path) -> str | None:
    """What the weights of the latest checkpoint are known by; None where there is none, or it is damaged."""
    for path in step_directories(directory)[:1]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((path / "state.json").read_text(encoding="utf-8"))["sha256"]["model.safetensors"])
    return None
