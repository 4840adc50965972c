"""Checkpoints that are whole or absent: written aside, checksummed, flushed, renamed; the previous one is kept.

```
checkpoints/step-00001234/
    model.safetensors      the weights to use (the moving average where it is on)
    optimizer.safetensors  optimizer state, and the raw weights where model.safetensors is an average
    epoch.safetensors      predictions of the running epoch, for its training metrics
    state.json             position in training, and the sha256 of all of it; written last
```
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitrail.errors import InputError, RunError
from vitrail.files import TEMPORARY, flush_to_disk, sha256
from vitrail.runs.weights import step_directories
from vitrail.text import quoted

PARTS = ("model", "optimizer", "epoch")
_KEPT = 2
_SUPERSEDED = "-superseded"
# What checkpoints written by earlier versions call a parameter, and what it is called now.
_RENAMED = {"pos_embed": "positions.embed", "pos_rows": "positions.rows", "pos_columns": "positions.columns"}


@dataclass(frozen=True)
class Checkpoint:
    """One point in training. `state` is plain JSON; `tensors` has an entry for each of PARTS."""

    step: int
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


class DamagedCheckpoint(InputError):  # noqa: N818 (a damaged checkpoint is named for what it is)
    """A checkpoint whose content is not what its checksum says."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged ({reason})")
        self.path = path


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def save(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write `directory/step-*` and drop all but the last two. Raises RunError where the disk does not take it."""
    target = directory / f"step-{checkpoint.step:08d}"
    temporary = directory / f"{TEMPORARY}{target.name}-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        digests = {}
        for part in PARTS:
            path = temporary / f"{part}.safetensors"
            save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors[part].items()}, path)
            flush_to_disk(path)
            digests[path.name] = sha256(path)
        state = {"step": checkpoint.step, **checkpoint.state}
        content = {**state, "sha256": {**digests, "state": _digest(state)}}
        (temporary / "state.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        flush_to_disk(temporary / "state.json")
        flush_to_disk(temporary)
        if target.exists():
            # Damaged, or of an epoch that was interrupted while validating.
            os.rename(target, directory / f"{TEMPORARY}{target.name}{_SUPERSEDED}")
        os.rename(temporary, target)
        flush_to_disk(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # What is saved without having been trained has no step.
        goes_on = f", then run 'vitrail resume {quoted(directory.parent)}'" if checkpoint.step else ""
        raise RunError(
            f"the checkpoint of step {checkpoint.step} could not be saved ({error}); earlier checkpoints are intact: "
            f"free some space{goes_on}"
        ) from error
    for old in step_directories(directory)[_KEPT:]:
        # Renamed first: a removal that is cut short must not leave a directory that looks like a checkpoint.
        os.rename(old, directory / f"{TEMPORARY}{old.name}")
    clear_unfinished(directory)
    return target


def load(path: Path) -> Checkpoint:
    """Its tensors have the names of today. Raises DamagedCheckpoint where a file is missing, cut short or altered."""
    try:
        content = json.loads((path / "state.json").read_text(encoding="utf-8"))
        digests = content.pop("sha256")
        intact = digests["state"] == _digest(content) and all(
            sha256(path / f"{part}.safetensors") == digests[f"{part}.safetensors"] for part in PARTS
        )
        if intact:
            # Copies: mapped tensors need not be aligned, and alignment may decide which kernel adds up in which order.
            tensors = {
                part: {
                    _name_today(name): tensor.clone()
                    for name, tensor in load_file(path / f"{part}.safetensors").items()
                }
                for part in PARTS
            }
            return Checkpoint(content.pop("step"), content, tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DamagedCheckpoint(path, f"{type(error).__name__}: {error}") from error
    raise DamagedCheckpoint(path, "its checksum does not match")


def _name_today(name: str) -> str:
    """Of a tensor that an earlier version may have written."""
    owner, dot, last = name.rpartition(".")
    return owner + dot + _RENAMED.get(last, last)


def from_latest(directory: Path) -> Iterator[Checkpoint | DamagedCheckpoint]:
    """From the latest backwards: checkpoints, or for one that cannot be used what is wrong with it."""
    for path in step_directories(directory):
        try:
            yield load(path)
        except DamagedCheckpoint as damage:
            yield damage


def clear_unfinished(directory: Path) -> None:
    """Remove what was being saved when the process was killed; what it would have superseded stands again."""
    for path in directory.glob(f"{TEMPORARY}*{_SUPERSEDED}"):
        target = directory / path.name.removeprefix(TEMPORARY).removesuffix(_SUPERSEDED)
        if not target.exists():
            os.rename(path, target)
    for path in directory.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)
