"""Several runs in one directory, written down before the first begins, so that they can be gone on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.configs import RunConfig
from vitrail.configs.serialization import run_from_json, run_to_json
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.experiments.resolve import Loader, announce, resolve
from vitrail.experiments.run import Observer, Run, begin, resume
from vitrail.progress import say


@dataclass(frozen=True)
class Plan:
    """Runs by name, and what else the plan's file says."""

    file: Path
    """In the directory that the runs' own directories are in."""
    runs: Mapping[str, RunConfig]
    data_dir: Path | None = None
    """Where downloads and decoded images are kept."""
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of a run: what was chosen when it was planned, and why."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Of the whole, under other names than these: what JSON can hold."""

    def write(self) -> None:
        files.write_json(
            self.file,
            {
                **self.about,
                "data_dir": str(files.expanded(self.data_dir).resolve()) if self.data_dir else None,
                "runs": {name: run_to_json(config) for name, config in self.runs.items()},
                "choices": {name: list(lines) for name, lines in self.choices.items()},
            },
        )

    @property
    def groups(self) -> dict[str, list[str]]:
        """Names of the runs that differ in their seeds alone, by the name they have without it."""
        groups: dict[str, list[str]] = {}
        for name in self.runs:
            groups.setdefault(name.rpartition("-seed")[0], []).append(name)
        return groups

    def carry_out(self, report: bool = True, observe: Observer | None = None) -> dict[str, Run]:
        """Of a plan that is written: make the runs that are not there yet, complete those that are; by name, in order.

        For `report` and `observe` see `runs.complete`. A run that fails does not stop the others; it is left out.
        Raises RunError if all fail.
        """
        try:
            with files.locked(self.file):
                return self._made(report, observe)
        except Interrupted as stop:
            raise Interrupted(stop.signum, self.file.parent) from None

    def _made(self, report: bool, observe: Observer | None) -> dict[str, Run]:
        runs, failures, loader = {}, [], Loader()
        for number, (name, config) in enumerate(self.runs.items(), start=1):
            place = self.file.parent / plain(name)
            say(f"run {number} of {len(self.runs)}: {name}")
            try:
                if (place / "run.json").is_file():
                    runs[name] = resume(place, report, observe)
                    continue
                for unfinished in place.glob(f"{files.TEMPORARY}*"):
                    unfinished.unlink()
                made = resolve(config.data, config.model, config.train, self.data_dir, config.model_name, loader=loader)
                if name in self.choices:
                    made = dataclasses.replace(made, notes=tuple(self.choices[name]))
                files.claim(place, "move what is in it elsewhere")
                announce(made, place)
                runs[name] = begin(loader.load(made), place, report, observe)
            except RunError as error:
                failures.append(f"{name}: {error}")
                say(f"{name} failed: {error}")
        if failures and not runs:
            raise RunError("; ".join(failures))
        return runs


def read(file: Path, **about: type) -> Plan:
    """A plan that was written, which says of the whole what `about` names, each of its kind.

    Raises InputError where there is none, or it is damaged.
    """
    stored = files.read_json(file)
    try:
        runs = {name: run_from_json(config) for name, config in stored["runs"].items()}
        data_dir = Path(stored["data_dir"]) if stored["data_dir"] else None
        choices = {name: [str(line) for line in lines] for name, lines in stored.get("choices", {}).items()}
        said = {name: stored[name] for name in about}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged ({type(error).__name__}: {error})") from error
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if not runs:
        raise InputError(f"{file} is damaged (it names no run)")
    for name, kind in about.items():
        if not isinstance(said[name], kind):
            raise InputError(f"{file} is damaged ({name} is {said[name]!r})")
    return Plan(file, runs, data_dir, choices, said)


def over_seeds(name: str, config: RunConfig, seeds: int) -> dict[str, RunConfig]:
    """The run from its own seed on, by names that say which."""
    return {
        f"{name}-seed{seed}": dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
        for seed in range(config.train.seed, config.train.seed + seeds)
    }


def plain(name: str) -> str:
    """A name that is one part of a path: a plan may come from outside."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"a run cannot be called {name!r}: it must be a plain directory name")
    return name
