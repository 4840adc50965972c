"""The file of a plan: several runs, written down before the first begins, so that they can be gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from vitrail import files
from vitrail.configs import RunConfig
from vitrail.configs.serialization import run_from_json, run_to_json
from vitrail.errors import InputError
from vitrail.runs.layout import PLAN, group_of

Kind = Literal["comparison", "demo", "study", "reproduction"]

_OLDER: dict[str, Kind] = {"experiment.json": "comparison", "study.json": "study", "reproduction.json": "reproduction"}
"""What earlier versions called the file."""
_ABOUT: dict[str, dict[str, type]] = {
    "comparison": {},
    "demo": {},
    "study": {"study": str, "quick": bool, "data": str},
    "reproduction": {"reproduction": str},
}
"""What a plan says of the whole, by its kind."""


@dataclass(frozen=True)
class Plan:
    """Runs by name, and what they are for."""

    file: Path
    """In the directory that the runs' own directories are in."""
    kind: Kind
    runs: Mapping[str, RunConfig]
    data_dir: Path | None = None
    """Where downloads and decoded images are kept."""
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of a run: what was chosen when it was planned, and why."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Of the whole: see `_ABOUT`."""

    @property
    def directory(self) -> Path:
        return self.file.parent

    @property
    def groups(self) -> dict[str, list[str]]:
        """Names of the runs that differ in their seeds alone, by the name they have without it."""
        groups: dict[str, list[str]] = {}
        for name in self.runs:
            groups.setdefault(group_of(name), []).append(name)
        return groups

    def write(self) -> None:
        files.write_json(
            self.file,
            {
                "kind": self.kind,
                **self.about,
                "data_dir": str(files.expanded(self.data_dir).resolve()) if self.data_dir else None,
                "runs": {name: run_to_json(config) for name, config in self.runs.items()},
                "choices": {name: list(lines) for name, lines in self.notes.items()},
            },
        )


def plan_file(directory: Path) -> Path:
    """Of the plan that is there, under whatever name, or of one to be written."""
    return next((directory / name for name in (PLAN, *_OLDER) if (directory / name).is_file()), directory / PLAN)


def plan_kind(directory: Path) -> Kind | None:
    """What the runs in a directory are for; None where it has no plan. Raises InputError where that is damaged."""
    file = plan_file(directory)
    if not file.is_file():
        return None
    kind: Any = files.read_json(file).get("kind", _OLDER.get(file.name))
    if not (isinstance(kind, str) and kind in _ABOUT):
        raise InputError(f"{file} is damaged (kind is {kind!r})")
    return cast(Kind, kind)


def read_plan(directory: Path) -> Plan:
    """The plan that was written. Raises InputError where there is none, or it is damaged."""
    file, kind = plan_file(directory), plan_kind(directory)
    stored = files.read_json(file)
    assert kind is not None
    try:
        runs = {name: run_from_json(config) for name, config in stored["runs"].items()}
        data_dir = Path(stored["data_dir"]) if stored["data_dir"] else None
        notes = {name: [str(line) for line in lines] for name, lines in stored.get("choices", {}).items()}
        about = {name: stored[name] for name in _ABOUT[kind]}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged ({type(error).__name__}: {error})") from error
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if not runs:
        raise InputError(f"{file} is damaged (it names no run)")
    for name, value in about.items():
        if not isinstance(value, _ABOUT[kind][name]):
            raise InputError(f"{file} is damaged ({name} is {value!r})")
    return Plan(file, kind, runs, data_dir, notes, about)
