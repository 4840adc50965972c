"""A run is a directory: how one is begun, resumed and completed."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from vitrail import files, hardware
from vitrail.classifier import load
from vitrail.configs import RECOMMENDED, ClassificationConfig, DataConfig, ModelConfig, TrainConfig
from vitrail.configs.serialization import run_from_json, run_to_json
from vitrail.data.argument import KNOWN, lasting, refuse_below_data
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError, Interrupted
from vitrail.experiments.lengthening import lengthened, set_test_aside
from vitrail.experiments.pace import paced
from vitrail.experiments.resolve import Loader, OtherData, Prepared, Resolved, announce, resolve
from vitrail.experiments.testing import run_test, store_summary
from vitrail.experiments.trusting import store_trust
from vitrail.interruption import interruptible, interruptible_anywhere
from vitrail.models.build import Model
from vitrail.models.summary import summarize
from vitrail.progress import say, warn
from vitrail.report import write_report
from vitrail.runs.directory import Run
from vitrail.runs.layout import EVALUATION, INSPECTION, RUN, SAMPLES, SEEN, runs_in
from vitrail.text import quoted
from vitrail.training.recorders import run_recorders
from vitrail.training.trainer import Trainer

THEN = "; then "
"""Between the machines, or versions, that a run was made with one after the other."""


Observer = Callable[[Prepared, Model], dict[str, Any]]
"""What to record of a model in training, as plain JSON."""


def _can_go_on(directory: Path) -> bool:
    """Whether `resume` has something to do in it: a run that was trained here, or several."""
    run = Run(directory)
    with suppress(InputError):
        return (run.begun and run.trained_here) or bool(runs_in(directory))
    return False


@contextmanager
def new_directory(out: Path | None, stem: str) -> Iterator[Path]:
    """`out`, which must be new or empty, or without it the first free one of `runs/<stem>-1`, `runs/<stem>-2`, ...

    Nobody else's while the block lasts.
    """
    out = files.first_free(Path("runs"), stem) if out is None else files.expanded(out)
    with files.claimed(out, ways_on(out)) as directory:
        yield directory


def ways_on(out: Path | None) -> str:
    """What to do where an --out is not empty."""
    cure = "name another --out"
    if out is not None and os.path.isdir(out := files.expanded(out)) and _can_go_on(out):
        cure += f", or go on with what is there by 'vitrail resume {quoted(out)}'"
    return cure


def begin(prepared: Prepared, directory: Path, report: bool = True, observe: Observer | None = None) -> Run:
    """Write `run.json` into a directory that is claimed, and `complete` the run."""
    config, train = prepared.config, prepared.config.train
    summary = summarize(config.model)
    device = torch.device(train.device)
    files.write_json(
        directory / RUN,
        {
            **_made_with(device),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "device": train.device,
            "threads": train.threads,
            "precision": train.precision,
            "compile": train.compile == "on",
            "seed": train.seed,
            "choices": list(prepared.notes),
            "class_names": list(prepared.class_names),
            "preprocessing": dataclasses.asdict(prepared.preprocessing),
            "parameters": summary.parameters,
            "multiply_adds": summary.multiply_adds,
            "splits": {name: len(getattr(prepared.splits, name)) for name in ("train", "val", "test")},
            "data_dir": str(files.expanded(prepared.data_dir).resolve()) if prepared.data_dir else None,
            "fingerprint": prepared.fingerprint,
            "content": prepared.content,
            "config": run_to_json(config),
        },
    )
    return complete(prepared, directory, report, observe)


def resume(
    directory: Path,
    report: bool = True,
    observe: Observer | None = None,
    data: str | None = None,
    epochs: int | None = None,
) -> Run:
    """Go on with an interrupted run, or complete what a finished one lacks; see `complete`.

    `data` is where its images are from now on, `epochs` another number of them than planned; see `lengthened`.

    Raises InputError where there is no `run.json`, or the data is not what the run began with.
    """
    if data is not None or epochs is not None:
        _amend(directory, data, epochs)
    run = Run(directory)
    if not (run.finished and run.begun):
        prepared = reopen(directory)
        with files.locked(directory):
            here = _made_with(torch.device(prepared.config.train.device))
            files.write_json(directory / RUN, run.info | {key: _then(run.info.get(key), here[key]) for key in here})
            return complete(prepared, directory, report, observe)
    if report and not (all(_measured(run)) and run.report.is_file()):
        try:
            summarize_again(directory)
        except InputError as error:
            # The run is finished all the same, and its report says what there is.
            warn(f"the report lacks what is measured on the images: {error}")
        write_report(directory)
    return Run(directory)


def _amend(directory: Path, data: str | None, epochs: int | None) -> None:
    """Put in `run.json` where the images are now, and how many epochs there are to be."""
    resolved = resolve_again(directory, data=data)
    with files.locked(directory):
        run, config, note = Run(directory), resolved.config, ""
        if epochs is not None:
            config, note = lengthened(run, resolved, epochs)
        if note:
            say(note)
            set_test_aside(run)
        choices = [*(run.info.get("choices") or []), *([note] if note else [])]
        files.write_json(directory / RUN, run.info | {"choices": choices, "config": run_to_json(config)})


def summarize_again(directory: Path, data: str | None = None) -> None:
    """What the report of a finished run shows, and the run has not stored, is measured; `data` is where its images are.

    Raises InputError where the run is not finished, or the data is not what it began with.
    """
    run = Run(directory)
    require_finished(run)
    summarized, trusted = _measured(run)
    if not (summarized and trusted):
        prepared = reopen(directory, to_train=False, data=data)
        with files.locked(directory):
            classifier = load(directory)
            if not trusted:
                store_trust(directory, classifier, prepared)
            if not summarized:
                store_summary(directory, classifier, prepared)


def _measured(run: Run) -> tuple[bool, bool]:
    """Whether what the report shows of the model is there, and how far to trust it, as far as that can be known."""
    trusted = run.validates_on_test
    with suppress(InputError):
        trusted = trusted or run.trust is not None
    return (run.directory / INSPECTION).is_file(), trusted


def require_finished(run: Run) -> None:
    if not run.finished:
        raise InputError(
            f"{run.directory} is not finished: 'vitrail resume {quoted(run.directory)}' trains it to its end and "
            "tests it"
        )


def _made_with(device: torch.device) -> dict[str, Any]:
    return {
        "vitrail": version("vitrail"),
        "hardware": hardware.describe(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def _then(before: Any, now: Any) -> Any:
    """What a run was made with, and is from now on: `2.13.0; then 2.14.0` of a version that changed meanwhile."""
    if isinstance(now, dict):
        known = before if isinstance(before, dict) else {}
        return known | {key: _then(known.get(key), value) for key, value in now.items()}
    parts = before.split(THEN) if isinstance(before, str) else []
    return before if parts[-1:] == [now] else THEN.join([*parts, now])


def reopen(
    directory: Path,
    to_train: bool = True,
    loader: Loader | None = None,
    data: str | None = None,
    data_dir: Path | None = None,
) -> Prepared:
    """A run's configuration and data, as it began; what only measures it does so on any device.

    Its images are those of `loader`, where they are the same; `data` is where they are now.

    Raises InputError where there is no `run.json`, and OtherData where the data is not what the run began with.
    """
    loader = loader or Loader()
    return loader.load(resolve_again(directory, to_train, loader, data, data_dir))


def resolve_again(
    directory: Path,
    to_train: bool = True,
    loader: Loader | None = None,
    data: str | None = None,
    data_dir: Path | None = None,
) -> Resolved:
    """As `reopen`, without loading images."""
    run = Run(directory)
    stored = run.info
    if not run.trained_here:
        if to_train:
            raise InputError(f"{directory} is a saved model that was not trained here: there is nothing to go on with")
        raise InputError(f"{directory} has no data of its own: name some by --data")
    try:
        config = run_from_json(stored["config"])
        if not to_train:
            anywhere = dataclasses.replace(config.train, device=str(hardware.choose_device("auto")), compile="off")
            config = dataclasses.replace(config, train=anywhere)
        data_dir = data_dir or (Path(stored["data_dir"]) if stored["data_dir"] else None)
        began_with, content = stored["fingerprint"], stored.get("content")
        preprocessing = Preprocessing.from_json(stored["preprocessing"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{directory / RUN} is damaged, or not of a training run ({error})") from error
    source = config.data.source if data is None else lasting(data)
    if data is None and source not in KNOWN and not Path(source).exists():
        raise InputError(
            f"the images of {directory} are no longer at {source}: say where by --data, or once for all by "
            f"'vitrail resume {quoted(directory)} --data PATH'"
        )
    images, tones = dataclasses.replace(config.data, source=source), preprocessing.tones
    try:
        resolved = resolve(images, config.model, config.train, data_dir, config.model_name, began_with, loader, tones)
        # Of what earlier versions began only the measured mean and standard deviation tell whether images changed.
        if resolved.preprocessing != preprocessing or content not in (None, resolved.content):
            raise OtherData(f"the images of {source} have changed since {directory} began")
    except OtherData as error:
        cure = "start a new run" if to_train else "measure on them as on others, by --data"
        if data is not None:
            cure = "the same files in the same class folders are needed"
        raise OtherData(f"{error}: {cure}") from error
    return dataclasses.replace(resolved, config=dataclasses.replace(resolved.config, earlier=config.earlier))


def complete(prepared: Prepared, directory: Path, report: bool = True, observe: Observer | None = None) -> Run:
    """Train to the end, test once, summarise the model and report; whatever is already there is not done again.

    Without `report` the last two are left to `resume`. What `observe` says of a model before training and
    after every epoch is recorded. The directory is this process's: see `files.locked`.
    """
    observed = None if observe is None else functools.partial(observe, prepared)
    with hardware.settings_kept():
        try:
            with files.room_for(directory), interruptible() as check:
                if not (directory / SEEN).is_file():
                    files.write_bytes(directory / SEEN, save({"images": prepared.seen}))
                data = prepared.training_data
                recorders = run_recorders(prepared.config, data, directory, observed)
                Trainer(prepared.config, data, directory, check, recorders).fit()
                classifier = load(directory)
                samples, evaluation, logits = run_test(classifier, prepared, check)
                files.write_together(
                    {directory / SAMPLES: samples.to_bytes(), directory / EVALUATION: files.json_bytes(evaluation)}
                )
                check()
            if report:
                with interruptible_anywhere():
                    store_trust(directory, classifier, prepared, logits)
                    store_summary(directory, classifier, prepared)
                    write_report(directory)
        except Interrupted as stop:
            raise Interrupted(stop.signum, directory) from None
    return Run(directory)


def train(
    data: str | Path,
    model: str | ModelConfig | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Run:
    """Train a model on images, test it once on held-out ones, and write a report.

    Args:
        data: a name (digits, shapes, mnist, fashion-mnist, cifar10, cifar100) or the path of a folder, .zip or .tar.
        model: the name of a preset or a configuration; without it, the preset for images of that size.
        out: an empty directory; without it, the first free `runs/<data>-<model>-<n>`.
        data_dir: where downloads and decoded images are kept.
        **options: fields of `DataConfig`, `TrainConfig` and `ClassificationConfig`, such as `epochs=10`,
            `train_subset=600`, `lr=1e-3`.

    Raises:
        InputError: for what cannot be used, naming it and the cure.
        RunError: for a run that could not be completed.
    """
    data_config, train_config = configs(str(data), options)
    return start(data_config, model, train_config, Path(out) if out else None, Path(data_dir) if data_dir else None)


def start(
    data: DataConfig,
    model: str | ModelConfig | None,
    train: TrainConfig,
    out: Path | None = None,
    data_dir: Path | None = None,
    model_name: str | None = None,
) -> Run:
    """As `train`, from configurations; `model_name` is what a changed preset goes by."""
    refuse_below_data(out, data.source)
    loader = Loader()
    resolved = resolve(data, model, train, data_dir, model_name, loader=loader)
    with new_directory(out, f"{resolved.source_name}-{resolved.config.model_name}") as directory:
        (prepared,) = paced([resolved], train, loader)
        announce(prepared, directory)
        return begin(prepared, directory)


def configs(source: str, options: dict[str, Any]) -> tuple[DataConfig, TrainConfig]:
    """Sort flat options into the configurations. Raises InputError for one that none has."""
    all_kinds = (DataConfig, TrainConfig, ClassificationConfig)
    kinds = {f.name: kind for kind in all_kinds for f in dataclasses.fields(kind)}
    unknown = sorted(set(options) - set(kinds) | set(options) & {"source"})
    if unknown:
        raise InputError(f"unknown option {', '.join(unknown)}: known are {', '.join(sorted(kinds))}")
    data, train, objective = ({k: v for k, v in options.items() if kinds[k] is kind} for kind in all_kinds)
    config = dataclasses.replace(RECOMMENDED, **train)
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, **objective))
    return DataConfig(source, **data), config
